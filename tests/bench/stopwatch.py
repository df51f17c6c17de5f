"""The Python end of stopwatch.c: one small process that starts programs and says what each cost."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
FLAGS = ["-static", "-O2", "-Wall", "-Wextra", "-Werror"]


class BenchError(Exception):
    """Something went wrong that makes the figures worthless; the message says what."""


class Cost(NamedTuple):
    wall_ms: float
    cpu_ms: float
    rss_mib: float


def compile_program(name: str, directory: Path) -> Path:
    target = directory / name
    subprocess.run(["gcc", *FLAGS, "-o", str(target), str(HERE / f"{name}.c")], check=True)
    return target


class Stopwatch:
    """`prefix` runs the stopwatch, and so all it starts, in other surroundings (see runtimes.py)."""

    def __init__(self, binary: Path, output: Path, errors: Path, prefix: list[str]) -> None:
        self.errors = errors
        self.process = subprocess.Popen(
            [*prefix, str(binary), str(output), str(errors)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd="/",
            env={"PATH": os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")},
        )

    def _ask(self, *fields: str) -> tuple[int, Cost]:
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write("\t".join(fields).encode() + b"\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().split()
        if len(answer) != 4:
            raise BenchError(f"the stopwatch died at: {' '.join(fields)}")
        status, wall, cpu, rss = (int(field) for field in answer)
        return status, Cost(wall / 1e6, cpu / 1e3, rss / 1024)

    def run(self, argv: list[str], *, expect: int = 0) -> Cost:
        status, cost = self._ask("run", *argv)
        if status != expect:
            words = self.errors.read_text(errors="replace").strip()
            raise BenchError(f"`{' '.join(argv)}` ended with {status}: {words}")
        return cost

    def wait(self, pid: int, *, expect: int = 0) -> Cost:
        status, cost = self._ask("wait", str(pid))
        if status != expect:
            raise BenchError(f"process {pid} ended with {status}, not {expect}")
        return cost

    def close(self) -> None:
        assert self.process.stdin and self.process.stdout
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()
