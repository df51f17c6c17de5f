"""The init's unit tests on an init that traps wherever C leaves undefined what it does."""

from __future__ import annotations

import os
import re
import subprocess
import sys

from tests.lib.programs import PROJECT

INIT = PROJECT / "build/fuzz/init"
TRAPPING = "gcc -fsanitize=undefined -fsanitize-undefined-trap-on-error"


def test_undefined_behaviour_traps() -> None:
    INIT.parent.mkdir(parents=True, exist_ok=True)
    source = str(PROJECT / "native/init")
    subprocess.run(["make", "-s", "-C", source, f"CC={TRAPPING}", f"INIT={INIT}"], check=True)
    disassembly = subprocess.run(
        ["objdump", "-d", str(INIT)], check=True, capture_output=True, text=True
    )
    assert "ud2" in disassembly.stdout, "it has no traps"
    names = sorted((PROJECT / "tests/unit/native").glob("test_init_*.py"))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-m", "not nightly", *map(str, names)],
        cwd=PROJECT,
        env={**os.environ, "INIT_COMMAND": str(INIT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:]
    assert int(re.findall(r"(\d+) passed", done.stdout)[0]) > 200
