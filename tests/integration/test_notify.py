"""NOTIFY_SOCKET: the program's READY=1 reaches the service manager, and nothing else of it does (sd_notify(3), R-46)."""

from __future__ import annotations

import contextlib
import functools
import os
import select
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lib import kernel
from tests.lib.box import Box, Outcome
from tests.lib.bundle import Bundle
from tests.lib.namespaces import SUBORDINATE, map_users
from tests.lib.ordinary_user import Person, PersonBox, known, own, place
from tests.lib.sdnotify import PATH, READY, Manager

UNFINISHED: list[subprocess.Popen[bytes]] = []


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    path = str(tmp_path / "manager")
    made = Manager(path if request.param == "path" else f"@pyruntime-test-{os.getpid()}")
    yield made
    made.socket.close()


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[Manager]:
    made = Manager(str(tmp_path / "manager"))
    yield made
    made.socket.close()


@pytest.fixture(autouse=True)
def short_root(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """runc binds the container's end by its whole path, and sun_path holds 107 bytes."""
    path = Path(tempfile.mkdtemp(prefix="pt", dir="/tmp"))
    monkeypatch.setattr("tests.integration.test_notify.Box", functools.partial(Box, root=path))
    yield path
    for process in UNFINISHED:
        process.kill()
        process.wait()
    UNFINISHED.clear()
    shutil.rmtree(path)


class Call:
    """A verb that waits for the program's word, while the test is the manager."""

    def __init__(self, box: Box, *words: str) -> None:
        self.box, self.words = box, [*box.globals, *words]
        self.process, self.out, self.err = box.spawn(*self.words)
        UNFINISHED.append(self.process)

    def end(self, manager: Manager | None = None) -> Outcome:
        """A manager lets barriers go meanwhile, and hears nothing else."""
        pidfd = os.pidfd_open(self.process.pid)
        while manager and manager.socket in select.select([manager.socket, pidfd], [], [], 10)[0]:
            os.close(manager.expect_barrier())
        os.close(pidfd)
        UNFINISHED.remove(self.process)
        return self.box.finish(self.process, self.out, self.err, self.words)


def run(box: Box, *flags: str) -> Call:
    box.bundle.write(box.id)
    where = ["--bundle", str(box.bundle.directory), "--pid-file", str(box.scratch / "pid")]
    return Call(box, "run", *where, *flags, box.id)


def test_start_waits_for_the_word_and_passes_it_on(bundle: Bundle, manager: Manager) -> None:
    bundle.inside("hold", "--", "notify", "READY=1", "--", "pause")
    with Box(bundle, env=manager.env) as box:
        box.create()
        call = Call(box, "start", box.id)
        box.expect("hold")
        assert call.process.poll() is None and manager.heard_nothing()
        box.kill("USR1")
        manager.expect_ready(box.pid)
        assert call.end(manager).code == 0
        assert manager.heard_nothing() and box.status == "running"


def test_what_the_program_sees(bundle: Bundle, listening: Manager) -> None:
    """One read-only directory with one socket; whatever the config said about the variable."""
    bundle.env(NOTIFY_SOCKET="/elsewhere").inside(
        "report", "--", "ls", "/run/notify", "--", "create", "/run/notify/x", "", "--", "unlink",
        "/run/notify/notify.sock", "--", "stat", "/run/notify/notify.sock", "--", "notify", "READY=1",
        "--", "pause")  # fmt: skip
    with Box(bundle, env=listening.env) as box:
        box.create()
        call = Call(box, "start", box.id)
        listening.expect_ready(box.pid)
        assert call.end(listening).code == 0
        box.expect("notify")
        mount = box.facts.mount("/run/notify")
        assert {"ro", "nosuid", "nodev", "noexec"} <= set(mount.options)
        assert box.facts.environment["NOTIFY_SOCKET"] == "/run/notify/notify.sock"
        assert box.expect("create")["errno"] == "EROFS"
        assert box.expect("unlink")["errno"] == "EROFS"
        assert set(box.expect("ls")["entries"]) == {"notify.sock"}
        assert box.expect("stat")["mode"] & 0o777 == 0o777


def test_another_user_may_say_it(bundle: Bundle, listening: Manager) -> None:
    bundle.set("process.user", {"uid": 1000, "gid": 1000}).inside(
        "notify", "READY=1", "--", "pause"
    )
    with Box(bundle, env=listening.env) as box:
        box.create()
        call = Call(box, "start", box.id)
        listening.expect_ready(box.pid)
        assert call.end(listening).code == 0


def test_start_returns_when_the_container_ends_without_a_word(
    bundle: Bundle, listening: Manager
) -> None:
    with Box(bundle.inside("notify", "STATUS=hello"), env=listening.env) as box:
        box.create()
        assert box.start().code == 0
        assert box.wait() == 0
        assert listening.heard_nothing()


def test_the_other_verbs_do_not_wait_with_start(bundle: Bundle, listening: Manager) -> None:
    with Box(bundle.inside("hold"), env=listening.env) as box:
        box.create()
        call = Call(box, "start", box.id)
        box.expect("hold")
        assert box.status == "running"
        assert box.call("exec", box.id, "/inside", "exit", "0").code == 0
        assert box.delete(check=False).code == 1
        assert call.process.poll() is None
        box.delete("--force")
        assert box.wait() == 137
        assert call.end().code == 0
        assert listening.heard_nothing()


def _tells_the_init(box: Box, manager: Manager) -> None:
    call = run(box, "--detach")
    assert manager.receive() == (READY, [])
    pid = int((box.scratch / "pid").read_bytes())
    box.adopt(pid)
    assert manager.receive() == (b"MAINPID=%d\n" % pid, [])
    assert call.end(manager).code == 0


def test_run_detached(bundle: Bundle, listening: Manager) -> None:
    """The manager is told the container's init."""
    with Box(bundle.inside("notify", "READY=1", "--", "pause"), env=listening.env) as box:
        _tells_the_init(box, listening)


def test_nobody_leaves_before_the_manager_has_read_it(bundle: Bundle, listening: Manager) -> None:
    """It tells who said something by a process that must still be there: sd_notify_barrier(3)."""
    with Box(bundle.inside("notify", "READY=1", "--", "pause"), env=listening.env) as box:
        box.create()
        call = Call(box, "start", box.id)
        listening.expect_ready(box.pid)
        held = listening.expect_barrier()
        assert box.status == "running" and call.process.poll() is None
        os.close(held)
        assert call.end().code == 0


def test_run_in_the_foreground(bundle: Bundle, listening: Manager) -> None:
    """The manager is told the runtime, which stays in front of the container."""
    with Box(bundle.inside("notify", "READY=1", "--", "wait"), env=listening.env) as box:
        call = run(box)
        listening.expect_ready(call.process.pid)
        box.stdout = call.out
        box.expect("wait")
        call.process.send_signal(signal.SIGTERM)
        assert call.end(listening).code == 0
        assert listening.heard_nothing()


def test_run_in_the_foreground_of_a_program_that_says_nothing(
    bundle: Bundle, listening: Manager
) -> None:
    with Box(bundle.inside("exit", "7"), env=listening.env) as box:
        assert run(box).end().code == 7
        assert listening.heard_nothing()


def test_a_manager_that_answers_no_barrier_holds_no_signal_back(
    bundle: Bundle, listening: Manager
) -> None:
    with Box(bundle.inside("notify", "READY=1", "--", "wait"), env=listening.env) as box:
        call = run(box)
        listening.expect_ready(call.process.pid)
        held = listening.expect_barrier()
        box.stdout = call.out
        box.expect("wait")
        call.process.send_signal(signal.SIGUSR1)
        box.expect("got", signal=signal.SIGUSR1)
        call.process.send_signal(signal.SIGTERM)
        box.expect("got", signal=signal.SIGTERM)
        os.close(held)
        assert call.end().code == 0


@pytest.mark.parametrize(
    "words",
    [
        ["MAINPID=1"],
        ["READY=0", "READY=12", "READY=1 ", " READY=1", "STATUS=READY=1"],
        ["WATCHDOG=trigger", "RELOADING=1", "STOPPING=1", "ERRNO=2", "EXTEND_TIMEOUT_USEC=1"],
        ["\n" * 3000, "x" * 5000, "READY=1\n" + "x" * 5000],
    ],
)
def test_words_that_go_nowhere(bundle: Bundle, listening: Manager, words: list[str]) -> None:
    """And then READY=1 among others: of all of it only that word arrives, as ours."""
    last = "READY=1\nSTATUS=here\nMAINPID=1\nFDSTORE=1"
    with Box(bundle.inside("notify", *words, last, "--", "pause"), env=listening.env) as box:
        box.create()
        call = Call(box, "start", box.id)
        listening.expect_ready(box.pid)
        assert call.end(listening).code == 0
        assert listening.heard_nothing()


def test_the_word_need_not_be_the_first(bundle: Bundle, listening: Manager) -> None:
    bundle.inside("notify", "STATUS=here\nREADY=1", "--", "pause")
    with Box(bundle, env=listening.env) as box:
        box.create()
        call = Call(box, "start", box.id)
        listening.expect_ready(box.pid)
        assert call.end(listening).code == 0


def test_descriptors_that_go_nowhere(bundle: Bundle, listening: Manager) -> None:
    """Nobody keeps them either: the program's own barrier ends."""
    bundle.inside("notify-fd", "FDSTORE=1\nFDNAME=x", "--", "notify-fd", "BARRIER=1", "--", "notify",
                  "READY=1", "--", "pause")  # fmt: skip
    with Box(bundle, env=listening.env) as box:
        box.create()
        call = Call(box, "start", box.id)
        listening.expect_ready(box.pid)
        assert call.end(listening).code == 0
        box.expect("notify")
        assert [line["errno"] for line in box.lines if line["cmd"] == "notify-fd"] == ["", ""]


def test_a_flood(bundle: Bundle, listening: Manager) -> None:
    """10^5 datagrams, then some of 200 KB that begin with the word: read, and forgotten."""
    bundle.inside("notify-many", "100000", "7", "--", "notify-many", "10", "200000", "--", "notify",
                  "READY=1", "--", "pause")  # fmt: skip
    with Box(bundle, env=listening.env) as box:
        box.create()
        call = Call(box, "start", box.id)
        listening.expect_ready(box.pid)
        assert call.end(listening).code == 0
        assert listening.heard_nothing()


def test_an_attempt_that_was_killed_does_not_block_the_next(
    bundle: Bundle, listening: Manager
) -> None:
    """The first start binds the socket and finds the container's program missing meanwhile."""
    bundle.shell("exec /bin/true")
    with Box(bundle, env=listening.env) as box:
        box.create()
        stale = box.root / box.id / "notify/notify.sock"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
            os.chdir(stale.parent)
            other.bind("notify.sock")
            os.chdir("/")
        assert box.start().code == 0
        assert box.wait() == 0


def test_a_start_that_is_refused_takes_nobody_s_socket_away(
    bundle: Bundle, listening: Manager
) -> None:
    with Box(bundle.inside("hold", "--", "notify", "READY=1"), env=listening.env) as box:
        call = run(box)
        box.stdout = call.out
        box.expect("hold")
        again = box.start(check=False)
        assert again.code == 1 and "already running" in again.message
        os.kill(box.state()["pid"], signal.SIGUSR1)
        listening.expect_ready(call.process.pid)
        assert call.end(listening).code == 0


def test_start_without_a_manager(bundle: Bundle, listening: Manager, tmp_path: Path) -> None:
    """Created with the variable, started without: nobody waits, the program still finds the variable."""
    with Box(bundle, env=listening.env) as box:
        box.create()
        box.env = {"PATH": PATH}
        assert box.start().code == 0
        assert box.wait() == 0
        assert box.facts.environment["NOTIFY_SOCKET"] == "/run/notify/notify.sock"


def test_start_with_a_manager_that_create_was_not_told_of(
    bundle: Bundle, listening: Manager
) -> None:
    with Box(bundle, env={"PATH": PATH}) as box:
        box.create()
        box.env = listening.env
        outcome = box.start(check=False)
        assert outcome.code == 1 and "no such file or directory" in outcome.message
        assert box.status == "created"


@pytest.mark.parametrize("address", ["/nowhere/socket", "@nobody", "vsock:2:1", "x" * 200])
def test_a_manager_that_is_not_there(bundle: Bundle, listening: Manager, address: str) -> None:
    """start says so before it has done anything; run goes on without it."""
    env = {"PATH": PATH, "NOTIFY_SOCKET": address}
    with Box(bundle, env=env) as box:
        box.create()
        outcome = box.start(check=False)
        assert outcome.code == 1 and address in outcome.message
        assert box.status == "created"
    with Box(bundle.inside("exit", "3"), env=env) as box:
        assert box.run().code == 3


def test_a_container_without_its_own_mounts(bundle: Bundle, listening: Manager) -> None:
    """The place is mounted in the caller's mount namespace, where it stays as under runc."""
    bundle.without_namespace("mount").inside("notify", "READY=1", "--", "pause")
    with Box(bundle, env=listening.env) as box:
        try:
            _tells_the_init(box, listening)
        finally:
            kernel.umount(str(bundle.rootfs))


@pytest.mark.parametrize("way", [(), ("--detach",)])
def test_in_a_user_namespace(listening: Manager, way: tuple[str, ...]) -> None:
    with place() as top:
        bundle = map_users(Bundle(top / "bundle"), SUBORDINATE)
        bundle.inside("notify", "READY=1", "--", "hold")
        own(bundle.rootfs, SUBORDINATE[0].host)
        box = Box(bundle, env=listening.env)
        with box:
            call = run(box, *way)
            assert listening.receive() == (READY, [])
            word, pid = listening.receive()[0].split(b"=")
            assert word == b"MAINPID" and (int(pid) == call.process.pid) is (not way)
            if not way:
                box.stdout = call.out
                box.expect("hold")
                os.kill(box.state()["pid"], signal.SIGUSR1)
                assert call.end(listening).code == 0
            else:
                assert call.end(listening).code == 0
                box.adopt(int(pid))


def test_of_an_ordinary_user() -> None:
    """Whose runtime cannot clone the directory's mount; the init can, in its own copy of the mount table."""
    with known(Person()) as person, contextlib.closing(Manager(f"@{person.name}")) as manager:
        bundle = map_users(person.bundle(), person.maps).inside("notify", "READY=1", "--", "pause")
        bundle.set("linux.cgroupsPath", None)
        with PersonBox(person.give(bundle), person, env=person.env | manager.env) as box:
            box.create()
            call = Call(box, "start", box.id)
            manager.expect_ready(box.pid)
            assert call.end(manager).code == 0
