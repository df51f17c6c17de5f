"""pyruntime/lib/proc.py: identities of processes, and facts of the kernel."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from pyruntime.lib import proc


def sleeper(program: str = "/bin/sleep") -> subprocess.Popen[bytes]:
    return subprocess.Popen([program, "60"])


def test_ourselves() -> None:
    found = proc.stat_of(os.getpid())
    assert found is not None and found[0] == "R"
    assert found[1] == int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    assert proc.is_alive(os.getpid(), found[1])
    assert not proc.is_alive(os.getpid(), found[1] + 1)


def test_the_number_in_its_own_namespace() -> None:
    line = Path("/proc/self/status").read_text().split("NSpid:")[1].splitlines()[0]
    assert proc.inner_pid(os.getpid()) == int(line.split()[-1])


@pytest.mark.parametrize("name", [") R 1 1", "a b", "((", "x) Z 1"])
def test_names_with_brackets(tmp_path: Path, name: str) -> None:
    """R-30: a process chooses its own name."""
    program = tmp_path / name
    shutil.copy("/bin/sleep", program)
    child = sleeper(str(program))
    try:
        found = proc.stat_of(child.pid)
        assert found is not None and found[0] in "RSD" and found[1] > 0
    finally:
        child.kill()
        child.wait()


def test_a_zombie_is_not_alive() -> None:
    child = sleeper()
    found = proc.stat_of(child.pid)
    assert found is not None and proc.is_alive(child.pid, found[1])
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert proc.stat_of(child.pid) == ("Z", found[1])
    assert not proc.is_alive(child.pid, found[1])
    assert proc.is_ending(child.pid) and not proc.is_ending(os.getpid())
    child.wait()
    assert proc.is_ending(child.pid)
    assert proc.stat_of(child.pid) is None
    assert proc.exe_of(child.pid) is None
    assert not proc.is_alive(child.pid, found[1])


def test_the_program() -> None:
    facts = os.stat("/proc/self/exe")
    assert proc.exe_of(os.getpid()) == [facts.st_dev, facts.st_ino]


def test_facts_of_the_kernel() -> None:
    assert proc.boot_id() == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert 37 <= proc.last_capability() < 64
