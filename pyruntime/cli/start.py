"""`start`: lets a created container's program run."""

from __future__ import annotations

from pyruntime.cli.options import Verb
from pyruntime.runtime import container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyruntime.cli.main import Call

VERB = Verb("runs the program of a created container", (), "ID", 1)


def run(call: Call) -> int:
    container.find(call.root, call.arguments[0]).start(call.to_log())
    return 0
