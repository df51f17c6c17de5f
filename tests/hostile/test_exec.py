"""R-05, R-06, R-07, R-23: a container waits for an exec to come in, to climb out on it.

CVE-2016-9962, CVE-2019-5736, CVE-2024-21626.
"""

from __future__ import annotations

import hashlib
import os
import platform
from pathlib import Path

import pytest

from tests.hostile.test_births import INTERPRETER
from tests.hostile.test_descriptors import NUMBERS, PLACES, leak
from tests.lib import hostile, programs
from tests.lib.box import Box
from tests.lib.bundle import Bundle
from tests.lib.exec_calls import Background, Detached, attached, inside, process_file, running
from tests.lib.tripwire import Tripwire


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    return hostile.build(tmp_path / "outside", {"file": "precious"})


@pytest.mark.parametrize("cwd", PLACES)
def test_a_cwd_outside(bundle: Bundle, outside: Path, cwd: str) -> None:
    """Whatever it is refused or it is a directory of the container; getcwd never says (unreachable)."""
    host = {os.stat("/").st_ino, os.stat(outside).st_ino, os.stat(bundle.directory).st_ino}
    with Tripwire(outside), running(bundle) as box:
        box.prepare = lambda: leak(outside)
        words = ["report", "--", "stat", ".", "--", "stat", "..", "--", "stat", "../.."]
        outcome = inside(box, *words, flags=("--cwd", cwd))
        box.prepare = None
        assert outcome.code in (0, 255), str(outcome)
        if outcome.code == 0:
            assert outcome.facts.cwd.startswith("/"), outcome.facts.cwd
            seen = {
                line["ino"] for line in outcome.lines if line["cmd"] == "stat" and "ino" in line
            }
            assert not seen & host


@pytest.mark.parametrize("number", NUMBERS)
def test_a_program_outside(bundle: Bundle, outside: Path, number: int) -> None:
    tool = outside / "tool"
    tool.write_text("#!/bin/sh\necho escaped\n")
    tool.chmod(0o755)
    with running(bundle) as box:
        box.prepare = lambda: leak(outside)
        outcome = attached(box, "ID", f"/proc/self/fd/{number}/tool")
        box.prepare = None
        assert outcome.code == 255 and "escaped" not in outcome.out


@pytest.mark.parametrize("number", [3, 4, 5, 6, 7, 8, 9])
def test_a_home_outside(bundle: Bundle, outside: Path, number: int) -> None:
    """The image's passwd is a link to a descriptor the runtime might have."""
    (outside / "passwd").write_text("root:x:0:0:root:/escaped:/bin/sh\n")
    bundle.link("etc/passwd", f"/proc/self/fd/{number}/passwd")
    with running(bundle) as box:
        box.prepare = lambda: leak(outside)
        outcome = inside(box, "report")
        box.prepare = None
        assert outcome.code == 255 or outcome.facts.environment["HOME"] == "/", str(outcome)


def test_a_passwd_that_never_ends(bundle: Bundle) -> None:
    (bundle.rootfs / "etc/passwd").unlink()
    os.mkfifo(bundle.rootfs / "etc/passwd")
    with running(bundle, patience=10) as box:
        assert inside(box, "report").facts.environment["HOME"] == "/"


def digest() -> str:
    return hashlib.sha256(Path(programs.runtime_command()[0]).read_bytes()).hexdigest()


@pytest.mark.parametrize("program", ["/proc/self/exe", "/proc/thread-self/exe", "/run"])
def test_the_runtimes_program_as_the_containers(bundle: Bundle, program: str) -> None:
    """The original exploit of CVE-2019-5736 waits for an exec: `#!/proc/self/exe`."""
    before = digest()
    bundle.file("run", "#!/proc/self/exe\n", 0o755)
    with running(bundle, patience=10) as box:
        assert attached(box, "ID", program, "report").code not in (0, 137)
    assert digest() == before


# What was opened counts only if the process was not yet the container's program afterwards.
WATCH = """
found() {
  read after <$directory/comm || return
  [ "$after" = "$name" ] && echo "open $directory/$1 of $name"
}
echo '{"cmd":"watching"}'
while [ ! -e /stop ]; do
  for directory in /proc/[0-9]*; do
    name=; read name <$directory/comm || continue
    case $name in sh|busybox|head|inside) continue ;; esac
    [ -n "$name" ] && seen=1
    for fd in 0 3 4 5 6 7 8; do
      [ -e $directory/fd/$fd ] && found fd/$fd
    done
    for file in mem maps environ; do
      (: <$directory/$file) && found $file
    done
  done
done 2>/dev/null
[ -n "$seen" ] && echo '{"cmd":"seen"}'
echo '{"cmd":"watched"}'
"""


@pytest.mark.slow
def test_the_joining_process_cannot_be_looked_into(bundle: Bundle) -> None:
    """R-07: the container's first process looks for every newcomer while it is still the runtime's."""
    bundle.shell(WATCH.strip()).capabilities("CAP_DAC_OVERRIDE", "CAP_KILL", "CAP_SETUID")
    with Box(bundle, patience=30) as box:
        box.create()
        box.start()
        box.expect("watching")
        for _ in range(20):
            assert inside(box, "exit", "0").code == 0
        (bundle.rootfs / "stop").touch()
        box.expect("watched")
        box.expect("seen")
        found = [
            line for line in box.output.splitlines() if line.startswith(("open ", "directory "))
        ]
        assert found == []


UNSHARE, NEW_USER = ("272", 0x10000000) if platform.machine() == "x86_64" else ("97", 0x10000000)


def test_a_user_namespace_of_the_payloads_making(bundle: Bundle) -> None:
    """The config names none: whoever comes in later is not drawn into one where the payload has all rights."""
    bundle.set("process.user", {"uid": 1000, "gid": 1000})
    with Box(bundle.inside("syscall", UNSHARE, str(NEW_USER), "--", "pause")) as box:
        box.create()
        box.start()
        assert box.expect("syscall")["errno"] == ""
        box.expect("pause")
        facts = inside(box, "report", flags=("--user", "0:0")).facts
        assert facts.namespaces["user"] == os.readlink("/proc/self/ns/user")
        assert facts.namespaces["user"] != os.readlink(f"/proc/{box.pid}/ns/user")
        assert facts.uid == [0, 0, 0]


def test_a_process_put_in_holds_stdio_only(bundle: Bundle, outside: Path) -> None:
    with running(bundle) as box:
        box.prepare = lambda: leak(outside)
        with Detached(box, "ID", "/inside", "pause") as other:
            box.prepare = None
            other.expect("pause")
            assert {int(name) for name in os.listdir(f"/proc/{other.pid}/fd")} == {0, 1, 2}
            assert os.stat(f"/proc/{other.pid}/root").st_ino == bundle.rootfs.stat().st_ino


def test_a_terminal_that_is_not_devpts(bundle: Bundle, tmp_path: Path) -> None:
    """CVE-2025-52565: ptmx of the container's making is no pty for the runtime."""
    mounts = [entry for entry in bundle.get("mounts") if entry["destination"] != "/dev/pts"]
    bundle.set("mounts", mounts).privileged()
    process = {"args": ["/inside", "report"], "cwd": "/", "env": [], "user": {"uid": 0, "gid": 0},
               "terminal": True}  # fmt: skip
    with running(bundle) as box:
        root = Path(f"/proc/{box.pid}/root/dev")
        (root / "pts").mkdir(exist_ok=True)
        (root / "pts/ptmx").touch()
        with Background(box, "--process", process_file(box, process), "ID") as back:
            outcome = back.wait()
        assert outcome.code == 255 and "Traceback" not in outcome.err, str(outcome)


def test_an_environment_of_the_caller_stays_outside(bundle: Bundle) -> None:
    with running(bundle) as box:
        box.env = {"PATH": "/usr/bin:/bin", "SECRET": "of the engine"}
        outcome = inside(box, "report")
        box.env = None
        assert "SECRET" not in outcome.facts.environment
        with Detached(box, "ID", "/inside", "pause") as other:
            assert b"of the engine" not in Path(f"/proc/{other.pid}/environ").read_bytes()


MAKES_DESCRIPTORS = (
    "open,openat,openat2,creat,socket,socketpair,accept,accept4,pipe,pipe2,memfd_create,dup,dup2,dup3,fcntl,eventfd,"
    "eventfd2,epoll_create,epoll_create1,inotify_init,inotify_init1,signalfd,signalfd4,timerfd_create,fsopen,fsmount,"
    "open_tree,recvmsg,execve,execveat"
)


def descriptors_without(flag: str, trace: list[str]) -> list[str]:
    """The calls that made a descriptor which an execve would pass on."""
    found = []
    for line in trace:
        call, result = line.partition("(")[0], line.rpartition(" = ")[2]
        if not result[:1].isdigit() or call.startswith("execve") or flag in line:
            continue
        if INTERPRETER.search(line):
            continue
        if call == "fcntl" and "F_DUPFD" not in line:
            continue
        if call == "recvmsg" and "SCM_RIGHTS" not in line:
            continue
        found.append(line)
    return found


def test_every_descriptor_is_close_on_exec_at_birth(bundle: Bundle) -> None:
    """R-31, of the runtime, of the stage and of the clone it ends in: one without is the next CVE-2024-21626."""
    with running(bundle) as box:
        traces = box.scratch / "traces"
        traces.mkdir()
        box.wrap = [
            "strace",
            "-ff",
            "-qq",
            "-o",
            f"{traces}/of",
            "-e",
            f"trace={MAKES_DESCRIPTORS}",
        ]
        outcome = inside(box, "exit", "5", flags=("--pid-file", str(box.scratch / "traced")))
        box.wrap = ()
        assert outcome.code == 5, str(outcome)
        wrong: list[str] = []
        for file in traces.iterdir():
            lines = file.read_text().splitlines()
            for number, line in enumerate(lines):
                if line.startswith(
                    "execveat("
                ):  # before it the spawn's child takes the flag off its copies
                    lines = lines[number:]
                    break
            for number, line in enumerate(lines):
                if line.startswith(
                    'execve("/inside"'
                ):  # from here on it is the container's program
                    lines = lines[:number]
                    break
            wrong += descriptors_without("CLOEXEC", lines)
        assert len(list(traces.iterdir())) == 3, "the runtime, the stage, the clone"
        assert wrong == []
