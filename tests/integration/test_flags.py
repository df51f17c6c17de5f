"""Flags of create and run that have no file of their own, and the ways to write flags."""

from __future__ import annotations

import array
import os
import select
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.lib import kernel, leaks
from tests.lib.box import Box
from tests.lib.bundle import Bundle
from tests.lib.exec_calls import attached, running
from tests.lib.facts import Mount, parse_mounts
from tests.lib.namespaces import SUBORDINATE, map_users
from tests.lib.ordinary_user import own, place


def open_three(path: Path) -> Callable[[], None]:
    """For the child: descriptors 3, 4 and 5 are the file."""

    def place() -> None:
        fd = os.open(path, os.O_RDONLY)
        os.dup2(fd, 60)
        for number in (3, 4, 5):
            os.dup2(60, number)

    return place


def beneath(pid: int) -> list[Mount]:
    """What a privileged process of the container finds when it lifts the container's root."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            table, proc = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY), os.open("/proc", os.O_PATH)
            kernel.setns(table, kernel.CLONE_NEWNS)
            kernel.umount("/")
            kernel.setns(table, kernel.CLONE_NEWNS)
            found = os.open("self/mountinfo", os.O_RDONLY, dir_fd=proc)
            while data := os.read(found, 1 << 16):
                os.write(writing, data)
            status = 0
        finally:
            os._exit(status)
    os.close(writing)
    with open(reading) as text:
        mounts = parse_mounts(text.read())
    assert os.waitpid(child, 0)[1] == 0
    return mounts


class Listening:
    """A stream socket that somebody sends one descriptor to."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(str(path))
        self.socket.listen(1)
        self.socket.settimeout(5)

    def __enter__(self) -> Listening:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def receive(self) -> tuple[bytes, int]:
        fds = array.array("i")
        with self.socket.accept()[0] as peer:
            text, control, _, _ = peer.recvmsg(100, socket.CMSG_SPACE(16))
        for _, _, payload in control:
            fds.frombytes(payload)
        assert len(fds) == 1
        return text, fds[0]


# As conmon does: the descriptors are meant for this process, the runtime.
ACTIVATED = ("/bin/sh", "-c", 'LISTEN_PID=$$ exec "$@"', "sh")


@pytest.fixture
def handed(tmp_path: Path) -> Path:
    path = tmp_path / "handed"
    path.write_text("handed over")
    return path


def test_no_pivot(bundle: Bundle) -> None:
    """Weaker, for a root on an initramfs; the host's files are out of sight all the same."""
    with Box(bundle.inside("report", "--", "stat", "/..", "--", "open", "/usr/share", "r")) as box:
        facts = box.run("--no-pivot", check=True).facts
        assert facts.root["ino"] == bundle.rootfs.stat().st_ino
        assert box.lines[1]["ino"] == facts.root["ino"]
        assert box.lines[2]["errno"] == "ENOENT"


@pytest.mark.parametrize("flags", [(), ("--no-pivot",)])
def test_what_lies_beneath_the_root(bundle: Bundle, flags: tuple[str, ...]) -> None:
    """Who may unmount / finds one bare root there, nothing mounted on it: no proc, no device of the host."""
    with Box(bundle.inside("pause")) as box:
        box.create(*flags)
        assert [mount.point for mount in beneath(box.pid)] == ["/"]


@pytest.mark.parametrize("word", ["private", "rprivate"])
def test_no_pivot_with_a_private_root(bundle: Bundle, word: str) -> None:
    with Box(bundle.set("linux.rootfsPropagation", word)) as box:
        outcome = box.create("--no-pivot", check=False)
        assert outcome.code == 1 and "is not safe without pivot_root" in outcome.message


def test_no_pivot_in_all_its_variants(bundle: Bundle, tmp_path: Path) -> None:
    """A read-only root with mounts of its own that is itself a mount point; masks, hooks and a terminal's devices."""
    kernel.mount(str(bundle.rootfs), str(bundle.rootfs), flags=kernel.MS_BIND)
    try:
        (tmp_path / "data").mkdir()
        bundle.set("root.readonly", True).dir("/data").bind(tmp_path / "data", "/data")
        bundle.set("linux.maskedPaths", ["/proc/kcore"]).hook("createContainer", "/bin/true")
        bundle.inside("report", "--", "create", "/x", "", "--", "create", "/data/x", "")
        with Box(bundle) as box:
            facts = box.run("--no-pivot", check=True).facts
            assert "ro" in facts.mount("/").options
            assert {mount.point for mount in facts.mounts} >= {"/", "/data", "/proc", "/dev"}
            assert [line["errno"] for line in box.lines if line["cmd"] == "create"] == ["EROFS", ""]
    finally:
        kernel.umount(str(bundle.rootfs))


def test_no_pivot_in_a_user_namespace() -> None:
    """What it may not detach it covers."""
    with place() as top:
        bundle = map_users(Bundle(top / "bundle"), SUBORDINATE)
        own(bundle.rootfs, SUBORDINATE[0].host)
        with Box(bundle.inside("report", "--", "pause")) as box:
            box.create("--no-pivot")
            kinds = {mount.point: mount.kind for mount in beneath(box.pid)}
            assert kinds["/proc"] == "tmpfs" and kinds["/sys"] == "tmpfs"
            box.start()
            assert box.facts.root["ino"] == bundle.rootfs.stat().st_ino


@pytest.mark.parametrize("flags", [(), ("--no-pivot",)])
def test_a_root_the_mapped_root_has_no_way_to(bundle: Bundle, flags: tuple[str, ...]) -> None:
    map_users(bundle, SUBORDINATE)
    own(bundle.rootfs, SUBORDINATE[0].host)
    with Box(bundle) as box:
        assert box.run(*flags, check=True).facts.root["ino"] == bundle.rootfs.stat().st_ino


def test_pidfd_socket(bundle: Bundle, tmp_path: Path) -> None:
    """Exactly one descriptor arrives: a pidfd of the init."""
    with Listening(tmp_path / "pidfd") as listening, Box(bundle) as box:
        box.create("--pidfd-socket", str(listening.path))
        _, fd = listening.receive()
        text = Path(f"/proc/self/fdinfo/{fd}").read_text()
        os.close(fd)
        assert f"Pid:\t{box.pid}\n" in text


@pytest.mark.parametrize("way", ["foreground", "detached", "staged"])
def test_pidfd_socket_of_run(bundle: Bundle, tmp_path: Path, way: str) -> None:
    """Before the program runs; where a stage made the init, it is the init's all the same."""
    bundle.inside("exit", "3")
    if way == "staged":
        bundle.namespace("time")
    with Listening(tmp_path / "pidfd") as listening, Box(bundle) as box:
        flags = ["--detach"] if way == "detached" else []
        outcome = box.run("--pidfd-socket", str(listening.path), *flags)
        text, fd = listening.receive()
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        assert text and poll.poll(5000)
        if flags:
            assert os.waitid(os.P_PIDFD, fd, os.WEXITED | os.WNOWAIT).si_pid == box.pid
            assert outcome.code == 0 and box.wait() == 3
        else:
            assert outcome.code == 3
        os.close(fd)


@pytest.mark.parametrize("verb", ["create", "run"])
def test_nobody_at_the_pidfd_socket(bundle: Bundle, tmp_path: Path, verb: str) -> None:
    with Box(bundle) as box:
        outcome = getattr(box, verb)("--pidfd-socket", str(tmp_path / "nobody"), check=False)
        assert outcome.code == 1 and "no such file or directory" in outcome.message
        assert not os.path.lexists(box.root / box.id)


@pytest.mark.parametrize("verb", ["create", "run"])
@pytest.mark.parametrize("count", [0, 1, 3])
def test_preserved_descriptors(bundle: Bundle, handed: Path, verb: str, count: int) -> None:
    """Those that were asked for under the numbers they had; nothing is said of them in the environment."""
    with Box(bundle, prepare=open_three(handed)) as box:
        getattr(box, verb)(f"--preserve-fds={count}", check=True)
        if verb == "create":
            box.start()
            assert box.wait() == 0
        facts = box.facts
        assert {entry["fd"] for entry in facts.fds} == set(range(3 + count))
        preserved = [entry["link"] for entry in facts.fds if entry["fd"] > 2]
        assert all(link.endswith("/handed") for link in preserved)
        assert not {name for name in facts.environment if name.startswith("LISTEN")}


def test_preserved_descriptors_of_a_staged_spawn(bundle: Bundle, handed: Path) -> None:
    with Box(bundle.namespace("time"), prepare=open_three(handed)) as box:
        facts = box.run("--preserve-fds=2", check=True).facts
        assert {entry["fd"] for entry in facts.fds} == set(range(5))


@pytest.mark.parametrize("count", ["", "x", "-1", "0", "99999999999999999999"])
def test_listen_fds_that_mean_nothing(bundle: Bundle, handed: Path, count: str) -> None:
    env = {"PATH": "/usr/bin:/bin", "LISTEN_FDS": count}
    with Box(bundle, env=env, prepare=open_three(handed), wrap=ACTIVATED) as box:
        outcome = box.run()
        assert "Traceback" not in outcome.err
        if outcome.code == 0:
            assert {entry["fd"] for entry in outcome.facts.fds} == {0, 1, 2}
            assert "LISTEN_FDS" not in outcome.facts.environment


def test_names_of_listen_fds_stay_with_the_runtime(bundle: Bundle, handed: Path) -> None:
    env = {"PATH": "/usr/bin:/bin", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "web"}
    with Box(bundle, env=env, prepare=open_three(handed), wrap=ACTIVATED) as box:
        facts = box.run(check=True).facts
        assert facts.environment["LISTEN_FDS"] == "1"
        assert "LISTEN_FDNAMES" not in facts.environment


def test_listen_fds(bundle: Bundle, handed: Path) -> None:
    """Socket activation: the descriptors are passed on and LISTEN_PID is the program's."""
    env = {"PATH": "/usr/bin:/bin", "LISTEN_FDS": "2"}
    with Box(bundle, env=env, prepare=open_three(handed), wrap=ACTIVATED) as box:
        facts = box.run(check=True).facts
        assert {entry["fd"] for entry in facts.fds} == {0, 1, 2, 3, 4}
        assert facts.environment["LISTEN_FDS"] == "2" and facts.environment["LISTEN_PID"] == "1"


def test_listen_fds_meant_for_another_process(bundle: Bundle, handed: Path) -> None:
    env = {"PATH": "/usr/bin:/bin", "LISTEN_FDS": "2", "LISTEN_PID": "1"}
    with Box(bundle, env=env, prepare=open_three(handed)) as box:
        facts = box.run(check=True).facts
        assert {entry["fd"] for entry in facts.fds} == {0, 1, 2}
        assert "LISTEN_FDS" not in facts.environment


def test_listen_fds_and_preserved_ones(bundle: Bundle, handed: Path) -> None:
    env = {"PATH": "/usr/bin:/bin", "LISTEN_FDS": "2"}
    with Box(bundle, env=env, prepare=open_three(handed), wrap=ACTIVATED) as box:
        facts = box.run("--preserve-fds", "1", check=True).facts
        assert {entry["fd"] for entry in facts.fds} == {0, 1, 2, 3, 4, 5}


@pytest.mark.parametrize("verb", ["run", "exec"])
def test_gaps_among_preserved_descriptors(bundle: Bundle, handed: Path, verb: str) -> None:
    """They are passed over, and never filled with something of the runtime's."""

    def some() -> None:
        open_three(handed)()
        os.close(4)
        os.dup2(3, 8)

    seen = {0, 1, 2, 3, 5, 8}
    if verb == "run":
        with Box(bundle, prepare=some) as box:
            assert {
                entry["fd"] for entry in box.run("--preserve-fds=6", check=True).facts.fds
            } == seen
        return
    with running(bundle) as box:
        box.prepare = some
        outcome = attached(box, "--preserve-fds=6", "ID", "/inside", "report")
        box.prepare = None
        assert {entry["fd"] for entry in outcome.facts.fds} == seen


@pytest.mark.parametrize("count", ["-1", "many", "1000000"])
def test_counts_of_descriptors_that_are_none(bundle: Bundle, handed: Path, count: str) -> None:
    with Box(bundle, prepare=open_three(handed)) as box:
        outcome = box.create(f"--preserve-fds={count}", check=False)
        assert outcome.code == 1 and outcome.err.strip() and "Traceback" not in outcome.err


@pytest.mark.parametrize("flags", [(), ("--no-subreaper",)])
def test_whose_the_orphans_of_a_container_are(bundle: Bundle, flags: tuple[str, ...]) -> None:
    """Without a pid namespace: the runtime's while it waits, unless it is told not to; then the caller's."""
    bundle.without_namespace("pid").shell("(/inside pause &); exec /inside wait")
    with Box(bundle) as box:
        bundle.write(box.id)
        words = [*box.globals, "run", *flags, "--bundle", str(bundle.directory), box.id]
        process, out, err = box.spawn(*words)
        box.stdout = out
        box.expect("pause")
        box.expect("wait")
        programs_of_runtime = leaks.children(process.pid) - {box.state()["pid"]}
        named = {name for name in map(name_of, programs_of_runtime) if name == "inside"}
        assert named == (set() if flags else {"inside"})
        process.send_signal(signal.SIGTERM)
        assert box.finish(process, out, err, words).code == 0


def name_of(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()


def ways(box: Box) -> list[list[str]]:
    bundle, root, log = str(box.bundle.directory), str(box.root), str(box.log)
    return [
        ["--root", root, "create", "-b", bundle, box.id],
        [f"--root={root}", "create", f"--bundle={bundle}", box.id],
        ["-root", root, "create", "-bundle", bundle, box.id],
        ["--root", "/nowhere", "--root", root, "create", "--bundle", bundle, box.id],
        [
            "--debug",
            "--log",
            log,
            "--log-format=text",
            "--root",
            root,
            "create",
            "-b",
            bundle,
            box.id,
        ],
        ["--rootless=auto", "--root", root, "create", "--no-new-keyring", "-b", bundle, box.id],
        ["--rootless", "false", "--root", root, "create", "--bundle", bundle, box.id],
    ]


@pytest.mark.parametrize("number", range(7))
def test_ways_to_write_flags(bundle: Bundle, number: int) -> None:
    with Box(bundle.inside("pause")) as box:
        bundle.write(box.id)
        outcome = box.bare(*ways(box)[number])
        assert outcome.code == 0, str(outcome)
        box.adopt(box.state()["pid"])
        assert box.bare("--root", str(box.root), "delete", "-f", box.id).code == 0
