"""`docker run --runtime OURS`: the daemon hooks into every container, and reads the text of every error."""

from __future__ import annotations

import json

import pytest

from tests.engines import image
from tests.engines.docker import Docker

TINY = image.NAME


def test_output_and_success(docker: Docker) -> None:
    done = docker.container(TINY, "echo", "hello from docker")
    assert (done.returncode, done.stdout) == (0, "hello from docker\n"), done.stderr


def test_exit_code(docker: Docker) -> None:
    assert docker.container(TINY, "sh", "-c", "exit 42").returncode == 42


@pytest.mark.parametrize(
    ("program", "status"), [("nosuch", 127), ("/bin/nosuch", 127), ("/etc/plain", 126)]
)
def test_program_that_cannot_run(docker: Docker, program: str, status: int) -> None:
    done = docker.container(TINY, program)
    assert done.returncode == status, done.stderr


def test_stdin(docker: Docker) -> None:
    done = docker.container("--interactive", TINY, "cat", stdin="one\ntwo\n")
    assert (done.returncode, done.stdout) == (0, "one\ntwo\n"), done.stderr


def test_terminal(docker: Docker) -> None:
    status, seen = docker.on_terminal("run", "--rm", "-it", *docker.usual, TINY, "tty")
    assert (status, seen.strip()) == (0, "/dev/pts/0")


def test_life_of_a_service(docker: Docker) -> None:
    script = "trap 'echo bye; exit 7' TERM; echo up; while :; do sleep 0.1; done"
    options = ("--detach", "--name=service", "--memory=64m", "--pids-limit=50", *docker.usual)
    docker.ok("run", *options, TINY, "sh", "-c", script)
    try:
        docker.until("up", "logs", "service")
        docker.ok("stop", "--time=20", "service")
        state = json.loads(docker.ok("inspect", "service"))[0]["State"]
        assert (state["Status"], state["ExitCode"]) == ("exited", 7)
        docker.ok("start", "service")
        docker.ok("kill", "service")
        assert docker.ok("wait", "service").strip() == "137"
    finally:
        docker.run("rm", "--force", "service")
