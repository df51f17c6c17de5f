"""`docker exec`: its users see exit codes that the daemon makes of our words."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.engines import image
from tests.engines.docker import Docker


@pytest.fixture(scope="module")
def service(docker: Docker) -> Iterator[str]:
    name = "execs"
    docker.ok("run", "--detach", f"--name={name}", *docker.usual, image.NAME, "sleep", "600")
    yield name
    docker.run("rm", "--force", name)


def test_output_and_success(docker: Docker, service: str) -> None:
    done = docker.run("exec", service, "echo", "hello from exec")
    assert (done.returncode, done.stdout) == (0, "hello from exec\n"), done.stderr


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("nosuch", 'exec: "nosuch": executable file not found in $PATH'),
        ("/bin/nosuch", "no such file or directory"),
        ("/etc/plain", "permission denied"),
    ],
)
def test_program_that_cannot_run(docker: Docker, service: str, program: str, words: str) -> None:
    """126 or 127, by the daemon's version; the words are ours."""
    done = docker.run("exec", service, program)
    assert done.returncode in (126, 127) and words in done.stdout + done.stderr, done.stderr


def test_exit_code_and_stdin(docker: Docker, service: str) -> None:
    done = docker.run("exec", "--interactive", service, "sh", "-c", "cat; exit 42", stdin="one\n")
    assert (done.returncode, done.stdout) == (42, "one\n"), done.stderr


def test_user_directory_and_environment(docker: Docker, service: str) -> None:
    options = ("--user=1000:1000", "--workdir=/tmp", "--env=WORD=said")
    done = docker.run("exec", *options, service, "sh", "-c", "id -u; id -g; pwd; echo $WORD")
    assert done.stdout.split() == ["1000", "1000", "/tmp", "said"], done.stderr


def test_privileged(docker: Docker, service: str) -> None:
    script = "grep CapEff /proc/self/status"
    plain = docker.run("exec", service, "sh", "-c", script).stdout
    more = docker.run("exec", "--privileged", service, "sh", "-c", script).stdout
    assert int(more.split()[1], 16) > int(plain.split()[1], 16)


def test_terminal(docker: Docker, service: str) -> None:
    status, seen = docker.on_terminal("exec", "-it", service, "tty")
    assert (status, seen.strip()) == (0, "/dev/pts/0")


def test_detached(docker: Docker, service: str) -> None:
    docker.ok("exec", "--detach", service, "sh", "-c", "echo made >/tmp/made")
    docker.until("made", "exec", service, "sh", "-c", "cat /tmp/made; true")


def test_a_health_check(docker: Docker) -> None:
    name = "healthy"
    check = ("--health-cmd=true", "--health-interval=1s")
    docker.ok(
        "run", "--detach", f"--name={name}", *check, *docker.usual, image.NAME, "sleep", "600"
    )
    try:
        docker.until("healthy", "inspect", "--format={{.State.Health.Status}}", name)
    finally:
        docker.run("rm", "--force", name)
