"""`podman exec` with the runtime under test: a further process in a running container, attached and not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.engines import image
from tests.engines.engine import Podman

NAME = "executed"


@pytest.fixture(scope="module")
def service(podman_engine: Podman) -> Iterator[Podman]:
    podman_engine.by_path()
    options = ("--detach", f"--name={NAME}", "--env=GIVEN=once", *podman_engine.usual)
    podman_engine.ok("run", *options, image.NAME, "sleep", "1000")
    yield podman_engine
    podman_engine.ok("rm", "--force", "--time=0", NAME)


def test_output_and_status(service: Podman) -> None:
    done = service.run("exec", NAME, "sh", "-c", "echo $GIVEN; echo err >&2; exit 3")
    assert (done.returncode, done.stdout, done.stderr) == (3, "once\n", "err\n")


def test_the_same_namespaces(service: Podman) -> None:
    script = "for kind in pid mnt ipc uts net; do stat -L -c %i /proc/$1/ns/$kind; done"
    inside = service.ok("exec", NAME, "sh", "-c", script, "sh", "self")
    assert inside.split() == service.ok("exec", NAME, "sh", "-c", script, "sh", "1").split()
    assert len(inside.split()) == 5


def test_user_directory_and_environment(service: Podman) -> None:
    options = ("--user=1000:1000", "--workdir=/tmp", "--env=MORE=two")
    done = service.ok("exec", *options, NAME, "sh", "-c", "id -u; id -g; pwd; echo $GIVEN $MORE")
    assert done.split() == ["1000", "1000", "/tmp", "once", "two"]


def test_stdin(service: Podman) -> None:
    assert service.ok("exec", "--interactive", NAME, "cat", stdin="in\n") == "in\n"


def test_terminal(service: Podman) -> None:
    status, seen = service.on_terminal("exec", "--interactive", "--tty", NAME, "tty")
    assert status == 0 and seen.strip().startswith("/dev/pts/")


@pytest.mark.parametrize(
    ("program", "status", "words"),
    [("nosuch", 127, "executable file not found"), ("/etc/plain", 126, "permission denied")],
)
def test_program_that_cannot_run(service: Podman, program: str, status: int, words: str) -> None:
    done = service.run("exec", NAME, program)
    assert done.returncode == status, done.stderr
    assert words in done.stderr.lower()


def test_detached(service: Podman) -> None:
    service.ok("exec", "--detach", NAME, "sh", "-c", "echo here >/tmp/made; sleep 1000")
    service.until("here", "exec", NAME, "sh", "-c", "cat /tmp/made 2>&1 || true")
