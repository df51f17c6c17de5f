"""`pause`: stands every process of the container still."""

from __future__ import annotations

from pyruntime.cli.options import Verb
from pyruntime.runtime import container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyruntime.cli.main import Call

VERB = Verb("stands all processes of the container still, until resume", (), "ID", 1)


def run(call: Call) -> int:
    container.find(call.root, call.arguments[0]).pause()
    return 0
