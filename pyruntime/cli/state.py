"""`state`: one container's state as JSON."""

from __future__ import annotations

from pyruntime.cli.main import write
from pyruntime.cli.options import Verb
from pyruntime.lib import jsondoor
from pyruntime.runtime import container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyruntime.cli.main import Call

VERB = Verb("prints the state of a container as JSON", (), "ID", 1)


def run(call: Call) -> int:
    state = container.find(call.root, call.arguments[0]).state()
    write(jsondoor.dumps(state, indent=2))  # no newline at the end: so does runc
    return 0
