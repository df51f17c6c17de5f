"""`run`: create and start, wait, and tidy up; the exit status is the program's."""

from __future__ import annotations

from pyruntime.cli.create import ROWS, request
from pyruntime.cli.options import Verb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyruntime.cli.main import Call

VERB = Verb(
    "makes a container, starts it and waits for its end",
    (
        *ROWS,
        ("detach", "d", "", "do not wait"),
        ("keep", "", "", "do not delete the container after its end"),
        ("no-subreaper", "", "", "do not become the reaper of the container's orphans"),
    ),
    "ID",
    1,
)


def run(call: Call) -> int:
    from pyruntime.runtime.create import run as run_container
    from pyruntime.runtime.interruption import Guard

    call.failing = "%s run failed"
    options = call.options
    with Guard():
        return run_container(request(call, detach=options["detach"], keep=options["keep"]))
