"""What the hot path pays: which modules, and how much of an engine's document's time."""

from __future__ import annotations

import json
import subprocess
import sys

from pyruntime.lib.jsondoor import loads
from pyruntime.spec.check import check
from tests.lib.patience import cpu_time
from tests.unit.spec.cases import base

HOT = {
    "__future__",
    "_json",
    "errno",
    "posix",
    "pyruntime",
    "pyruntime.errors",
    "pyruntime.lib",
    "pyruntime.lib.files",
    "pyruntime.lib.jsondoor",
    "pyruntime.spec",
    "pyruntime.spec._tables",
    "pyruntime.spec.check",
    "pyruntime.spec.load",
    "pyruntime.spec.patterns",
    "pyruntime.spec.rules",
}
COLD = {"_imp", "pyruntime.lib.handover", "pyruntime.spec.sentences", "pyruntime.spec.sound"}


def imported(document: str, tail: str) -> set[str]:
    code = (
        "import sys; before = set(sys.modules)\n"
        "from pyruntime.spec import load\n"
        f"{tail}"
        f"try: load.parse({document.encode()!r})\n"
        "except load.SpecError: pass\n"
        "print(*sorted(set(sys.modules) - before))"
    )
    command = [sys.executable, "-S", "-c", code]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return set(done.stdout.split())


def test_modules_of_a_good_document() -> None:
    assert imported('{"ociVersion": "1.3.0"}', "") <= HOT


def test_modules_of_a_bad_document_in_the_small_interpreter() -> None:
    """The launcher has no standard library: refusing must not need it either."""
    small = "from pyruntime.lib import handover; handover.running_full = lambda: False\n"
    assert imported('{"ociVersion": 3}', small) <= HOT | COLD


def test_time() -> None:
    """A document like Podman's is decoded and checked in well under a millisecond."""
    document = base("full")
    document["linux"]["seccomp"]["syscalls"] = [
        {"names": [f"call_{i}_{j}" for j in range(20)], "action": "SCMP_ACT_ALLOW"}
        for i in range(22)
    ]
    data = json.dumps(document).encode()
    assert len(data) > 10_000

    def once() -> None:
        assert check(loads(data)) is None

    # 0.2 ms on the machine this was written on; the bound is for slow and busy ones.
    assert cpu_time(once, 50) < 0.0015
