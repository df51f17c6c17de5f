"""exec: a further process in a container, attached and detached; its end is the verb's."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.lib import leaks
from tests.lib.box import Box
from tests.lib.bundle import Bundle
from tests.lib.exec_calls import Background, Detached, attached, inside, refused, report, running
from tests.lib.groups import V2, group_of


def test_output_and_success(bundle: Bundle) -> None:
    with running(bundle) as box:
        outcome = inside(box, "echo", "hello", "--", "stderr", "oops")
        assert (outcome.code, outcome.out, outcome.err) == (0, "hello\n", "oops\n"), str(outcome)
        assert outcome.log_text == ""
        assert box.status == "running"


@pytest.mark.parametrize("status", [0, 1, 42, 126, 127, 255])
def test_the_status_is_the_programs(bundle: Bundle, status: int) -> None:
    with running(bundle) as box:
        outcome = inside(box, "exit", str(status))
        assert (outcome.code, outcome.err) == (status, ""), str(outcome)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_is_128_more(bundle: Bundle, number: int) -> None:
    with running(bundle) as box:
        assert inside(box, "signal", str(int(number))).code == 128 + number


def test_standard_input_is_handed_over(bundle: Bundle) -> None:
    reader, writer = os.pipe()
    os.write(writer, b"typed")
    os.close(writer)
    with running(bundle) as box, Background(box, "ID", "/inside", "read", stdin=reader) as back:
        os.close(reader)
        assert back.expect("read")["data"] == "typed"
        assert back.wait().code == 0


def test_options_end_at_the_id(bundle: Bundle) -> None:
    """What follows is the program's, whatever it looks like; `--` and `-x` included."""
    with running(bundle) as box:
        words = ["/inside", "report", "--", "echo", "-t", "--", "echo", "--user"]
        outcome = attached(box, "ID", *words)
        assert outcome.code == 0 and outcome.facts.argv == words, str(outcome)
        assert outcome.out.splitlines()[1:] == ["-t", "--user"]


def test_in_every_namespace_of_the_container(bundle: Bundle) -> None:
    with running(bundle) as box:
        facts = report(box)
        theirs = {kind: os.readlink(f"/proc/{box.pid}/ns/{kind}") for kind in facts.namespaces}
        assert facts.namespaces == theirs
        assert facts.root["ino"] == bundle.rootfs.stat().st_ino
        assert facts.pid > 1 and facts.sid == facts.pid


def test_namespaces_the_container_shares_with_the_host(bundle: Bundle) -> None:
    """It has two for itself; the others are those of whoever made it."""
    for kind in ("ipc", "uts", "network", "cgroup"):
        bundle.without_namespace(kind)
    with running(bundle) as box:
        facts = report(box)
        assert facts.namespaces == {
            kind: os.readlink(f"/proc/{box.pid}/ns/{kind}") for kind in facts.namespaces
        }


@pytest.mark.parametrize("kind", ["uts", "ipc", "net"])
def test_from_other_namespaces_than_the_creators(bundle: Bundle, kind: str) -> None:
    """What the container did not ask for is still that of whoever made it, and not of whoever calls now."""
    bundle.without_namespace({"net": "network"}.get(kind, kind))
    with running(bundle) as box:
        box.wrap = ("unshare", f"--{kind}")
        facts = report(box)
        box.wrap = ()
        assert facts.namespaces[kind] == os.readlink(f"/proc/{box.pid}/ns/{kind}")
        assert facts.namespaces[kind] == os.readlink(f"/proc/self/ns/{kind}")


def test_from_another_mount_namespace(bundle: Bundle) -> None:
    """A container without one of its own lives in a changed root of its creator's."""
    bundle.without_namespace("mount").set("mounts", [])
    with running(bundle) as box:
        box.wrap = ("unshare", "--mount")
        outcome = inside(box, "stat", "/", "--", "exit", "3")
        box.wrap = ()
        assert outcome.code == 3, str(outcome)
        assert outcome.lines[0]["ino"] == bundle.rootfs.stat().st_ino


def test_without_a_pid_namespace(bundle: Bundle) -> None:
    bundle.without_namespace("pid")
    with running(bundle) as box:
        facts = report(box)
        assert facts.namespaces["pid"] == os.readlink("/proc/self/ns/pid")
        assert inside(box, "exit", "3").code == 3


def test_in_every_cgroup_of_the_container(bundle: Bundle) -> None:
    with running(bundle) as box, Detached(box, "ID", "/inside", "pause") as other:
        assert (
            Path(f"/proc/{other.pid}/cgroup").read_text()
            == Path(f"/proc/{box.pid}/cgroup").read_text()
        )


def test_a_created_container(bundle: Bundle) -> None:
    """Its program waits; others need not."""
    with Box(bundle.inside("exit", "7")) as box:
        box.create()
        assert inside(box, "exit", "5").code == 5
        assert box.status == "created"
        box.start()
        assert box.wait() == 7


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("nosuch", 'exec: "nosuch": executable file not found in $PATH'),
        ("/bin/nosuch", 'exec: "/bin/nosuch": stat /bin/nosuch: no such file or directory'),
        ("/etc/passwd", "permission denied"),
        ("/etc", ""),
    ],
)
def test_a_program_that_cannot_run(bundle: Bundle, program: str, words: str) -> None:
    with running(bundle) as box:
        assert words in refused(box, "ID", program).replace('\\"', '"')


def test_a_script_without_its_interpreter(bundle: Bundle) -> None:
    """The program is there and the kernel will not run it: no exit status of a program's."""
    with running(bundle.file("script", "#!/no/such/interpreter\n", 0o755)) as box:
        assert "exec /script: no such file or directory" in refused(box, "ID", "/script")


def test_the_words_of_a_missing_program(bundle: Bundle) -> None:
    with running(bundle) as box:
        outcome = attached(box, "ID", "nosuch")
        assert outcome.errors == [
            'exec failed: unable to start container process: exec: "nosuch": '
            "executable file not found in $PATH"
        ]


def test_an_unknown_id(bundle: Bundle) -> None:
    with Box(bundle) as box:
        outcome = attached(box, "ID", "true")
        assert outcome.code == 255 and "container does not exist" in outcome.err, str(outcome)


def test_no_command(bundle: Bundle) -> None:
    with running(bundle) as box:
        assert "process args cannot be empty" in refused(box, "ID")


def test_an_empty_program_name(bundle: Bundle) -> None:
    with running(bundle) as box:
        refused(box, "ID", "")


def test_no_id(bundle: Bundle) -> None:
    with Box(bundle) as box:
        assert box.call("exec").code == 1


def test_a_stopped_container(bundle: Bundle) -> None:
    with Box(bundle.inside("exit", "0")) as box:
        box.create()
        box.start()
        box.wait()
        assert "exec failed: cannot exec in a stopped container" in refused(box, "ID", "/inside")


def freeze(box: Box, *, frozen: bool) -> None:
    """By the cgroup itself: `pause` is not what is tested here."""
    group = group_of(box, "freezer")
    if V2:
        (group / "cgroup.freeze").write_text(str(int(frozen)))
    else:
        (group / "freezer.state").write_text("FROZEN" if frozen else "THAWED")


def test_a_paused_container(bundle: Bundle) -> None:
    with running(bundle) as box:
        freeze(box, frozen=True)
        try:
            words = (
                "exec failed: cannot exec in a paused container (use --ignore-paused to override)"
            )
            assert words in refused(box, "ID", "/inside", "exit", "0")
        finally:
            freeze(box, frozen=False)


def test_ignore_paused(bundle: Bundle) -> None:
    """It waits with the others until the container goes on."""
    with running(bundle) as box:
        freeze(box, frozen=True)
        with Background(box, "--ignore-paused", "ID", "/inside", "exit", "4") as back:
            assert back.process.poll() is None
            freeze(box, frozen=False)
            assert back.wait().code == 4


def test_a_stopped_program_is_no_stopped_container(bundle: Bundle) -> None:
    """SIGSTOP stops the init; the kernel lets others in all the same."""
    with running(bundle) as box:
        os.kill(box.pid, signal.SIGSTOP)
        try:
            assert inside(box, "exit", "6").code == 6
        finally:
            os.kill(box.pid, signal.SIGCONT)


def test_detach(bundle: Bundle) -> None:
    with running(bundle) as box:
        with Detached(box, "ID", "/inside", "wait", "9") as other:
            assert other.text == str(other.pid), "decimal digits and no newline"
            other.expect("wait")
            parent = Path(f"/proc/{other.pid}/stat").read_text().rpartition(")")[2].split()[1]
            assert int(parent) == os.getpid(), "an engine waits for its own child"
            os.kill(other.pid, signal.SIGTERM)
            assert other.wait() == 9
        assert box.status == "running"


def test_the_pid_file_names_the_program(bundle: Bundle) -> None:
    with running(bundle) as box, Detached(box, "ID", "/inside", "pause") as other:
        other.expect("pause")
        assert Path(f"/proc/{other.pid}/comm").read_text() == "inside\n"


@pytest.mark.parametrize("flags", [["--detach"], []])
@pytest.mark.parametrize("program", ["nosuch", "/script"])
def test_no_pid_file_of_a_failed_exec(bundle: Bundle, flags: list[str], program: str) -> None:
    """conmon takes an absent file for the failure, and a present one for success."""
    bundle.file("script", "#!/no/such/interpreter\n", 0o755)
    with running(bundle) as box:
        path = box.scratch / "pid-of-exec"
        refused(box, *flags, "--pid-file", str(path), "ID", program)
        assert not path.exists()
        assert not [name for name in os.listdir(box.scratch) if name.startswith(".pid-of")]


def test_a_pid_file_that_cannot_be_written(bundle: Bundle) -> None:
    """The process does not stay."""
    with running(bundle) as box:
        path = box.scratch / "nowhere" / "pid"
        outcome = attached(box, "--detach", "--pid-file", str(path), "ID", "/inside", "pause")
        assert outcome.code == 255 and "no such file or directory" in outcome.err
        left = (group_of(box, "pids") / "cgroup.procs").read_text().split()
        assert left == [str(box.pid)]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR2, signal.SIGHUP])
def test_signals_are_forwarded(bundle: Bundle, number: int) -> None:
    with running(bundle) as box, Background(box, "ID", "/inside", "wait", "8") as back:
        back.expect("wait")
        back.send(number)
        back.expect("got", signal=int(number))
        if number not in (signal.SIGTERM, signal.SIGINT):
            back.send(signal.SIGTERM)
        assert back.wait().code == 8


def test_the_end_of_the_container_ends_its_execs(bundle: Bundle) -> None:
    with running(bundle) as box, Background(box, "ID", "/inside", "pause") as back:
        back.expect("pause")
        box.kill("KILL")
        assert back.wait().code == 137


def test_the_containers_program_is_not_disturbed(bundle: Bundle) -> None:
    """Of the exec's end the init, whose child it is not, hears nothing."""
    with Box(bundle.inside("wait", "3")) as box:
        box.create()
        box.start()
        box.expect("wait")
        assert inside(box, "exit", "0").code == 0
        box.kill("TERM")
        assert box.wait() == 3
        assert [line["signal"] for line in box.lines if line["cmd"] == "got"] == [15]


def test_delete_takes_execs_along(bundle: Bundle) -> None:
    bundle.without_namespace("pid")
    with running(bundle) as box, Detached(box, "ID", "/inside", "pause") as other:
        other.expect("pause")
        box.delete("--force")
        assert other.wait() == 137


def test_in_a_directory_that_is_gone(bundle: Bundle, tmp_path: Path) -> None:
    """An engine's cwd may vanish; nothing of it is needed."""
    gone = tmp_path / "gone"
    gone.mkdir()

    def vanish() -> None:
        os.chdir(gone)
        os.rmdir(gone)

    with running(bundle) as box:
        box.prepare = vanish
        outcome = inside(box, "exit", "2")
        box.prepare = None
        assert outcome.code == 2, str(outcome)


def test_help(bundle: Bundle) -> None:
    with Box(bundle) as box:
        outcome = box.bare("exec", "--help")
        assert outcome.code == 0
        for flag in ("--process", "--cwd", "--env", "--tty", "--user", "--additional-gids", "--cap",
                     "--detach", "--pid-file", "--console-socket", "--preserve-fds", "--cgroup",
                     "--no-new-privs", "--apparmor", "--process-label", "--ignore-paused"):  # fmt: skip
            assert flag in outcome.out


def test_no_zombie_of_the_stage_stays(bundle: Bundle) -> None:
    with running(bundle) as box, Detached(box, "ID", "/inside", "pause") as other:
        own = [leaks.describe_process(pid) for pid in leaks.children()]
        zombies = [line for line in own if line.split()[1] == "Z"]
        assert zombies == [] and other.pid
