"""The flags of exec: each changes one thing of the process that config.json describes (R-16, R-17)."""

from __future__ import annotations

import array
import json
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.lib.box import Box
from tests.lib.bundle import Bundle
from tests.lib.exec_calls import Detached, attached, inside, refused, report, running

SETS = ("bounding", "effective", "permitted", "inheritable", "ambient")
SOME = ["CAP_CHOWN", "CAP_KILL"]


def test_without_flags_it_is_the_process_of_the_config(bundle: Bundle) -> None:
    bundle.dir("work").set("process.cwd", "/work").env(ONE="1", TWO="2")
    bundle.set("process.user", {"uid": 7, "gid": 8, "additionalGids": [9, 10]})
    with running(bundle) as box:
        facts = report(box)
        assert facts.cwd == "/work" and facts.uid == [7] * 3 and facts.gid == [8] * 3
        assert set(facts.groups) - {8} == {9, 10}
        assert facts.environment == {
            "PATH": "/bin:/usr/bin", "ONE": "1", "TWO": "2", "HOME": "/"}  # fmt: skip
        assert facts.argv == ["/inside", "report"] and facts.no_new_privs == 1


def test_the_terminal_of_the_config_is_not_the_execs(bundle: Bundle) -> None:
    """tty is false unless it is asked for."""
    with running(bundle) as box:
        edited = json.loads((bundle.directory / "config.json").read_text())
        edited["process"]["terminal"] = True
        (bundle.directory / "config.json").write_text(json.dumps(edited))
        assert not any(entry["tty"] for entry in report(box).fds)


def test_the_config_is_the_one_of_create(bundle: Bundle) -> None:
    """A later edit of the bundle changes nothing (runtime.md, Create)."""
    with running(bundle.env(ONE="1")) as box:
        (bundle.directory / "config.json").unlink()
        assert report(box).environment["ONE"] == "1"


def test_the_bundle_may_be_gone(bundle: Bundle) -> None:
    with running(bundle.env(ONE="1")) as box:
        away = bundle.directory.with_name("away")
        bundle.directory.rename(away)
        try:
            root = away / box.root.relative_to(bundle.directory)
            outcome = box.bare("--root", str(root), "exec", box.id, "/inside", "exit", "5")
        finally:
            away.rename(bundle.directory)
        assert outcome.code == 5, str(outcome)


@pytest.mark.parametrize("flag", [["--cwd", "/tmp"], ["--cwd=/tmp"], ["-cwd", "/tmp"]])
def test_cwd(bundle: Bundle, flag: list[str]) -> None:
    with running(bundle) as box:
        assert report(box, *flag).cwd == "/tmp"


@pytest.mark.parametrize("cwd", ["tmp", "../tmp"])
def test_a_relative_cwd_is_refused(bundle: Bundle, cwd: str) -> None:
    with running(bundle) as box:
        assert "Cwd must be an absolute path" in refused(box, "--cwd", cwd, "ID", "/inside")


def test_a_cwd_that_is_not_there(bundle: Bundle) -> None:
    """create makes a missing one, exec does not: it is no part of making the container."""
    with running(bundle) as box:
        outcome = attached(box, "--cwd", "/nowhere", "ID", "/inside", "report")
        assert outcome.code in (0, 255), str(outcome)
        assert outcome.code == 0 or "no such file or directory" in outcome.err


def test_a_cwd_only_the_user_may_enter(bundle: Bundle) -> None:
    """Entered as root first, and again as the user."""
    with running(bundle.dir("private", 0o700)) as box:
        os.chown(bundle.rootfs / "private", 1000, 1000)
        assert report(box, "--user", "1000", "--cwd", "/private").cwd == "/private"


def test_env(bundle: Bundle) -> None:
    """Appended, the last of equal names wins; a value may hold anything."""
    with running(bundle.env(ONE="1", TWO="2")) as box:
        seen = report(
            box, "--env", "TWO=two", "--env", "A=x=y,z", "--env", "B=", "--env=C= d "
        ).environment
        assert seen == {"PATH": "/bin:/usr/bin", "ONE": "1", "TWO": "two", "A": "x=y,z", "B": "",
                        "C": " d ", "HOME": "/root"}  # fmt: skip


def test_both_forms_of_a_flag(bundle: Bundle) -> None:
    with running(bundle) as box:
        seen = report(box, "--env", "A=1", "-e", "B=2").environment
        assert (seen["A"], seen["B"]) == ("1", "2")


def test_path_of_the_env_finds_the_program(bundle: Bundle) -> None:
    bundle.file("tools/place", "").shell("exec /inside pause")
    (bundle.rootfs / "tools/tool").symlink_to("/inside")
    with running(bundle) as box:
        refused(box, "ID", "tool", "exit", "4")
        assert attached(box, "-e", "PATH=/nowhere:/tools", "ID", "tool", "exit", "4").code == 4


@pytest.mark.parametrize("entry", ["NAME", "=value"])
def test_an_env_entry_that_is_none(bundle: Bundle, entry: str) -> None:
    with running(bundle) as box:
        refused(box, "--env", entry, "ID", "/inside", "report")


def test_home_is_the_users(bundle: Bundle) -> None:
    with running(bundle) as box:
        assert report(box, "--user", "1000").environment["HOME"] == "/home/web"
        assert report(box, "--user", "4321").environment["HOME"] == "/"
        assert report(box, "--env", "HOME=/x").environment["HOME"] == "/x"


USERS = [
    ("0", 0, None), ("1", 1, None), ("1000", 1000, None), ("0:0", 0, 0), ("1:2", 1, 2), ("7:0", 7, 0),
    ("2147483647", 2147483647, None), ("2147483647:2147483647", 2147483647, 2147483647),
    ("007", 7, None),
]  # fmt: skip


@pytest.mark.parametrize(("word", "uid", "gid"), USERS)
def test_user(bundle: Bundle, word: str, uid: int, gid: int | None) -> None:
    """Without a group it keeps that of the config (CVE-2026-30892: never root by accident)."""
    bundle.set("process.user", {"uid": 5, "gid": 6})
    with running(bundle) as box:
        facts = report(box, "--user", word)
        assert facts.uid == [uid] * 3 and facts.gid == [6 if gid is None else gid] * 3


NOT_USERS = [
    ":", "1:", ":1", "1:1:1", "+1", "-1", "1:-1", " 1", "1 ", "1\n", "0x1", "1_0", "root", "1:root", "1.0", "1e3",
    "\u0661", "2147483648", "1:2147483648", "4294967295", "4294967296", "18446744073709551616",
    "99999999999999999999999",
]  # fmt: skip


@pytest.mark.parametrize("word", NOT_USERS)
def test_what_is_no_user(bundle: Bundle, word: str) -> None:
    with running(bundle) as box:
        refused(box, "--user", word, "ID", "/inside", "report")


@pytest.mark.parametrize("flag", [["--user="], ["-u", ""], ["--process", ""]])
def test_an_empty_value_counts_as_not_given(bundle: Bundle, flag: list[str]) -> None:
    """As with runc: the user is the config's then, not root."""
    bundle.set("process.user", {"uid": 5, "gid": 6})
    with running(bundle) as box:
        facts = report(box, *flag)
        assert facts.uid == [5] * 3 and facts.gid == [6] * 3


def test_additional_gids(bundle: Bundle) -> None:
    bundle.set("process.user", {"uid": 1, "gid": 1, "additionalGids": [2]})
    with running(bundle) as box:
        facts = report(box, "-g", "3", "-g", "4")
        assert set(facts.groups) - {1} == {2, 3, 4}


@pytest.mark.parametrize("word", ["-1", "+1", "x", "", "1,2", "2147483648", "4294967295"])
def test_what_is_no_gid(bundle: Bundle, word: str) -> None:
    with running(bundle) as box:
        outcome = attached(box, f"--additional-gids={word}", "ID", "/inside", "report")
        assert outcome.code != 0 and not outcome.lines and "Traceback" not in outcome.err


def capabilities(box: Box, *flags: str) -> dict[str, set[str]]:
    facts = report(box, *flags)
    return {kind: facts.capabilities(kind) for kind in SETS}


def test_cap(bundle: Bundle) -> None:
    """To bounding, effective and permitted; never to inheritable (CVE-2022-29162)."""
    with running(bundle.capabilities(*SOME)) as box:
        seen = capabilities(box, "-c", "CAP_NET_RAW", "-c", "CAP_SYS_TIME")
        wanted = {*SOME, "CAP_NET_RAW", "CAP_SYS_TIME"}
        assert seen == {"bounding": wanted, "effective": wanted, "permitted": wanted,
                        "inheritable": set(), "ambient": set()}  # fmt: skip


def test_cap_without_capabilities_in_the_config(bundle: Bundle) -> None:
    with running(bundle.unset("process.capabilities") if "capabilities"
                 in bundle.get("process") else bundle) as box:  # fmt: skip
        seen = capabilities(box, "--cap", "CAP_NET_RAW")
        assert seen["bounding"] == seen["permitted"] == {"CAP_NET_RAW"}
        assert seen["inheritable"] == seen["ambient"] == set()


def test_cap_and_a_plain_user(bundle: Bundle) -> None:
    """Ambient only what the config's inheritable holds: a plain user gets nothing it was not meant to have."""
    bundle.capabilities(*SOME).set("process.capabilities.inheritable", ["CAP_KILL"])
    with running(bundle) as box:
        seen = capabilities(box, "--user", "1000", "--cap", "CAP_NET_RAW", "--cap", "CAP_KILL")
        assert seen["inheritable"] == {"CAP_KILL"}
        assert seen["ambient"] == {"CAP_KILL"} and seen["effective"] == {"CAP_KILL"}


def test_an_unknown_capability_is_a_warning(bundle: Bundle) -> None:
    with running(bundle.capabilities(*SOME)) as box:
        outcome = inside(box, "report", flags=("--cap", "CAP_NOPE"))
        assert outcome.code == 0 and outcome.facts.capabilities("bounding") == set(SOME)


@pytest.mark.parametrize(
    ("given", "flag", "seen"), [(False, True, 1), (False, False, 0), (True, True, 1)]
)
def test_no_new_privs(bundle: Bundle, given: bool, flag: bool, seen: int) -> None:
    with running(bundle.set("process.noNewPrivileges", given)) as box:
        assert report(box, *(["--no-new-privs"] if flag else [])).no_new_privs == seen


def open_two(path: Path) -> Callable[[], None]:
    def place() -> None:
        fd = os.open(path, os.O_RDONLY)
        os.dup2(fd, 60)
        for number in (3, 4):
            os.dup2(60, number)

    return place


def numbers(box: Box, *flags: str) -> set[int]:
    return {entry["fd"] for entry in report(box, *flags).fds}


def test_descriptors_are_0_1_2(bundle: Bundle, tmp_path: Path) -> None:
    """R-05, R-31: of what the caller leaks nothing arrives."""
    with running(bundle) as box:
        (tmp_path / "handed").touch()
        box.prepare = open_two(tmp_path / "handed")
        try:
            assert numbers(box) == {0, 1, 2}
            assert numbers(box, "--preserve-fds", "1") == {0, 1, 2, 3}
            assert numbers(box, "--preserve-fds=2") == {0, 1, 2, 3, 4}
        finally:
            box.prepare = None


@pytest.mark.parametrize("count", ["-1", "many", "1000000"])
def test_descriptors_that_are_not_there(bundle: Bundle, count: str) -> None:
    with running(bundle) as box:
        outcome = attached(box, f"--preserve-fds={count}", "ID", "/inside", "report")
        assert outcome.code in (1, 255) and not outcome.lines and "Traceback" not in outcome.err


def test_pidfd_socket(bundle: Bundle, tmp_path: Path) -> None:
    path = tmp_path / "pidfd"
    with socket.socket(socket.AF_UNIX) as listening, running(bundle) as box:
        listening.bind(str(path))
        listening.listen(1)
        listening.settimeout(5)
        with Detached(box, "--pidfd-socket", str(path), "ID", "/inside", "pause") as other:
            with listening.accept()[0] as peer:
                _, control, _, _ = peer.recvmsg(100, socket.CMSG_SPACE(16))
            fds = array.array("i")
            for _, _, payload in control:
                fds.frombytes(payload)
            assert len(fds) == 1
            text = Path(f"/proc/self/fdinfo/{fds[0]}").read_text()
            os.close(fds[0])
            assert f"Pid:\t{other.pid}\n" in text


def test_the_session_keyring_is_the_containers(bundle: Bundle) -> None:
    with running(bundle) as box:
        assert report(box).keyring_name.endswith(f"_ses.{box.id}")


@pytest.mark.parametrize(
    "words",
    [["--tty", "--detach"], ["--detach", "--tty", "--env", "A=b"]],
)
def test_a_terminal_that_nobody_takes(bundle: Bundle, words: list[str]) -> None:
    with running(bundle) as box:
        assert "without setting console socket" in refused(box, *words, "ID", "/inside")


@pytest.mark.parametrize("words", [["--detach"], [], ["--tty"]])
def test_a_console_socket_without_need(bundle: Bundle, tmp_path: Path, words: list[str]) -> None:
    with running(bundle) as box:
        given = [*words, "--console-socket", str(tmp_path / "none")]
        assert "cannot use console socket" in refused(box, *given, "ID", "/inside")


@pytest.mark.parametrize("word", ["--nosuch", "-x", "--env"])
def test_wrong_flags(bundle: Bundle, word: str) -> None:
    with running(bundle) as box:
        outcome = (
            box.call("exec", word) if word == "--env" else attached(box, word, "ID", "/inside")
        )
        assert outcome.code == 1
        assert ("flag provided but not defined: -" in outcome.err) != (word == "--env")
