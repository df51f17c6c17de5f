"""create, start, state, kill, delete, run: what follows what, and exit codes."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.lib import leaks
from tests.lib.box import Box, pump, run
from tests.lib.bundle import Bundle


def test_the_whole_life(bundle: Bundle) -> None:
    with Box(bundle.inside("wait", "7")) as box:
        box.create()
        assert box.status == "created"
        box.start()
        box.expect("wait")
        assert box.status == "running"
        box.kill("TERM")
        assert box.wait() == 7
        assert box.status == "stopped"
        box.delete()
        assert box.call("state", box.id).code == 1


def test_create_does_not_run_the_program(bundle: Bundle) -> None:
    with Box(bundle.inside("create", "/ran", "x")) as box:
        box.create()
        assert not (bundle.rootfs / "ran").exists()
        box.start()
        box.wait()
        assert (bundle.rootfs / "ran").exists()


def test_start_without_a_process_is_refused_and_changes_nothing(bundle: Bundle) -> None:
    """runtime.md, Start: it is an error, and an error leaves everything as it was; create needs none."""
    bundle.unset("process").hook("startContainer", "/no/such/hook")
    with Box(bundle) as box:
        box.create()
        for _ in range(2):
            outcome = box.start(check=False)
            assert outcome.code == 1 and "process" in outcome.message
            assert box.status == "created" and not box.ended(0)
    with Box(bundle) as box:
        outcome = box.run()
        assert outcome.code == 1 and "process" in outcome.message
        assert box.call("state", box.id).code == 1


def test_later_edits_of_the_config_do_not_matter(bundle: Bundle) -> None:
    with Box(bundle.hostname("first")) as box:
        box.create()
        (bundle.directory / "config.json").write_text("{}")
        box.start()
        assert box.wait() == 0
        assert box.facts.hostname == "first"


def test_the_init_is_the_engines_child(bundle: Bundle) -> None:
    """Re-parented to the subreaper, and nothing else of the runtime stays."""
    with Box(bundle) as box:
        box.create()
        assert leaks.children() == {box.pid}
        box.start()
        box.wait()


def test_the_pid_stays_the_same(bundle: Bundle) -> None:
    with Box(bundle.inside("pause")) as box:
        box.create()
        created = box.state()["pid"]
        box.start()
        assert created == box.state()["pid"] == box.pid


def test_a_created_container_ends_on_term(bundle: Bundle) -> None:
    """Its init is pid 1 and must not ignore the signal."""
    with Box(bundle) as box:
        box.create()
        box.kill("TERM")
        assert box.wait(patience=5) != 0
        assert box.status == "stopped"


@pytest.mark.parametrize("word", ["KILL", "SIGKILL", "kill", "sigkill", "9"])
def test_ways_to_say_kill(bundle: Bundle, word: str) -> None:
    with Box(bundle.inside("pause")) as box:
        box.create()
        box.start()
        box.kill(word)
        assert box.wait() == 137


@pytest.mark.parametrize("number", [1, 2, 10, 12, 15, 28, 34, 37, 64])
def test_signals_by_number(bundle: Bundle, number: int) -> None:
    with Box(bundle.inside("wait")) as box:
        box.create()
        box.start()
        box.expect("wait")
        box.kill(number)
        assert box.expect("got")["signal"] == number


def test_the_default_signal_is_term(bundle: Bundle) -> None:
    with Box(bundle.inside("wait")) as box:
        box.create()
        box.start()
        box.expect("wait")
        box.kill()
        assert box.expect("got")["signal"] == signal.SIGTERM
        box.wait()


def test_flags_after_the_id(bundle: Bundle) -> None:
    """`kill --all ID 9` and `delete ID` with the flag on either side, as engines write them."""
    with Box(bundle.inside("pause")) as box:
        box.create()
        box.start()
        assert box.call("kill", "--all", box.id, "9").code == 0
        assert box.wait() == 137


def test_delete_of_a_created_container(bundle: Bundle) -> None:
    """Not without --force (runtime.md, Delete): it is there as before, and can be started."""
    with Box(bundle) as box:
        box.create()
        refused = box.delete(check=False)
        assert refused.code == 1
        assert refused.errors == [f"cannot delete container {box.id} that is not stopped: created"]
        box.start()
        assert box.wait() == 0
        box.delete()


def test_delete_force_of_a_created_container(bundle: Bundle) -> None:
    with Box(bundle) as box:
        box.create()
        box.delete("--force")
        assert box.wait() == 137


def test_delete_force_of_a_running_container(bundle: Bundle) -> None:
    with Box(bundle.inside("spawn", "--", "pause")) as box:
        box.create()
        box.start()
        box.expect("pause")
        box.delete("--force")
        assert box.wait() == 137


def test_delete_force_without_a_pid_namespace_kills_all(bundle: Bundle) -> None:
    bundle.without_namespace("pid").inside("spawn", "--", "pause")
    with Box(bundle) as box:
        box.create()
        box.start()
        child = box.expect("spawn")["child"]
        watch = os.pidfd_open(child)
        box.expect("pause")
        box.delete("--force")
        assert box.wait() == 137
        assert pump(
            [], lambda: leaks.describe_process(child).split()[1] in ("Z", "(gone"), watch, 3
        )
        os.close(watch)


@pytest.mark.parametrize("signals", [("TERM", "KILL"), ("KILL",)])
def test_what_the_init_has_left_behind(bundle: Bundle, signals: tuple[str, ...]) -> None:
    """In the host's pid namespace its end takes nobody along: SIGKILL still reaches them, no other signal does."""
    bundle.without_namespace("pid").inside("pause")
    with Box(bundle) as box:
        box.create()
        box.start()
        box.expect("pause")
        pid_file = box.scratch / "exec.pid"
        words = ["--detach", "--pid-file", str(pid_file), box.id, "/inside", "pause"]
        box.call("exec", *words, check=True)
        other = os.pidfd_open(int(pid_file.read_text()))
        os.kill(box.pid, signal.SIGKILL)
        box.wait()
        assert box.status == "stopped"
        for word in signals[:-1]:
            assert "container not running" in box.kill(word, check=False).message
        box.kill("KILL")
        result = os.waitid(os.P_PIDFD, other, os.WEXITED)
        assert result is not None and result.si_status == signal.SIGKILL
        os.close(other)
        assert "container not running" in box.kill("KILL", check=False).message
        box.delete()


def test_an_id_can_be_used_again(bundle: Bundle) -> None:
    with Box(bundle) as box:
        for _ in range(3):
            box.create()
            box.start()
            assert box.wait() == 0
            box.delete()


def test_everything_is_gone_after_delete(bundle: Bundle) -> None:
    with Box(bundle) as box:
        box.run(check=True)
        assert not list(box.root.glob("*")) or box.call("list", "--quiet").out == ""


@pytest.mark.parametrize("code", [0, 1, 2, 42, 125, 126, 127, 128, 255])
def test_run_returns_the_programs_code(bundle: Bundle, code: int) -> None:
    assert run(bundle.inside("exit", str(code))).code == code


@pytest.mark.parametrize("number", [9, 15, 6, 11, 1])
def test_run_returns_128_and_the_signal(bundle: Bundle, number: int) -> None:
    """Without a pid namespace, for pid 1 has no default actions."""
    outcome = run(bundle.without_namespace("pid").inside("signal", str(number), "--", "pause"))
    assert outcome.code == 128 + number


def test_run_deletes_the_container(bundle: Bundle) -> None:
    with Box(bundle) as box:
        box.run(check=True)
        assert box.call("state", box.id).code == 1


def test_run_keep(bundle: Bundle) -> None:
    with Box(bundle) as box:
        box.run("--keep", check=True)
        assert box.status == "stopped"
        box.delete()


def test_run_detached(bundle: Bundle) -> None:
    with Box(bundle.inside("wait", "3")) as box:
        box.run("--detach", check=True)
        box.expect("wait")
        assert box.status == "running"
        assert leaks.children() == {box.pid}
        box.kill("INT")
        assert box.wait() == 3
        assert box.status == "stopped"
        box.delete()


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2]
)
def test_run_forwards_signals(bundle: Bundle, number: int) -> None:
    with Box(bundle.inside("wait", "5")) as box:
        bundle.write(box.id)
        words = [*box.globals, "run", "--bundle", str(bundle.directory), box.id]
        process, out, err = box.spawn(*words)
        box.stdout, box.stderr = out, err
        box.expect("wait")
        process.send_signal(number)
        assert box.expect("got")["signal"] == number
        if number not in (signal.SIGTERM, signal.SIGINT):
            process.send_signal(signal.SIGTERM)
        assert box.finish(process, out, err, words).code == 5


def test_run_passes_stdio_through(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "input").write_text("from stdin")
    with (tmp_path / "input").open("rb") as stdin:
        outcome = run(bundle.inside("read", "--", "stderr", "to stderr"), stdin=stdin)
    assert outcome.lines[0]["data"] == "from stdin"
    assert "to stderr" in outcome.err and "to stderr" not in outcome.out


def test_create_passes_stdio_through(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "input").write_text("from stdin")
    with (tmp_path / "input").open("rb") as stdin, Box(bundle.inside("read"), stdin=stdin) as box:
        box.create()
        box.start()
        box.wait()
        assert box.expect("read")["data"] == "from stdin"


def test_the_container_outlives_its_starter(bundle: Bundle) -> None:
    """It writes after `start` has ended, into pipes only it and the engine hold."""
    reader, writer = os.pipe()
    with (
        os.fdopen(reader, "rb") as stdin,
        Box(bundle.inside("read", "--", "echo", '{"cmd":"late"}'), stdin=stdin) as box,
    ):
        box.create()
        box.start()
        os.write(writer, b"x")
        os.close(writer)
        box.expect("late")
        box.wait()
        assert box.stdout is not None
        assert pump([box.stdout], lambda: bool(box.stdout and box.stdout.ended), None, 3), (
            "somebody holds its stdout"
        )


def test_preserved_descriptors(bundle: Bundle, tmp_path: Path) -> None:
    """--preserve-fds N hands over 3 to N+2 and nothing beyond."""
    path = tmp_path / "handed"
    path.write_text("handed over")

    def place() -> None:
        os.dup2(os.open(path, os.O_RDONLY), 60)
        for number in (3, 4, 5):
            os.dup2(60, number)

    with Box(bundle, prepare=place) as box:
        facts = box.run("--preserve-fds", "2", check=True).facts
    assert {entry["fd"] for entry in facts.fds} == {0, 1, 2, 3, 4}
    assert facts.fd(3)["size"] == len("handed over")


def test_containers_side_by_side(bundle: Bundle, tmp_path: Path) -> None:
    """Ten in one root, created and deleted together."""
    root = tmp_path / "root"
    boxes = [Box(Bundle(tmp_path / f"b{n}").inside("pause"), root=root) for n in range(10)]
    processes: list[tuple[Box, subprocess.Popen[bytes], list[str]]] = []
    try:
        for box in boxes:
            box.bundle.write(box.id)
            words = [
                *box.globals,
                "create",
                "--bundle",
                str(box.bundle.directory),
                "--pid-file",
                str(box.scratch / "pid"),
                box.id,
            ]
            process, box.stdout, box.stderr = box.spawn(*words)
            processes.append((box, process, words))
        outcomes = []
        for box, process, words in processes:
            assert box.stdout and box.stderr
            outcomes.append(box.finish(process, box.stdout, box.stderr, words))
        assert [outcome.code for outcome in outcomes] == [0] * len(boxes), str(outcomes)
        for box in boxes:
            box.adopt(int((box.scratch / "pid").read_text()))
        listed = boxes[0].call("list", "--quiet", check=True).out.split()
        assert sorted(listed) == sorted(box.id for box in boxes)
    finally:
        for box in boxes:
            box.__exit__(None, None, None)


def test_two_creates_of_one_id(bundle: Bundle) -> None:
    """One wins, the other says that it exists."""
    with Box(bundle.inside("pause")) as box:
        bundle.write(box.id)
        words = [
            *box.globals,
            "create",
            "--bundle",
            str(bundle.directory),
            "--pid-file",
            str(box.scratch / "pid"),
            box.id,
        ]
        started = [box.spawn(*words) for _ in range(4)]
        outcomes = [box.finish(*each, words) for each in started]
        assert sorted(outcome.code for outcome in outcomes) == [0, 1, 1, 1], str(outcomes)
        assert all("already exists" in outcome.err for outcome in outcomes if outcome.code)
        box.adopt(int((box.scratch / "pid").read_text()))
