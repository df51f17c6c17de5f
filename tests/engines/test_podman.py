"""`podman --runtime OURS`: what a user sees must be what the reference runtime gives."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.engines import image
from tests.engines.engine import Podman
from tests.lib import programs
from tests.lib.fixtures import cgroup_layout

TINY = image.NAME
# The files that hold them, and what 512 shares are there: on v2 by the old line or the new curve.
LIMITS = {
    False: ("memory/memory.limit_in_bytes pids/pids.max cpu/cpu.shares", ["512"]),
    True: ("memory.max pids.max cpu.weight", ["20", "59"]),
}


def test_output_and_success(podman: Podman) -> None:
    done = podman.container(TINY, "echo", "hello from podman")
    assert (done.returncode, done.stdout) == (0, "hello from podman\n"), done.stderr


@pytest.mark.parametrize(
    ("command", "status"),
    [
        ("exit 42", 42),
        (
            "kill -9 $$; exit 1",
            1,
        ),  # the first process of a pid namespace is deaf to its own SIGKILL
        ("sh -c 'kill -9 $$'; exit $?", 137),
    ],
)
def test_exit_codes(podman: Podman, command: str, status: int) -> None:
    assert podman.container(TINY, "sh", "-c", command).returncode == status


@pytest.mark.parametrize(
    ("program", "status", "words"),
    [
        ("nosuch", 127, "executable file not found"),
        ("/bin/nosuch", 127, "no such file or directory"),
        ("/etc/plain", 126, "permission denied"),
    ],
)
def test_program_that_cannot_run(podman: Podman, program: str, status: int, words: str) -> None:
    done = podman.container(TINY, program)
    assert done.returncode == status, done.stderr
    assert words in done.stderr.lower()


def test_stdin(podman: Podman) -> None:
    done = podman.container("--interactive", TINY, "cat", stdin="one\ntwo\n")
    assert (done.returncode, done.stdout) == (0, "one\ntwo\n"), done.stderr


def test_stderr_stays_apart(podman: Podman) -> None:
    done = podman.container(TINY, "sh", "-c", "echo out; echo err >&2")
    assert (done.stdout, done.stderr) == ("out\n", "err\n")


def test_terminal(podman: Podman) -> None:
    status, seen = podman.on_terminal(
        "run", "--rm", "--tty", "--interactive", *podman.usual, TINY, "tty"
    )
    assert (status, seen.strip()) == (0, "/dev/pts/0")


def test_life_of_a_service(podman: Podman) -> None:
    script = "trap 'echo bye; exit 7' TERM; echo up; while :; do sleep 0.1; done"
    podman.ok("run", "--detach", "--name=service", *podman.usual, TINY, "sh", "-c", script)
    try:
        podman.until("up", "logs", "service")
        podman.ok("stop", "--time=20", "service")
        state = json.loads(podman.ok("inspect", "service"))[0]["State"]
        assert (state["Status"], state["ExitCode"]) == ("exited", 7)
        assert podman.ok("logs", "service") == "up\nbye\n"
        podman.ok("start", "service")
        podman.ok("kill", "--signal=KILL", "service")
        assert podman.ok("wait", "service").strip() == "137"
    finally:
        podman.ok("rm", "--force", "--time=0", "service")


def test_limits(podman: Podman) -> None:
    files, shares = LIMITS[cgroup_layout() == "v2"]
    options = ("--memory=64m", "--memory-swap=64m", "--pids-limit=50", "--cpu-shares=512")
    done = podman.container(*options, TINY, "sh", "-c", f"cd /sys/fs/cgroup; cat {files}")
    assert done.stdout.split()[:2] == ["67108864", "50"], done.stderr
    assert done.stdout.split()[2] in shares


def test_user_host_name_and_capabilities(podman: Podman) -> None:
    options = ("--user=1000:1000", "--hostname=box", "--cap-drop=all", "--read-only")
    script = "id -u; hostname; grep CapBnd /proc/self/status; echo x 2>/dev/null >/x || echo sealed"
    done = podman.container(*options, TINY, "sh", "-c", script)
    assert done.stdout.split() == ["1000", "box", "CapBnd:", "0" * 16, "sealed"], done.stderr


def test_volume(podman: Podman, tmp_path: Path) -> None:
    (tmp_path / "given").write_text("from the host\n")
    done = podman.container(
        f"--volume={tmp_path}:/data", TINY, "sh", "-c", "cat /data/given >/data/kept"
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "kept").read_text() == "from the host\n"


def test_refusal_reaches_the_user(podman: Podman) -> None:
    done = podman.container("--sysctl=kernel.nosuch=1", "--ipc=private", TINY, "true")
    assert done.returncode in (125, 126, 127)
    assert "kernel.nosuch" in done.stderr


MAP = ("--uidmap=0:100000:65536", "--gidmap=0:200000:65536")
ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user has no such ids to map")


@ROOT
def test_user_namespace(podman: Podman, tmp_path: Path) -> None:
    """Volumes are the host's, devices too, and what is written belongs to the mapped user."""
    tmp_path.chmod(0o777)
    script = "cat /proc/self/uid_map; echo x >/data/made; echo y >/dev/null && id -u"
    done = podman.container(*MAP, f"--volume={tmp_path}:/data", TINY, "sh", "-c", script)
    assert done.stdout.split() == ["0", "100000", "65536", "0"], done.stderr
    made = (tmp_path / "made").stat()
    assert (made.st_uid, made.st_gid) == (100000, 200000)


@ROOT
def test_user_namespace_and_terminal(podman: Podman) -> None:
    status, seen = podman.on_terminal(
        "run", "--rm", "--tty", "--user=7", *MAP, *podman.usual, TINY, "sh", "-c", "tty; id -u"
    )
    assert (status, seen.split()) == (0, ["/dev/pts/0", "7"])


@pytest.mark.parametrize("users", [(), pytest.param(MAP, marks=ROOT)], ids=["", "user namespace"])
def test_joining_another_container(podman: Podman, users: tuple[str, ...]) -> None:
    """As the containers of a pod do; where the first has a user namespace, that as well. Then without its /dev/shm:
    Podman 4.3 tidies such a container up in a mount namespace of conmon's and may leave that one mounted."""
    first = [*users, "--ipc=none"] if users else []
    usual = [word for word in podman.usual if not word.startswith("--network")]
    podman.ok("run", "--detach", "--name=first", *first, *podman.usual, TINY, "sleep", "1000")
    try:
        kinds = ["pid", "uts", "network", "userns" if users else "ipc"]
        joined = [f"--{kind}=container:first" for kind in kinds]
        names = ["pid", "uts", "net", "user" if users else "ipc"]
        look = f"for n in {' '.join(names)}; do busybox readlink /proc/self/ns/$n; done; "
        look += "busybox tr '\\0' ' ' </proc/1/cmdline"
        done = podman.run("run", "--rm", *usual, *joined, TINY, "sh", "-c", look)
        pid = podman.ok("inspect", "--format={{.State.Pid}}", "first").strip()
        spaces = [str(Path(f"/proc/{pid}/ns/{name}").readlink()) for name in names]
        assert done.stdout.split() == [*spaces, "sleep", "1000"], done.stderr
    finally:
        podman.ok("rm", "--force", "--time=0", "first")


def test_pid_namespace_of_the_host(podman: Podman) -> None:
    done = podman.container("--pid=host", TINY, "busybox", "readlink", "/proc/self/ns/pid")
    assert done.stdout.strip() == str(Path("/proc/self/ns/pid").readlink()), done.stderr


def test_without_cgroups(podman: Podman, tmp_path: Path) -> None:
    """Podman asks for it by `--cgroup-manager disabled`, and only a runtime it takes for crun."""
    if programs.runtime_name() == "runc":
        pytest.skip("runc does not know the flag")
    link = tmp_path / "crun"
    link.symlink_to(podman.runtime)
    podman.command = [*podman.base, f"--runtime={link}"]
    words = ["run", "--rm", "--network=none", "--cgroups=disabled"]
    done = podman.run(*words, "--cap-drop=MKNOD", TINY, "cat", "/proc/self/cgroup")
    assert done.returncode == 0, done.stderr
    assert "libpod" not in done.stdout and podman.parent not in done.stdout
    if os.geteuid():
        return  # who may make no device nodes is told so by the kernel
    done = podman.run(*words, "--cap-add=MKNOD", TINY, "true")
    assert done.returncode == 0, (
        done.stderr
    )  # as with crun; without an engine a warning says what it means
