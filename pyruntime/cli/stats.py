"""`stats`: what the containers use, as a table that goes on or as lines of JSON."""

from __future__ import annotations

from pyruntime.cli import durations
from pyruntime.cli.main import write
from pyruntime.cli.options import Verb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyruntime.cli.main import Call

STDOUT = 1
DEFAULT_INTERVAL_NS = 10**9
MOST = 1 << 20
VERB = Verb(
    "shows what containers use: processor, memory, processes, network, devices, pressure",
    (
        ("interval", "", "DURATION", "time between two looks, such as 500ms (default 1s)"),
        ("json", "", "", "lines of JSON, one a container and look"),
        ("no-stream", "", "", "look once, which takes one interval, and exit"),
    ),
    "[ID...]",
    0,
    MOST,
    "Without an ID all containers that run, also those still to come. PRESSURE is the share of the last ten seconds"
    " in which some process waited for the processor, memory or a device.",
)  # fmt: skip
TITLES = ("ID", "PID", "CPU %", "MEM USAGE / LIMIT", "PIDS", "NET IN / OUT", "IO READ / WRITTEN",
          "PRESSURE CPU/MEM/IO %")  # fmt: skip
CLEAR = "\033[H\033[J"


def run(call: Call) -> int:
    options = call.options
    interval_s = durations.of_flag("interval", options["interval"], DEFAULT_INTERVAL_NS)
    from pyruntime.runtime.container_stats import Sampler

    show = _as_json if options["json"] else _as_table
    try:
        with Sampler(call.root, call.arguments, STDOUT, call.to_log()) as sampler:
            sampler.sample()  # a share of the processor needs two looks
            while True:
                sampler.wait(interval_s)
                if sampler.over:
                    return 0
                show(sampler.sample(), once=options["no-stream"])
                if options["no-stream"]:
                    return 0
    except BrokenPipeError:
        return 0  # nobody listens any more


def _as_json(samples: list[dict[str, Any]], *, once: bool) -> None:
    from pyruntime.lib import jsondoor

    write("".join(jsondoor.dumps(sample) + "\n" for sample in samples), raises=True)


def _as_table(samples: list[dict[str, Any]], *, once: bool) -> None:
    import posix

    table = [TITLES, *map(_row, samples)]
    widths = [max(len(row[at]) for row in table) + 3 for at in range(len(TITLES))]
    lines = (
        "".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    )
    clear = CLEAR if not once and posix.isatty(STDOUT) else ""
    write(clear + "\n".join(lines) + "\n", raises=True)


def _row(sample: dict[str, Any]) -> tuple[str, ...]:
    cpu, memory, pids = sample["cpu"], sample["memory"], sample["pids"]
    pressures = (cpu["pressure"], memory["pressure"], sample["io"]["pressure"])
    limit = "" if pids["limit"] is None else f" / {pids['limit']}"
    return (
        sample["id"],
        str(sample["pid"]),
        "-" if cpu["percent"] is None else f"{cpu['percent']:.2f}",
        f"{_size(memory['usage'])} / {_size(memory['limit'])}",
        "-" if pids["current"] is None else f"{pids['current']}{limit}",
        f"{_size(sample['network']['received'])} / {_size(sample['network']['sent'])}",
        f"{_size(sample['io']['read'])} / {_size(sample['io']['written'])}",
        " ".join("-" if value is None else f"{value:.1f}" for value in pressures),
    )


def _size(count: int | None) -> str:
    """Binary units with three figures."""
    if count is None:
        return "-"
    value, units = float(count), ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]
    while value >= 1000 and len(units) > 1:
        value /= 1024
        units.pop(0)
    return f"{count}B" if units[0] == "B" else f"{value:.3g}{units[0]}"
