"""native/launcher/heap.c beneath a program that does at random what the interpreter does."""

from __future__ import annotations

import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent / "heap"
LAUNCHER = Path(__file__).resolve().parents[3] / "native" / "launcher"


def test_what_was_written_stays_and_what_was_given_back_is_used_again(tmp_path: Path) -> None:
    program = tmp_path / "stress"
    checks = ["-fsanitize=undefined", "-fno-sanitize-recover=all"]
    include = [f"-I{HERE}", f"-I{LAUNCHER}"]
    sources = [HERE / "stress.c", LAUNCHER / "heap.c"]
    command = ["gcc", "-std=gnu11", "-O1", *checks, *include, *sources, "-o", program]
    subprocess.run(command, check=True)
    done = subprocess.run([program], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    # The row was full at times, so both ways were gone.
    assert int(done.stdout) > 0
