"""pyruntime/lib/log.py: what is said, where, and that it cannot be forged or broken."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from pyruntime.errors import UsageError
from pyruntime.lib.log import Log, open_log, readable

RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def test_an_error_goes_to_the_log_and_to_stderr(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    log = open_log(str(tmp_path / "log"), "text", debug=False)
    log.error("container does not exist", hint="the same --root?")
    text = (tmp_path / "log").read_text()
    shape = rf'time="{RFC3339.pattern}" level=error msg="container does not exist"\n'
    assert re.fullmatch(shape, text)
    assert capfd.readouterr().err == "container does not exist\nhint: the same --root?\n"


def test_a_json_log_gets_one_object(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Podman reads the whole file as one; containerd wants an RFC 3339 time."""
    log = open_log(str(tmp_path / "log"), "json", debug=False)
    log.container_id = "web"
    log.warning("a limit was ignored")
    log.debug("mount proc")
    log.error("no such file", hint="make it")
    record = json.loads((tmp_path / "log").read_text())
    assert RFC3339.fullmatch(record.pop("time"))
    assert record == {"level": "error", "msg": "no such file", "id": "web", "hint": "make it"}
    assert capfd.readouterr().err == "no such file\nhint: make it\n"


def test_without_a_log_file_stderr_gets_the_record_once(
    capfd: pytest.CaptureFixture[str],
) -> None:
    open_log("", "", debug=False).error("nope")
    assert re.fullmatch(
        rf'time="{RFC3339.pattern}" level=error msg="nope"\n', capfd.readouterr().err
    )
    open_log("/dev/stderr", "json", debug=False).error("nope", "a hint")
    assert json.loads(capfd.readouterr().err)["hint"] == "a hint"


@pytest.mark.parametrize(
    ("form", "debug", "levels"),
    [
        ("text", False, ["warning"]),
        ("text", True, ["warning", "debug"]),
        ("json", False, []),
        ("json", True, ["warning", "debug"]),
    ],
)
def test_levels(tmp_path: Path, form: str, debug: bool, levels: list[str]) -> None:
    log = open_log(str(tmp_path / "log"), form, debug=debug)
    log.warning("one")
    log.debug("two")
    text = (tmp_path / "log").read_text()
    assert re.findall(r'level"?[=:]"?(\w+)', text) == levels


def test_lines_of_a_traceback_stay_out_of_a_json_log(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    open_log(str(tmp_path / "log"), "json", debug=False).trace("main.py:1 in main")
    assert (tmp_path / "log").read_text() == ""
    assert capfd.readouterr().err == "main.py:1 in main\n"
    open_log("", "json", debug=False).trace("main.py:1 in main")
    assert capfd.readouterr().err == ""


HOSTILE = [
    'x\n{"level":"error","msg":"forged"}',
    'a"b\\c" level=info msg="forged',
    "\x1b[2J\x07\x00\r\x85\x9b31m",
    "\u202egnp.exe \u2066x\u2069 \u200b",
    b"\xff\xfe raw".decode("utf-8", "surrogateescape"),
    "\ud800",
    "\U000e0001",
]


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_text_forges_nothing(tmp_path: Path, text: str, capfd: pytest.CaptureFixture[str]) -> None:
    """R-36: one line per record, no control character, every JSON line parses."""
    for form in ("json", "text"):
        path = tmp_path / form
        log = open_log(str(path), form, debug=False)
        log.container_id = text
        log.error(text, text)
        written = path.read_text()
        assert written.count("\n") == 1 and written[:-1].isprintable()
        error, hint = capfd.readouterr().err.splitlines()
        assert error.isprintable() and hint.isprintable()
    assert json.loads((tmp_path / "json").read_text())["msg"].replace("\n", "\\n") == readable(text)
    quoted = (tmp_path / "text").read_text().partition(' msg="')[2]
    assert re.fullmatch(r'(?:[^"\\]|\\.)*"\n', quoted)


def test_a_line_break_in_a_message(tmp_path: Path) -> None:
    """In a text log it has one backslash; who decodes JSON gets the line break itself."""
    for form, wanted in (("text", 'msg="a\\nb \\\\n"\n'), ("json", '"msg":"a\\nb \\\\n"')):
        open_log(str(tmp_path / form), form, debug=False).error("a\nb \\n")
        assert wanted in (tmp_path / form).read_text()


def test_a_long_text_keeps_its_head_and_the_kernels_words() -> None:
    text = readable("begin " + "x" * (1 << 20) + ": permission denied")
    assert len(text) < 8192
    assert text.startswith("begin ") and text.endswith(": permission denied")


def test_ordinary_text_stays() -> None:
    assert readable("mount `proc` on `/proc`: größe €") == "mount `proc` on `/proc`: größe €"


def test_a_new_log_is_private_and_an_old_one_is_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "log"
    before = os.umask(0)
    try:
        log = open_log(str(path), "json", debug=False)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_text("before\n")
    log.error("after")
    assert path.read_text().startswith("before\n{")
    assert not os.get_inheritable(log.fd)


def test_a_fifo_needs_a_reader(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "log")
    with pytest.raises(UsageError, match="nobody reads it"):
        open_log(str(tmp_path / "log"), "json", debug=False)


@pytest.mark.parametrize(
    ("name", "words"),
    [("missing/log", "no such file or directory"), ("", "is a directory")],
)
def test_a_log_that_cannot_be(tmp_path: Path, name: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        open_log(f"{tmp_path}/{name}", "", debug=False)


def test_a_wrong_format() -> None:
    with pytest.raises(UsageError, match="invalid log-format: xml"):
        open_log("", "xml", debug=False)


def test_a_wrong_kind_of_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A block device, say; there is none every machine has, so the file is one of a kind we refuse."""
    monkeypatch.setattr("pyruntime.lib.log._KINDS", ())
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(UsageError, match="not a file, a fifo or a terminal"):
        open_log(f"{tmp_path}/log", "", debug=False)
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_log_that_takes_nothing_changes_nothing() -> None:
    """A full disk, and a pipe whose reader has gone."""
    with open("/dev/full", "wb") as full:
        Log(full.fileno(), json=True).error("said to nobody")
    reader, writer = os.pipe()
    os.close(reader)
    try:
        Log(writer).error("said to nobody")
    finally:
        os.close(writer)
