"""`ctr task exec`: the shim hands over the whole process in a file, always detached, and waits for the pid it reads."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.engines.engine import Containerd


@pytest.fixture(scope="module")
def service(containerd: Containerd) -> Iterator[str]:
    name = "execs"
    containerd.ok(*containerd.words(name, "sleep", "600", options=("--detach",)))
    yield name
    containerd.ok("task", "kill", "--signal=KILL", name)
    containerd.until("STOPPED", "task", "list")
    containerd.run("task", "delete", name)
    containerd.ok("container", "delete", name)


def execute(name: str, identity: str, *words: str, options: tuple[str, ...] = ()) -> list[str]:
    return ["task", "exec", f"--exec-id={identity}", *options, name, *words]


def test_output_and_success(containerd: Containerd, service: str) -> None:
    done = containerd.run(*execute(service, "hello", "echo", "hello from exec"))
    assert (done.returncode, done.stdout) == (0, "hello from exec\n"), done.stderr


@pytest.mark.parametrize("status", [1, 42, 255])
def test_exit_codes(containerd: Containerd, service: str, status: int) -> None:
    done = containerd.run(*execute(service, f"exit{status}", "sh", "-c", f"exit {status}"))
    assert done.returncode == status, done.stderr


def test_program_that_is_not_there(containerd: Containerd, service: str) -> None:
    done = containerd.run(*execute(service, "nosuch", "nosuch"))
    assert done.returncode == 1
    assert 'exec: "nosuch": executable file not found in $PATH' in done.stderr
    assert containerd.run(*execute(service, "nosuch", "true")).returncode == 0


def test_stdin(containerd: Containerd, service: str) -> None:
    done = containerd.run(*execute(service, "stdin", "head", "-n", "1"), stdin="one\ntwo\n")
    assert (done.returncode, done.stdout) == (0, "one\n"), done.stderr


def test_user_and_directory(containerd: Containerd, service: str) -> None:
    options = ("--user=1000", "--cwd=/tmp")
    words = ("sh", "-c", "id -u; pwd")
    done = containerd.run(*execute(service, "who", *words, options=options))
    assert done.stdout.split() == ["1000", "/tmp"], done.stderr


def test_terminal(containerd: Containerd, service: str) -> None:
    status, seen = containerd.on_terminal(*execute(service, "terminal", "tty", options=("--tty",)))
    # ctr may find the process ended when it wants to set the terminal's size, and says so.
    assert status == 0 and seen.split()[0] == "/dev/pts/0"


def test_detached(containerd: Containerd, service: str) -> None:
    script = "echo made >/tmp/made; sleep 600"
    containerd.ok(*execute(service, "later", "sh", "-c", script, options=("--detach",)))
    for number in range(200):  # an exec takes a while, and each needs an id of its own
        look = execute(service, f"look{number}", "sh", "-c", "cat /tmp/made 2>&1; true")
        if containerd.ok(*look) == "made\n":
            return
    pytest.fail("the detached process never did what it was asked for")


def test_in_the_containers_groups(containerd: Containerd, service: str) -> None:
    done = containerd.run(*execute(service, "groups", "cat", "/proc/self/cgroup"))
    assert f"memory:/{containerd.parent}/{service}" in done.stdout, done.stderr
