"""`resume`: lets a paused container run on."""

from __future__ import annotations

from pyruntime.cli.options import Verb
from pyruntime.runtime import container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyruntime.cli.main import Call

VERB = Verb("lets a paused container run on", (), "ID", 1)


def run(call: Call) -> int:
    container.find(call.root, call.arguments[0]).resume()
    return 0
