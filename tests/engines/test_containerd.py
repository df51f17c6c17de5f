"""`ctr run --runc-binary OURS`: containerd's shim is the strictest reader of exit codes and words."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.engines.engine import Containerd, remove_groups


def test_output_and_success(containerd: Containerd) -> None:
    done = containerd.container("hello", "echo", "hello from containerd")
    assert (done.returncode, done.stdout) == (0, "hello from containerd\n"), done.stderr


@pytest.mark.parametrize("status", [0, 1, 42])
def test_exit_codes(containerd: Containerd, status: int) -> None:
    done = containerd.container(f"exit{status}", "sh", "-c", f"exit {status}")
    assert done.returncode == status, done.stderr


def test_program_that_is_not_there(containerd: Containerd) -> None:
    done = containerd.container("nosuch", "nosuch")
    assert done.returncode == 1
    assert 'exec: "nosuch": executable file not found in $PATH' in done.stderr
    # The failed one is gone: its name can be used again.
    assert containerd.container("nosuch", "true").returncode == 0


def test_stdin(containerd: Containerd) -> None:
    # `ctr` does not close the container's stdin, so the program stops reading by itself.
    done = containerd.run(*containerd.words("stdin", "head", "-n", "1"), stdin="one\ntwo\n")
    assert (done.returncode, done.stdout) == (0, "one\n"), done.stderr


def test_terminal(containerd: Containerd) -> None:
    words = containerd.words("terminal", "tty", options=("--rm", "--tty"))
    status, seen = containerd.on_terminal(*words)
    assert (status, seen.strip()) == (0, "/dev/pts/0")


def test_memory_limit(containerd: Containerd) -> None:
    words = containerd.words(
        "limit", "cat", "/proc/self/cgroup", options=("--rm", "--memory-limit=67108864")
    )
    done = containerd.run(*words)
    assert done.returncode == 0, done.stderr
    assert f"memory:/{containerd.parent}/limit" in done.stdout


def test_life_of_a_service(containerd: Containerd) -> None:
    containerd.ok(*containerd.words("service", "sleep", "600", options=("--detach",)))
    assert "RUNNING" in containerd.ok("task", "list")
    containerd.ok("task", "kill", "--signal=KILL", "service")
    containerd.until("STOPPED", "task", "list")
    done = containerd.run("task", "delete", "service")
    assert "exit with non-zero exit code 137" in done.stderr
    again = containerd.run("task", "kill", "service")
    assert again.returncode == 1
    assert "not found" in again.stderr
    containerd.ok("container", "delete", "service")


def test_a_task_that_never_started_is_deleted(containerd: Containerd) -> None:
    """`ctr` gives up between create and start. Deleting a created task is refused by the client; with --force it
    kills first, so the runtime is never asked to."""
    options = ("--detach", "--pid-file=/nowhere/pid")
    done = containerd.run(*containerd.words("given-up", "true", options=options))
    assert done.returncode == 1 and "/nowhere" in done.stderr, done.stderr
    assert "CREATED" in containerd.ok("task", "list")
    refused = containerd.run("task", "delete", "given-up")
    assert refused.returncode == 1 and "must be stopped before deletion" in refused.stderr
    containerd.run("task", "delete", "--force", "given-up")
    assert "given-up" not in containerd.ok("task", "list")
    containerd.ok("container", "delete", "given-up")


def test_the_umask_is_not_the_daemons(tmp_path: Path) -> None:
    """Containerd names none in the config; UMask=0077 in its unit is for its own files (runc's way)."""
    parent = f"pyruntime-umask-{os.getpid()}"
    engine = Containerd(tmp_path, parent, umask=0o077)
    try:
        assert engine.container("umask", "sh", "-c", "umask").stdout == "0022\n"
    finally:
        engine.close()
        remove_groups(parent)
