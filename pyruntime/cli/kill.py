"""`kill`: sends a signal to the container's init."""

from __future__ import annotations

from pyruntime.cli.options import Verb
from pyruntime.runtime import container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyruntime.cli.main import Call

VERB = Verb(
    "sends a signal to the container's init",
    (
        (
            "all",
            "a",
            "",
            "send it to every process of the container; one that has ended is no error",
        ),
    ),
    "ID [SIGNAL]",
    1,
    2,
    "SIGNAL is a name, with or without SIG, or a number (default TERM).",
)


def run(call: Call) -> int:
    container_id, word = (*call.arguments, "TERM")[:2]
    container.find(call.root, container_id).kill(word, everyone=call.options["all"])
    return 0
