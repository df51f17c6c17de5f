"""The files an engine names: pid file, log, bundle; their formats, and links in their place (R-35, R-36)."""

from __future__ import annotations

import json
import os
import re
import socket
from pathlib import Path

import pytest

from tests.lib.box import Box, run
from tests.lib.bundle import Bundle
from tests.lib.tripwire import Tripwire

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)"


def create(box: Box, *flags: str) -> int:
    box.bundle.write(box.id)
    outcome = box.call("create", "--bundle", str(box.bundle.directory), *flags, box.id)
    if outcome.code == 0:
        box.adopt(box.state()["pid"])
    return outcome.code


def test_pid_file_holds_digits_and_nothing_else(bundle: Bundle) -> None:
    with Box(bundle) as box:
        box.create()
        path = box.scratch / "pid"
        assert path.read_bytes() == str(box.pid).encode()
        assert path.stat().st_mode & 0o777 == 0o644
        assert sorted(os.listdir(box.scratch)) == sorted(
            {"pid", "root"} | ({"log.json"} if box.log.exists() else set())
        )


def test_pid_file_is_not_written_when_create_fails(bundle: Bundle) -> None:
    with Box(bundle.args("/missing")) as box:
        assert box.create(check=False).code == 1
        assert not (box.scratch / "pid").exists()


def test_pid_file_replaces_a_link(bundle: Bundle, tmp_path: Path) -> None:
    """R-35: a planted link makes root overwrite any file, if it is followed."""
    victim = tmp_path / "outside/victim"
    victim.parent.mkdir()
    victim.write_text("precious")
    path = tmp_path / "planted"
    path.symlink_to(victim)
    with Tripwire(victim.parent), Box(bundle) as box:
        assert create(box, "--pid-file", str(path)) == 0
        assert not path.is_symlink() and path.read_text() == str(box.pid)


def test_a_pid_file_that_is_no_file_is_written_into(bundle: Bundle, tmp_path: Path) -> None:
    """As with --pid-file /dev/stdout: the host's node stays what it is."""
    node = tmp_path / "fifo"
    os.mkfifo(node)
    link = tmp_path / "link"
    link.symlink_to(node)
    reader = os.open(node, os.O_RDONLY | os.O_NONBLOCK)
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(tmp_path / "socket"))
    server.listen()
    try:
        for path in (node, link, tmp_path / "socket"):
            before = path.lstat()
            with Box(bundle) as box:
                assert create(box, "--pid-file", str(path)) == 0
                if path.is_socket():
                    connection = server.accept()[0]
                    digits = connection.recv(64)
                    connection.close()
                else:
                    digits = os.read(reader, 64)
                assert digits == str(box.pid).encode()
                assert (path.lstat().st_ino, path.lstat().st_mode) == (
                    before.st_ino,
                    before.st_mode,
                )
    finally:
        server.close()
        os.close(reader)


def test_a_bundle_whose_path_is_not_utf8(bundle: Bundle, tmp_path: Path) -> None:
    strange = os.fsdecode(os.fsencode(tmp_path) + b"/b\xff")
    os.symlink(bundle.directory, strange)
    with Box(bundle) as box:
        bundle.write(box.id)
        outcome = box.call("create", "--bundle", strange, box.id)
        refused = outcome.code == 1 and "the path is not UTF-8" in outcome.errors[-1]
        assert refused  # and not the outcome: pytest-xdist has no way to send such a path
        assert "internal error" not in outcome.err and box.call("state", box.id).code == 1


def test_a_stale_temporary_name_does_not_block(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / ".planted").write_text("stale")
    with Box(bundle) as box:
        assert create(box, "--pid-file", str(tmp_path / "planted")) == 0


def test_pid_file_in_a_missing_directory(bundle: Bundle) -> None:
    with Box(bundle) as box:
        assert create(box, "--pid-file", "/not/there/pid") == 1
        assert box.call("state", box.id).code == 1


def test_json_log_is_one_object_with_level_msg_time(bundle: Bundle) -> None:
    with Box(bundle) as box:
        outcome = box.call("start", box.id)
        assert len(outcome.records) == 1
        record = outcome.records[0]
        assert {"level", "msg", "time"} <= set(record)
        assert record["level"] == "error" and "container does not exist" in record["msg"]
        assert re.fullmatch(TIME, record["time"])


def test_a_success_logs_nothing(bundle: Bundle) -> None:
    """Podman reads the whole file as one object: a second line would spoil the first."""
    with Box(bundle.capabilities("CAP_CHOWN", "CAP_NOPE")) as box:
        outcome = box.create()
        assert [record for record in outcome.records if record["level"] in ("error", "fatal")] == []


def test_text_log(bundle: Bundle) -> None:
    with Box(bundle) as box:
        outcome = box.bare(
            "--root", str(box.root), "--log", str(box.log), "--log-format", "text", "state", box.id
        )
        line = outcome.log_text.splitlines()[-1]
        assert re.fullmatch(
            rf'time="?{TIME}"? level=error msg="container does not exist".*', line
        ), line


def test_the_error_is_also_on_stderr(bundle: Bundle) -> None:
    with Box(bundle) as box:
        assert "container does not exist" in box.call("state", box.id).err
        plain = box.bare("--root", str(box.root), "state", box.id)
        assert "container does not exist" in plain.err and plain.out == ""


def test_the_log_is_appended_to(bundle: Bundle) -> None:
    with Box(bundle) as box:
        box.log.write_text('{"level":"info","msg":"before","time":"2026-01-01T00:00:00Z"}\n')
        outcome = box.bare(*box.globals, "state", box.id)
        assert len(outcome.records) == 2 and outcome.records[0]["msg"] == "before"


def test_the_last_of_two_logs_wins(bundle: Bundle, tmp_path: Path) -> None:
    """podman --runtime-flag: conmon gives --log and --log-format twice."""
    first = tmp_path / "first"
    with Box(bundle) as box:
        outcome = box.bare(
            f"--log={first}", "--log-format=text", "--debug", *box.globals, "state", box.id
        )
        assert outcome.code == 1
        assert any("container does not exist" in record["msg"] for record in outcome.records)
        assert not first.exists() or "container does not exist" not in first.read_text()


@pytest.mark.parametrize("target", ["/dev/null", "/dev/full"])
def test_a_log_that_takes_nothing_changes_no_result(bundle: Bundle, target: str) -> None:
    with Box(bundle) as box:
        bundle.write(box.id)
        outcome = box.bare(
            "--root",
            str(box.root),
            "--log",
            target,
            "run",
            "--bundle",
            str(bundle.directory),
            box.id,
        )
        assert outcome.code == 0, str(outcome)
        assert (
            "container does not exist"
            in box.bare("--root", str(box.root), "--log", target, "state", box.id).err
        )


def test_a_log_in_a_missing_directory_is_an_error(bundle: Bundle) -> None:
    with Box(bundle) as box:
        outcome = box.bare("--root", str(box.root), "--log", "/not/there/log", "list")
        assert outcome.code == 1 and "no such file or directory" in outcome.err


def test_a_fifo_as_log_does_not_hang(bundle: Bundle, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "log")
    with Box(bundle, patience=3) as box:
        assert box.bare("--root", str(box.root), "--log", str(tmp_path / "log"), "list").code == 1


def test_names_of_the_config_forge_no_log_line(bundle: Bundle) -> None:
    evil = 'x"\n{"level":"error","msg":"forged","time":"2026-01-01T00:00:00Z"}\n\x1b[31m'
    with Box(bundle.args(f"/{evil}")) as box:
        outcome = box.create(check=False)
        assert outcome.code == 1
        assert len(outcome.records) == 1 and outcome.records[0]["msg"] != "forged"
        text = box.bare(
            "--root", str(box.root), "create", "--bundle", str(bundle.directory), box.id
        )
        assert "\x1b" not in text.err
        assert not any(line.startswith("{") for line in text.err.splitlines())


def test_a_huge_name_gets_a_bounded_message(bundle: Bundle) -> None:
    with Box(bundle.args("/" + "x" * 100_000)) as box:
        outcome = box.create(check=False)
        assert outcome.code == 1 and len(outcome.err) < 20_000
        assert len(json.dumps(outcome.records)) < 20_000


@pytest.mark.parametrize("mask", [0, 0o077, 0o777])
def test_the_callers_umask_does_not_matter(bundle: Bundle, mask: int) -> None:
    with Box(
        bundle.mount("/data/deep", "tmpfs", "t"), prepare=lambda: os.umask(mask) and None
    ) as box:
        facts = box.run(check=True).facts
        assert facts.dev["null"]["mode"] == 0o666
        assert facts.umask == 0o022
        assert box.root.stat().st_mode & 0o022 == 0


def test_the_state_root_is_not_the_hosts_root(bundle: Bundle) -> None:
    with Box(bundle, root=Path("/")) as box:
        if box.create(check=False).code == 1:
            box.root = box.scratch / "root"  # for the delete at the end
            return
        box.delete("--force")
        raise AssertionError("the state was put into /")


def test_a_state_root_others_may_write_to_is_refused(bundle: Bundle) -> None:
    """R-33: what stands there steers root's kill and rm."""
    with Box(bundle) as box:
        box.root.mkdir()
        box.root.chmod(0o777)
        outcome = box.create(check=False)
        box.root.chmod(0o700)
        assert outcome.code == 1


def test_a_state_root_that_is_a_link_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    with Box(bundle) as box:
        box.root.symlink_to(tmp_path / "elsewhere")
        outcome = box.create(check=False)
        if outcome.code == 1:
            box.root.unlink()
        assert outcome.code == 1


def test_a_planted_state_directory_is_not_taken_over(bundle: Bundle) -> None:
    with Box(bundle) as box:
        box.root.mkdir(mode=0o700)
        (box.root / box.id).symlink_to("/etc")
        assert box.create(check=False).code == 1
        (box.root / box.id).unlink()


def test_outcomes_hold_nothing_but_the_programs_output(bundle: Bundle) -> None:
    outcome = run(bundle.inside("echo", "hello"))
    assert (outcome.out, outcome.err) == ("hello\n", "")
