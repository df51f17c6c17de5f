"""pyruntime/cli/exec.py: how the command line becomes a request, and what of it is refused before anything is done."""

from __future__ import annotations

from typing import Any

import pytest

from pyruntime import errors
from pyruntime.cli import main
from pyruntime.runtime import executing
from pyruntime.runtime.exec_process import ExecRequest

Requests = list[ExecRequest]
PLAIN: dict[str, Any] = {
    "gaps": (),
    "root": "/r",
    "container_id": "web",
    "process_file": None,
    "args": ["id"],
    "terminal": False,
    "cwd": "",
    "env": [],
    "uid": None,
    "gid": None,
    "groups": [],
    "label": "",
    "profile": "",
    "no_new_privileges": False,
    "capabilities": [],
    "detach": False,
    "console_socket": "",
    "pid_file": "",
    "pidfd_socket": "",
    "preserve_fds": 0,
    "cgroups": [],
    "ignore_paused": False,
}


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> Requests:
    """What exec was asked for; the process ends with 42."""
    found: Requests = []

    def fake(request: ExecRequest) -> int:
        found.append(request)
        return 42

    monkeypatch.setattr(executing, "execute", fake)
    return found


def asked(requests: Requests, *words: str) -> dict[str, Any]:
    assert main.main(["--root=/r", "exec", *words]) == 42
    return {name: getattr(requests[0], name) for name in ExecRequest.__slots__ if name != "log"}


def test_nothing_unasked(requests: Requests) -> None:
    assert asked(requests, "web", "id") == PLAIN


@pytest.mark.parametrize(
    ("words", "changed"),
    [
        (
            ["--console-socket", "/s", "-t", "-d"],
            {"console_socket": "/s", "terminal": True, "detach": True},
        ),
        (["--cwd=/tmp"], {"cwd": "/tmp"}),
        (["-e", "A=1", "--env", "B=2,3", "-e=C="], {"env": ["A=1", "B=2,3", "C="]}),
        (["--user", "7"], {"uid": 7}),
        (["--user", "9", "-u", "7:8"], {"uid": 7, "gid": 8}),
        (["-g", "7", "--additional-gids=8"], {"groups": [7, 8]}),
        (["--pid-file=/p", "--pidfd-socket=/q"], {"pid_file": "/p", "pidfd_socket": "/q"}),
        (["--process-label", "l", "--apparmor", "p"], {"label": "l", "profile": "p"}),
        (["--no-new-privs"], {"no_new_privileges": True}),
        (["-c", "CAP_KILL", "--cap=CAP_CHOWN"], {"capabilities": ["CAP_KILL", "CAP_CHOWN"]}),
        (["--preserve-fds", "2"], {"preserve_fds": 2}),
        (["--cgroup", "pids:a", "--cgroup", "cpu:b"], {"cgroups": ["pids:a", "cpu:b"]}),
        (["--ignore-paused"], {"ignore_paused": True}),
    ],
)
def test_flags(requests: Requests, words: list[str], changed: dict[str, Any]) -> None:
    assert asked(requests, *words, "web", "id") == {**PLAIN, **changed}


def test_what_follows_the_id_is_the_programs(requests: Requests) -> None:
    words = ["sh", "-c", "exit 3", "--", "--user", "0", "--help"]
    assert asked(requests, "-d", "web", *words) == {**PLAIN, "detach": True, "args": words}


def test_a_process_file(requests: Requests) -> None:
    expected = {**PLAIN, "args": [], "process_file": "/f", "terminal": True}
    assert asked(requests, "--process", "/f", "--tty", "web") == expected


REFUSED = [
    (["web"], "process args cannot be empty"),
    (["--process=/f", "web", "id"], "a command cannot be given with --process"),
    (["--process=/f", "--user=1", "web"], "--user cannot be given with --process"),
    (["--process=/f", "--env=A=b", "web"], "--env cannot be given with --process"),
    (["--process=/f", "--no-new-privs", "web"], "--no-new-privs cannot be given with --process"),
    *[
        ([f"--user={word}", "web", "id"], "not a number from 0 to 2147483647")
        for word in (
            ":",
            "1:",
            ":1",
            "+1",
            "-1",
            " 1",
            "0x1",
            "1_0",
            "root",
            "\u0661",
            "2147483648",
            "1:2:3",
            "1\n",
            "0" * 5000,
        )
    ],
    (["--additional-gids=2147483648", "web", "id"], "additional gid `2147483648`: not a number"),
    (["-g", "", "web", "id"], "additional gid ``: not a number"),
]


@pytest.mark.parametrize(("words", "sentence"), REFUSED)
def test_refusals(
    requests: Requests, capfd: pytest.CaptureFixture[str], words: list[str], sentence: str
) -> None:
    assert main.main(["exec", *words]) == 255
    told = capfd.readouterr().err
    assert "exec failed: " in told and sentence in told
    assert requests == []


def test_the_command_line_itself_ends_with_1(requests: Requests) -> None:
    for words in ([], ["--nosuch", "web", "id"], ["--env"], ["--preserve-fds=x", "web", "id"]):
        assert main.main(["exec", *words]) == 1
    assert requests == []


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (errors.NoSuchContainer("web"), "exec failed: container does not exist"),
        (OSError(13, "x", "/file"), "exec failed: /file: permission denied"),
        (KeyError("pid"), "internal error: KeyError: 'pid'"),
    ],
)
def test_every_failure_of_ours_is_255(
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    error: Exception,
    sentence: str,
) -> None:
    """A program's own status is told apart from it."""

    def fail(request: ExecRequest) -> int:
        raise error

    monkeypatch.setattr(executing, "execute", fail)
    assert main.main(["exec", "web", "id"]) == 255
    assert sentence in capfd.readouterr().err
