"""`delete`: gives back everything a container has, itself included."""

from __future__ import annotations

from pyruntime.cli.options import Verb
from pyruntime.runtime import removal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyruntime.cli.main import Call

VERB = Verb(
    "removes a container that has ended",
    (
        (
            "force",
            "f",
            "",
            "kills the container with SIGKILL if it has not ended; no error if there is none",
        ),
    ),
    "ID",
    1,
)


def run(call: Call) -> int:
    removal.delete(call.root, call.arguments[0], call.to_log(), force=call.options["force"])
    return 0
