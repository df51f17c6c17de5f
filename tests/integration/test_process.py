"""process: args, env, cwd, umask, and the state every program starts from."""

from __future__ import annotations

import os

import pytest

from tests.lib.box import refused, report, run
from tests.lib.bundle import Bundle

pytestmark = pytest.mark.covers("process.args", "process.env", "process.cwd", "process.user.umask")


def test_args_are_the_words_given(bundle: Bundle) -> None:
    words = ["report", "--", "echo", "a b", "--", "echo", ""]
    assert report(bundle.inside(*words)).argv == ["/inside", *words]


def test_args_keep_bytes_that_are_not_ascii(bundle: Bundle) -> None:
    words = ["report", "--", "echo", "grün ☃ \t\\ \"'"]
    assert report(bundle.inside(*words)).argv[1:] == words


def test_program_is_found_in_the_containers_path(bundle: Bundle) -> None:
    bundle.file("opt/tools/inside-tool").set("process.env", ["PATH=/nowhere:/opt/tools"])
    (bundle.rootfs / "inside").rename(bundle.rootfs / "opt/tools/inside-tool")
    assert report(bundle.args("inside-tool", "report")).argv[0] == "inside-tool"


def test_relative_program_is_relative_to_cwd(bundle: Bundle) -> None:
    bundle.dir("opt")
    (bundle.rootfs / "inside").rename(bundle.rootfs / "opt/inside")
    assert (
        report(bundle.set("process.cwd", "/opt").args("./inside", "report")).argv[0] == "./inside"
    )


@pytest.mark.parametrize("arg", ["/missing", "missing"])
def test_a_missing_program_fails_create(bundle: Bundle, arg: str) -> None:
    message = refused(bundle.args(arg))
    assert "no such file or directory" in message or "executable file not found in $PATH" in message


def test_a_program_without_the_x_bit_fails_create(bundle: Bundle) -> None:
    assert "permission denied" in refused(bundle.file("data", "x").args("/data"))


def test_a_directory_is_no_program(bundle: Bundle) -> None:
    message = refused(bundle.args("/tmp"))
    assert "permission denied" in message or "is a directory" in message


def test_env_is_exactly_what_the_config_says(bundle: Bundle) -> None:
    facts = report(bundle.set("process.env", ["A=1", "EMPTY=", "B=x=y", "PATH=/bin"]))
    assert [entry for entry in facts.env if not entry.startswith("HOME=")] == [
        "A=1",
        "EMPTY=",
        "B=x=y",
        "PATH=/bin",
    ]


def test_the_callers_environment_stays_outside(bundle: Bundle) -> None:
    facts = report(
        bundle, env={"PATH": "/usr/bin:/bin", "SECRET": "1", "LD_PRELOAD": "", "LANG": "C"}
    )
    assert "SECRET" not in facts.environment
    assert set(facts.environment) <= {"PATH", "HOME"}


def test_the_last_of_two_equal_names_wins(bundle: Bundle) -> None:
    facts = report(bundle.set("process.env", ["A=1", "B=2", "A=3", "PATH=/bin"]))
    assert facts.environment["A"] == "3"
    assert len([entry for entry in facts.env if entry.startswith("A=")]) == 1


def test_home_comes_from_the_containers_passwd(bundle: Bundle) -> None:
    assert report(bundle).environment["HOME"] == "/root"


def test_home_of_another_user(bundle: Bundle) -> None:
    assert (
        report(bundle.set("process.user", {"uid": 1000, "gid": 0})).environment["HOME"]
        == "/home/web"
    )


def test_home_of_an_unknown_user_is_the_root(bundle: Bundle) -> None:
    assert report(bundle.set("process.user", {"uid": 77, "gid": 0})).environment["HOME"] == "/"


def test_home_given_is_left_alone(bundle: Bundle) -> None:
    assert report(bundle.env(HOME="/opt")).environment["HOME"] == "/opt"


def test_an_entry_without_equals_is_refused(bundle: Bundle) -> None:
    refused(bundle.set("process.env", ["PATH=/bin", "NOEQUALS"]))


def test_no_env_at_all(bundle: Bundle) -> None:
    facts = report(bundle.unset("process.env"))
    assert set(facts.environment) <= {"HOME"}


@pytest.mark.parametrize("cwd", ["/", "/tmp", "/made/by/runtime"])
def test_cwd(bundle: Bundle, cwd: str) -> None:
    assert report(bundle.set("process.cwd", cwd)).cwd == cwd


def test_cwd_through_a_link_inside_the_root(bundle: Bundle) -> None:
    bundle.dir("real").link("alias", "real")
    assert report(bundle.set("process.cwd", "/alias")).cwd == "/real"


def test_a_relative_cwd_is_refused(bundle: Bundle) -> None:
    refused(bundle.set("process.cwd", "tmp"))


def test_a_cwd_only_the_user_may_enter(bundle: Bundle) -> None:
    bundle.dir("own", 0o700)
    bundle.set("process.user", {"uid": 1000, "gid": 1000}).set("process.cwd", "/own")
    os.chown(bundle.rootfs / "own", 1000, 1000)
    assert report(bundle).cwd == "/own"


def test_no_args_are_refused(bundle: Bundle) -> None:
    refused(bundle.set("process.args", []))


@pytest.mark.parametrize(("umask", "seen"), [(None, 0o022), (0, 0), (0o077, 0o077), (0o777, 0o777)])
def test_umask(bundle: Bundle, umask: int | None, seen: int) -> None:
    user = {"uid": 0, "gid": 0} if umask is None else {"uid": 0, "gid": 0, "umask": umask}
    assert report(bundle.set("process.user", user)).umask == seen


def test_a_clean_start(bundle: Bundle) -> None:
    """No blocked or ignored signal, no stray descriptor, no death signal, a session of its own."""
    facts = report(bundle)
    assert facts.blocked == []
    assert facts.ignored == []
    assert {entry["fd"] for entry in facts.fds} == {0, 1, 2}
    assert facts.pdeathsig == 0
    assert facts.pid == 1 and facts.sid == 1 and facts.pgid == 1
    assert facts.personality == 0
    assert facts.securebits == 0 and facts.keepcaps == 0
    assert facts.exe == "/inside"


def test_the_exit_code_is_the_programs(bundle: Bundle) -> None:
    for code in (0, 1, 42, 255):
        assert run(bundle.inside("exit", str(code))).code == code
