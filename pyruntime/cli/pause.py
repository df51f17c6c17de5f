"""`pause`: freezes every process of the container."""

from __future__ import annotations

from pyruntime.cli.options import Verb
from pyruntime.runtime import container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyruntime.cli.main import Call

VERB = Verb("freezes all processes of the container until resume", (), "ID", 1)


def run(call: Call) -> int:
    container.find(call.root, call.arguments[0]).pause()
    return 0
