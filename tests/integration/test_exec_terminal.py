"""exec --tty: a pty of the container's own devpts, sent to --console-socket or relayed to the caller's terminal."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import termios
from pathlib import Path

from tests.lib import leaks, programs
from tests.lib.box import Box
from tests.lib.bundle import Bundle
from tests.lib.console import ConsoleSocket, OwnTerminal
from tests.lib.exec_calls import Detached, attached, process_file, refused, running
from tests.lib.facts import Facts, parse_lines
from tests.lib.patience import scaled


def test_console_socket(bundle: Bundle, tmp_path: Path) -> None:
    words = ["/inside", "report", "--", "echo", "ready", "--", "read", "--", "exit", "7"]
    with ConsoleSocket(tmp_path / "console") as console, running(bundle) as box:
        flags = ["--tty", "--console-socket", str(console.path)]
        with Detached(box, *flags, "ID", *words) as other:
            master = console.accept()
            facts = Facts(parse_lines(master.read_until("ready\n"))[0])
            for number in (0, 1, 2):
                entry = facts.fd(number)
                assert entry is not None and entry["tty"] == 1 and entry["major"] == 136
                assert entry["link"].startswith("/dev/pts/")
            assert {entry["fd"] for entry in facts.fds} == {0, 1, 2}
            assert facts.controlling_tty == 1
            assert console.name.startswith("/dev/pts/") or console.name == "/dev/ptmx"
            master.write("typed\n")
            assert other.wait() == 7


def test_as_conmon_and_containerd_call(bundle: Bundle, tmp_path: Path) -> None:
    """The terminal and its size are in the process file; conmon says --tty besides."""
    process = {"args": ["/inside", "winsize"], "cwd": "/", "env": [], "user": {"uid": 0, "gid": 0},
               "terminal": True, "consoleSize": {"height": 31, "width": 77}}  # fmt: skip
    with running(bundle) as box:
        path = process_file(box, process)
        for flags in (["--tty"], []):
            with ConsoleSocket(tmp_path / "console") as console:
                given = [*flags, "--console-socket", str(console.path), "--process", path]
                with Detached(box, *given, "ID") as other:
                    master = console.accept()
                    line = parse_lines(master.read_until("}\n"))[0]
                    assert (line["rows"], line["columns"]) == (31, 77)
                    assert other.wait() == 0


def test_a_user_owns_its_terminal(bundle: Bundle, tmp_path: Path) -> None:
    with ConsoleSocket(tmp_path / "console") as console, running(bundle) as box:
        flags = ["--tty", "--user", "1000:5", "--console-socket", str(console.path)]
        with Detached(box, *flags, "ID", "/inside", "report", "--", "echo", "ready") as other:
            facts = Facts(parse_lines(console.accept().read_until("ready\n"))[0])
            entry = facts.fd(0)
            assert entry is not None and entry["uid"] == 1000
            assert other.wait() == 0


def test_the_containers_console_is_left_alone(bundle: Bundle, tmp_path: Path) -> None:
    """/dev/console is the first process's; one more does not mount over it."""
    first, second = tmp_path / "first", tmp_path / "second"
    bundle.set("process.terminal", True)
    with ConsoleSocket(first) as console, Box(bundle.inside("pause")) as box:
        box.create("--console-socket", str(first))
        console.accept()
        box.start()
        before = Path(f"/proc/{box.pid}/mountinfo").read_text()
        with ConsoleSocket(second) as other:
            flags = ["--tty", "--console-socket", str(second)]
            with Detached(box, *flags, "ID", "/inside", "echo", "ready"):
                other.accept().read_until("ready")
        assert Path(f"/proc/{box.pid}/mountinfo").read_text() == before


def test_a_socket_that_is_not_there(bundle: Bundle, tmp_path: Path) -> None:
    with running(bundle) as box:
        flags = ["--detach", "--tty", "--console-socket", str(tmp_path / "none")]
        refused(box, *flags, "ID", "/inside", "pause")


def test_a_failure_between_the_clone_and_the_message_about_it(
    bundle: Bundle, tmp_path: Path
) -> None:
    """What was cloned into the container is waited for all the same: as a zombie it would keep the pid namespace alive."""
    with running(bundle) as box:
        box.wrap = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=clone3"]
        box.wrap += ["-e", "inject=clone3:delay_exit=300000"]
        flags = ["--detach", "--tty", "--console-socket", str(tmp_path / "none")]
        assert attached(box, *flags, "ID", "/inside", "pause").code == 255
        box.wrap = ()
        assert leaks.children() == {box.pid}


def spawn_interactive(
    box: Box, own: OwnTerminal, *words: str, tty: bool = True
) -> subprocess.Popen[bytes]:
    """Starts `exec` on a terminal as a shell would: a session of its own with that controlling terminal."""

    def take_terminal() -> None:
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    flags = ["--tty"] if tty else []
    command = [*programs.runtime_command(), *box.globals, "exec", *flags, box.id, *words]
    return subprocess.Popen(
        command, stdin=own.slave, stdout=own.slave, stderr=own.slave, preexec_fn=take_terminal
    )


def test_on_a_terminal(bundle: Bundle) -> None:
    with OwnTerminal(31, 91) as own, running(bundle) as box:
        before = termios.tcgetattr(own.slave)
        words = ["/inside", "winsize", "--", "echo", "ready", "--", "read", "--", "exit", "6"]
        process = spawn_interactive(box, own, *words)
        text = own.read_until("ready\n")
        line = parse_lines(text)[0]
        assert (line["rows"], line["columns"]) == (31, 91)
        own.write("typed\n")
        own.read_until('"read"')
        assert process.wait(scaled(20)) == 6
        assert termios.tcgetattr(own.slave) == before


def test_the_window_size_is_forwarded(bundle: Bundle) -> None:
    with OwnTerminal() as own, running(bundle) as box:
        process = spawn_interactive(box, own, "/inside", "winch", "--", "exit", "0")
        own.read_until("ready")
        own.resize(44, 55)
        process.send_signal(signal.SIGWINCH)
        assert '"rows":44' in own.read_until('"columns":55')
        assert process.wait(scaled(20)) == 0


def test_control_c_is_the_programs(bundle: Bundle) -> None:
    with OwnTerminal() as own, running(bundle) as box:
        process = spawn_interactive(box, own, "/inside", "wait", "4")
        own.read_until('"wait"')
        own.write("\x03")
        own.read_until('"signal":2')
        assert process.wait(scaled(20)) == 4


def test_the_terminal_is_given_back_after_a_failure(bundle: Bundle) -> None:
    with OwnTerminal() as own, running(bundle) as box:
        before = termios.tcgetattr(own.slave)
        process = spawn_interactive(box, own, "nosuch")
        own.read_until("executable file not found")
        assert process.wait(scaled(20)) == 255
        assert termios.tcgetattr(own.slave) == before


def test_without_tty_the_callers_terminal_controls_nothing(bundle: Bundle) -> None:
    """R-13: stdio may be a terminal of the host's, but it is not the process's own to command."""
    with OwnTerminal() as own, running(bundle) as box:
        process = spawn_interactive(box, own, "/inside", "report", "--", "echo", "ready", tty=False)
        facts = Facts(parse_lines(own.read_until("ready\n"))[0])
        assert facts.controlling_tty == 0 and facts.sid == facts.pid
        assert process.wait(20) == 0
