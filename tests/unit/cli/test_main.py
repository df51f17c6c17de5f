"""pyruntime/cli/main.py and failure.py: which verb runs with what, and what every failure looks like."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from pyruntime import __version__, errors
from pyruntime.cli import main, start, state
from pyruntime.cli.main import VERBS, Call, write

Seen = Callable[[], "tuple[str, str]"]


@pytest.fixture
def seen(capfd: pytest.CaptureFixture[str]) -> Seen:
    """What went to stdout and stderr since the last look."""
    return lambda: tuple(capfd.readouterr())


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], None]:
    """Makes the next `state` fail."""

    def fail_with(error: BaseException) -> None:
        def run(_: Call) -> int:
            raise error

        monkeypatch.setattr(state, "run", run)

    return fail_with


def sentence(text: str) -> str:
    """The message of a text record, as written there."""
    assert text.startswith('time="') and text.count("\n") == 1, text
    return text.partition(' level=error msg="')[2].removesuffix('"\n')


@pytest.mark.parametrize("name", ["pyruntime", "runc", "crun"])
@pytest.mark.parametrize("words", [["--version"], ["-v"], ["--root", "/x", "-version", "state"]])
def test_version(seen: Seen, monkeypatch: pytest.MonkeyPatch, name: str, words: list[str]) -> None:
    """go-runc looks for "runc version " at the beginning of a line."""
    monkeypatch.setattr(sys, "argv", [f"/usr/bin/{name}"])
    assert main.main(words) == 0
    out, err = seen()
    assert out == f"{name} version {__version__}\ncommit: v{__version__}\nspec: 1.3.0\n"
    assert err == ""


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"], ["help"], ["h"], ["--root=/x", "help"]])
def test_help(seen: Seen, words: list[str]) -> None:
    assert main.main(words) == 0
    out, err = seen()
    assert err == ""
    for verb in VERBS:
        assert f"\n   {verb} " in out
    assert "--root DIR" in out and "--criu" not in out


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_a_verb(seen: Seen, verb: str) -> None:
    texts = []
    behind = (
        [verb, "-h", "id"] if verb in ("exec", "ps") else [verb, "id", "-h"]
    )  # after an id: the words of another program
    for words in ([verb, "--help"], behind, ["help", verb], ["--help", verb]):
        assert main.main(words) == 0
        out, err = seen()
        assert err == ""
        texts.append(out)
    assert len(set(texts)) == 1
    assert texts[0].startswith(f"pyruntime {verb} - ") and "--help, -h" in texts[0]


def test_help_of_an_unknown_verb(seen: Seen) -> None:
    assert main.main(["help", "dance"]) == 3
    assert "No help topic for 'dance'" in seen()[1]


def test_an_unknown_verb(seen: Seen) -> None:
    assert main.main(["--log-format", "json", "dance", "--x"]) == 3
    out, err = seen()
    record = json.loads(err)
    assert out == "" and record["level"] == "error"
    assert record["msg"] == "No help topic for 'dance'"


def test_words_before_and_after_the_verb(monkeypatch: pytest.MonkeyPatch) -> None:
    """Flags may come twice, and those of containerd's old client are taken as nothing."""
    calls: list[Call] = []
    monkeypatch.setattr(state, "run", lambda call: calls.append(call) or 7)
    words = ["--root", "/a", "--criu", "x", "--root=/b", "--systemd-cgroup", "state", "web"]
    assert main.main(words) == 7
    assert calls[0].root == "/b" and calls[0].arguments == ["web"]
    assert calls[0].globals["systemd-cgroup"] is True


def test_a_log_is_opened_before_anything_is_done(
    seen: Seen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start, "run", lambda _: pytest.fail("it ran"))
    assert main.main(["--log", f"{tmp_path}/no/log", "start", "web"]) == 1
    assert sentence(seen()[1]) == f"open the log `{tmp_path}/no/log`: no such file or directory"
    assert main.main(["--log-format", "yaml", "start", "web"]) == 1
    assert sentence(seen()[1]) == "invalid log-format: yaml"


def test_wrong_options_of_a_verb_are_logged(seen: Seen, tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert main.main(["--log", str(log), "--log-format=json", "state", "--bogus", "x"]) == 1
    assert json.loads(log.read_text())["msg"] == "flag provided but not defined: -bogus"
    assert seen() == ("", "flag provided but not defined: -bogus\n")


REFUSALS: list[tuple[BaseException, str, int]] = [
    (errors.NoSuchContainer("web"), "container does not exist", 1),
    (errors.KernelError(1, "mount", "/proc"), "mount /proc: operation not permitted", 1),
    (errors.KernelError(38, "clone3"), "clone3: function not implemented", 1),
    (OSError(28, "x", "/run/x"), "/run/x: no space left on device", 1),
    (OSError(28, "x"), "a system call: no space left on device", 1),
    (BrokenPipeError(32, "x"), "a system call: broken pipe", 1),
    (MemoryError(), "cannot allocate memory", 1),
    (KeyboardInterrupt(), "interrupted", 130),
]


@pytest.mark.parametrize(("error", "words", "code"), REFUSALS, ids=lambda x: type(x).__name__)
def test_refusals_are_one_sentence(
    seen: Seen,
    failing: Callable[[BaseException], None],
    error: BaseException,
    words: str,
    code: int,
) -> None:
    failing(error)
    assert main.main(["state", "web"]) == code
    out, err = seen()
    assert out == "" and sentence(err) == words


def test_a_hint_stands_on_its_own_line(
    seen: Seen, failing: Callable[[BaseException], None]
) -> None:
    failing(errors.UnsupportedError("no cgroup v9", hint="boot another kernel"))
    assert main.main(["--log-format=text", "state", "web"]) == 1
    record, hint, end = seen()[1].split("\n")
    assert 'msg="no cgroup v9"' in record and (hint, end) == ("hint: boot another kernel", "")


@pytest.mark.parametrize("error", [ValueError("what?"), errors.InternalError("what?"), OSError()])
def test_a_bug_shows_where(
    seen: Seen, failing: Callable[[BaseException], None], error: BaseException
) -> None:
    failing(error)
    assert main.main(["state", "web"]) == 1
    err = seen()[1]
    assert "cli/main.py:" in err and "test_main.py:" in err and " in run" in err
    assert "internal error" in err and "please report" in err


def test_a_bug_in_a_json_log_is_one_object(
    seen: Seen, failing: Callable[[BaseException], None]
) -> None:
    failing(KeyError("pid"))
    assert main.main(["--log-format", "json", "state", "web"]) == 1
    record = json.loads(seen()[1])
    assert record["msg"].startswith("internal error: KeyError: 'pid' (") and record["id"] == "web"


def test_all_findings_of_a_document(seen: Seen, failing: Callable[[BaseException], None]) -> None:
    failing(errors.SpecError([("/root", "missing", ""), ("/mounts/0/type", "a number", "7")]))
    assert main.main(["state", "web"]) == 1
    expected = "config.json has 2 mistakes: /root: missing; /mounts/0/type: a number (7)"
    assert sentence(seen()[1]) == expected


def test_an_invalid_document_is_explained_in_the_full_interpreter(
    seen: Seen, failing: Callable[[BaseException], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where that is not installed, what the small one found is said."""
    asked: list[list[str]] = []

    def hand_over(argv: list[str]) -> None:
        asked.append(argv)
        raise errors.UnsupportedError("not installed")

    monkeypatch.setattr("pyruntime.lib.handover.full_interpreter", hand_over)
    failing(errors.SpecError([("/root", "missing", "")]))
    assert main.main(["--root=/x", "state", "web"]) == 1
    assert asked == [["--root=/x", "state", "web"]]
    assert sentence(seen()[1]) == "config.json: /root: missing"


def test_a_slow_reader_gets_all_of_it() -> None:
    """More than a pipe holds, into one that an engine made non-blocking."""
    parts: list[bytes] = []
    reader, writer = os.pipe()
    os.set_blocking(writer, False)

    def read_to_end() -> None:
        while part := os.read(reader, 1 << 20):
            parts.append(part)

    thread = threading.Thread(target=read_to_end)
    thread.start()
    kept = os.dup(1)
    os.dup2(writer, 1)
    os.close(writer)
    try:
        write("x" * 300_000 + "\udcff")
    finally:
        os.dup2(kept, 1)  # which closes the pipe, and ends the thread
        os.close(kept)
        thread.join()
        os.close(reader)
    assert b"".join(parts) == b"x" * 300_000 + b"\xff"
