"""`events`: JSON lines of what happens in a container and what it uses."""

from __future__ import annotations

from pyruntime import errors
from pyruntime.cli import durations
from pyruntime.cli.main import write
from pyruntime.cli.options import Verb, check_count
from pyruntime.lib import jsondoor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyruntime.cgroup.notifications import Trigger
    from pyruntime.cli.main import Call

STDOUT = 1
DEFAULT_INTERVAL_NS = 5 * 10**9
# Documentation/accounting/psi.rst
LEAST_WINDOW_NS, MOST_WINDOW_NS = 500 * 10**6, 10 * 10**9

VERB = Verb(
    "prints what a container uses, and that its memory ran out, as lines of JSON",
    (
        ("interval", "", "DURATION", "time between statistics, such as 100ms or 1m30s (default 5s)"),
        ("stats", "", "", "print the statistics once and exit"),
        ("all", "", "", "what happens to every container of the state root instead, without statistics"),
        (
            "psi",
            "",
            "TRIGGER...",
            "with --all: tell of pressure above RESOURCE=SHARE:STALL/WINDOW, such as memory=some:150ms/1s",
        ),
    ),
    "ID",
    0,
    1,
    "Ends when the container does. With --all the types are found, created, started, exited, deleted, oom, memory,"
    " pids and pressure, and each line has a time.",
)  # fmt: skip


def run(call: Call) -> int:
    options = call.options
    if options["all"]:
        return _all(call)
    if options["psi"]:
        raise errors.UsageError("--psi is for --all")
    check_count("events", Verb("", arguments="ID", least=1), len(call.arguments))
    interval_s = durations.of_flag("interval", options["interval"], DEFAULT_INTERVAL_NS)
    from pyruntime.runtime import container, events

    found = container.find(call.root, call.arguments[0])
    try:
        if options["stats"]:
            events.once(found, _say)
        else:
            events.stream(found, interval_s, _say, STDOUT)
    except BrokenPipeError:
        return 0  # nobody listens any more
    return 0


def _all(call: Call) -> int:
    if call.arguments or call.options["stats"] or call.options["interval"]:
        raise errors.UsageError("--all takes no container, and has no statistics")
    triggers = [_trigger(word) for word in call.options["psi"]]
    from pyruntime.runtime import all_events

    try:
        all_events.watch(call.root, triggers, _say, STDOUT, call.to_log())
    except BrokenPipeError:
        return 0
    return 0


def _trigger(word: str) -> Trigger:
    from pyruntime.cgroup import notifications

    resource, _, rest = word.partition("=")
    share, _, times = rest.partition(":")
    stall, window = (durations.nanoseconds(part) or 0 for part in (times.partition("/")[::2]))
    if (
        resource not in notifications.KINDS
        or share not in ("some", "full")
        or not stall
        or not window
    ):
        raise errors.UsageError(
            f"--psi `{word}`: not RESOURCE=SHARE:STALL/WINDOW",
            hint="RESOURCE is cpu, memory or io, SHARE some or full; such as memory=some:150ms/1s",
        )
    if not LEAST_WINDOW_NS <= window <= MOST_WINDOW_NS or not 1000 <= stall <= window:
        raise errors.UsageError(
            f"--psi `{word}`: the window is 500ms to 10s, and the stall no longer than it"
        )
    return notifications.Trigger(resource, share, stall // 1000, window // 1000)


def _say(event: dict[str, Any]) -> None:
    write(jsondoor.dumps(event) + "\n", raises=True)
