"""`ps`: the processes of the container, by their host pids."""

from __future__ import annotations

from pyruntime import errors
from pyruntime.cli.main import write
from pyruntime.cli.options import Verb
from pyruntime.runtime import container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyruntime.cli.main import Call

VERB = Verb(
    "lists the processes of the container",
    (("format", "f", "FORMAT", "table, as the ps of the host prints it, or json, the pids alone"),),
    "ID [PS-OPTION...]",
    1,
    64,
    "PS-OPTION goes to the ps of the host (default -ef); what it prints must have a column PID.",
    stop=True,
)
# Only the administrator can write to these (security: R-39).
PLACES = ("/bin/ps", "/usr/bin/ps")
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
LIMIT_BYTES = 64 << 20
PATIENCE_S = 30.0


def run(call: Call) -> int:
    form = call.options["format"] or "table"
    if form not in ("table", "json"):
        raise errors.UsageError("invalid format option")
    container_id, *words = call.arguments
    pids = container.find(call.root, container_id).processes()
    if form == "json":
        from pyruntime.lib import jsondoor

        write(jsondoor.dumps(pids or None) + "\n")
    else:
        write(_rows_of(pids, _host_ps(words or ["-ef"])))
    return 0


def _host_ps(words: Sequence[str]) -> str:
    import posix

    from pyruntime.runtime import programs

    path = next((place for place in PLACES if posix.access(place, posix.X_OK)), "")
    if not path:
        raise errors.UnsupportedError(
            "the host has no ps", hint="the package procps has it; --format json needs none"
        )
    try:
        status, output = programs.answer(
            [path, *words], ENVIRONMENT, limit_bytes=LIMIT_BYTES, patience_s=PATIENCE_S
        )
    except OSError as error:
        raise errors.StepError(path, errno=error.errno or 0) from error
    text = output.decode("utf-8", "surrogateescape")
    if status:
        raise errors.StepError(f"{path} {' '.join(words)} failed: {text.strip() or 'no output'}")
    return text


def _rows_of(pids: Sequence[int], listing: str) -> str:
    """The title and the rows of these processes; the column is found by its title, as runc does."""
    lines = listing.splitlines(keepends=True)
    titles = lines[0].split() if lines else []
    if "PID" not in titles:
        raise errors.StepError("couldn't find PID field in ps output")
    column, wanted = titles.index("PID"), {str(pid) for pid in pids}
    rows = [line for line in lines[1:] if line.split(None, column + 1)[column : column + 1]]
    return lines[0] + "".join(
        line for line in rows if line.split(None, column + 1)[column] in wanted
    )
