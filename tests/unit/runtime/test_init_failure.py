"""pyruntime/runtime/init_failure.py: why a process ended, said of real ones."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from pyruntime.runtime.init_failure import describe_end, exit_code


def record(tmp_path: Path, kills: int) -> dict[str, Any]:
    """A container whose memory group counts so many kills."""
    (tmp_path / "group").mkdir()
    (tmp_path / "group/memory.oom_control").write_text(f"oom_kill_disable 0\noom_kill {kills}\n")
    return {"cgroup": {"groups": {"memory": [str(tmp_path), "/group", 1]}}}


SENTENCES = [
    ("exit 3", 0, False, "container init ended before it was ready: exit status 3"),
    ("exit 113", 0, False, "the runtime's end of the socket closed"),
    ("kill -9 $$", 0, False, "container init ended before it was ready: killed by signal 9"),
    ("kill -9 $$", 1, False, "container init was OOM-killed (memory limit too low?)"),
    ("exit 3", 2, False, "container init was OOM-killed (memory limit too low?)"),
    ("kill -9 $$", 0, True, "the process ended before it was ready: killed by signal 9"),
    ("kill -9 $$", 1, True, "the process was OOM-killed (memory limit too low?)"),
    ("exit 3", 2, True, "the process ended before it was ready: exit status 3"),
    ("kill -15 $$", 2, True, "the process ended before it was ready: killed by signal 15"),
]


@pytest.mark.parametrize(("script", "kills", "joining", "words"), SENTENCES)
def test_sentences(tmp_path: Path, script: str, kills: int, joining: bool, words: str) -> None:
    """Kills of others, before, are not those of one that joins."""
    child = subprocess.Popen(["/bin/sh", "-c", script])
    error = describe_end(child.pid, record(tmp_path, kills), joining=joining)
    child.wait()
    assert words in str(error)


@pytest.mark.parametrize(
    ("status", "code"), [(0, 0), (3 << 8, 3), (255 << 8, 255), (9, 137), (0x80 | 11, 139)]
)
def test_exit_codes(status: int, code: int) -> None:
    """A core dump is told by a bit of the wait status and not by the exit code."""
    assert exit_code(status) == code
