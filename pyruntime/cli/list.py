"""`list`: every container of the state root."""

from __future__ import annotations

from pyruntime import errors
from pyruntime.cli.main import write
from pyruntime.cli.options import Verb
from pyruntime.runtime import container
from pyruntime.runtime.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyruntime.cli.main import Call

VERB = Verb(
    "lists the containers of the state root",
    (
        ("format", "f", "FORMAT", "table or json (default table)"),
        ("quiet", "q", "", "print the ids only"),
    ),
)
TITLES = ("ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER")
NARROWEST = 12  # as runc's columns


def run(call: Call) -> int:
    form = call.options["format"] or "table"
    if form not in ("table", "json"):
        raise errors.UsageError("invalid format option")
    states = []
    store = Store(call.root)
    if call.root and store.fd < 0:
        # The default one comes with the first container; a mistyped one is no empty list.
        raise errors.PyruntimeError(f"open {call.root}: no such file or directory")
    for found in container.every(store):
        if not isinstance(found, tuple):
            # The rest is shown all the same. Not in a JSON log: it is no failure of ours.
            call.to_log().warning(f"load container {found.container_id}: {found.message}")
            continue
        state, uid = found
        state["owner"] = _user_name(uid)
        states.append(state)
    write(_listing(states, form, quiet=call.options["quiet"]))
    return 0


def _listing(states: list[dict[str, Any]], form: str, *, quiet: bool) -> str:
    if quiet:
        return "".join(f"{state['id']}\n" for state in states)
    if form == "json":
        from pyruntime.lib import jsondoor

        return jsondoor.dumps(states or None) + "\n"
    rows = [TITLES]
    for state in states:
        rows.append((state["id"], str(state["pid"]), state["status"], state["bundle"], state["created"],
                     state["owner"]))  # fmt: skip
    widths = [max(NARROWEST, *(len(row[at]) + 3 for row in rows)) for at in range(len(TITLES))]
    return "".join(
        "".join(text.ljust(width) for text, width in zip(row[:-1], widths, strict=False))
        + f"{row[-1]}\n"
        for row in rows
    )


def _user_name(uid: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"#{uid}"
