"""pyruntime/lib/proc.py: identities of processes, and facts of the kernel."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

from pyruntime.lib import proc


def sleeper(program: str = "/bin/sleep") -> subprocess.Popen[bytes]:
    return subprocess.Popen([program, "60"])


def test_ourselves() -> None:
    found = proc.stat_of(os.getpid())
    assert found is not None and found[0] == "R"
    assert found[1] == int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])


def test_the_number_in_its_own_namespace() -> None:
    line = Path("/proc/self/status").read_text().split("NSpid:")[1].splitlines()[0]
    pidfd = os.pidfd_open(os.getpid())
    assert proc.inner_pid(pidfd) == int(line.split()[-1])
    os.close(pidfd)


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


def test_a_zombie() -> None:
    child = sleeper()
    found = proc.stat_of(child.pid)
    assert found is not None and found[0] not in proc.ENDED
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert proc.stat_of(child.pid) == ("Z", found[1])
    assert proc.is_ending(child.pid) and not proc.is_ending(os.getpid())
    assert proc.is_shown(child.pid)
    child.wait()
    assert not proc.is_ending(child.pid), "a pidfd tells that it has ended"
    assert proc.stat_of(child.pid) is None
    assert proc.exe_of(child.pid) is None
    assert not proc.is_shown(child.pid)
    assert proc.open_pidfd(child.pid) == -1


def test_the_number_of_a_thread_is_no_process() -> None:
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    try:
        assert thread.native_id is not None
        assert proc.open_pidfd(thread.native_id) == -1
    finally:
        done.set()
        thread.join()


def test_the_offset_of_a_time_namespace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proc, "INITIAL_TIME_NAMESPACE", 0)
    rows = b"monotonic 7 0\nboottime -2 500000000\n"
    monkeypatch.setattr(proc, "read_file", lambda path, limit: rows)
    assert proc.clock_offset() == -1_500_000_000


def test_the_program() -> None:
    facts = os.stat("/proc/self/exe")
    assert proc.exe_of(os.getpid()) == [facts.st_dev, facts.st_ino]


def test_facts_of_the_kernel() -> None:
    assert proc.boot_id() == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert 37 <= proc.last_capability() < 64
