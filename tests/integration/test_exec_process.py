"""exec --process: the whole process from a file, as containerd, Podman and CRI-O ask for it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.lib.bundle import Bundle
from tests.lib.exec_calls import Background, Detached, attached, process_file, refused, running

PROCESS: dict[str, Any] = {
    "args": ["/inside", "report"],
    "cwd": "/",
    "env": ["PATH=/bin"],
    "user": {"uid": 0, "gid": 0},
}
SOME = ["CAP_CHOWN", "CAP_KILL"]


def changed(**values: Any) -> dict[str, Any]:
    return {**PROCESS, **values}


def test_all_of_it_is_the_files(bundle: Bundle) -> None:
    """Of the process of config.json nothing is left."""
    bundle.dir("work").env(ONE="1").set("process.rlimits", [
        {"type": "RLIMIT_NOFILE", "soft": 200, "hard": 200}])  # fmt: skip
    bundle.set("process.user", {"uid": 3, "gid": 4, "additionalGids": [5], "umask": 7})
    process = changed(
        cwd="/work",
        env=["PATH=/bin", "A=b"],
        user={"uid": 7, "gid": 8, "additionalGids": [9], "umask": 0o27},
        capabilities={"bounding": SOME, "permitted": SOME[:1], "effective": SOME[:1]},
        rlimits=[{"type": "RLIMIT_CORE", "soft": 10, "hard": 20}],
        noNewPrivileges=False,
    )
    with running(bundle.capabilities(*SOME)) as box:
        outcome = attached(box, "--process", process_file(box, process), "ID")
        assert outcome.code == 0, str(outcome)
        facts = outcome.facts
        assert facts.cwd == "/work" and facts.environment["A"] == "b" and facts.umask == 0o27
        assert "ONE" not in facts.environment
        assert facts.uid == [7] * 3 and facts.gid == [8] * 3 and set(facts.groups) - {8} == {9}
        assert facts.capabilities("bounding") == set(SOME)
        assert facts.rlimits["CORE"] == [10, 20] and facts.rlimits["NOFILE"] != [200, 200]
        assert facts.no_new_privs == 0


@pytest.mark.parametrize("flag", ["--process", "-p", "-process"])
def test_ways_to_write_it(bundle: Bundle, flag: str) -> None:
    with running(bundle) as box:
        path = process_file(box, changed(args=["/inside", "exit", "4"]))
        assert attached(box, flag, path, "ID").code == 4


SETS = ("effective", "permitted", "inheritable", "ambient", "bounding")


def test_with_empty_capabilities_it_has_none(bundle: Bundle) -> None:
    with running(bundle.privileged()) as box:
        path = process_file(box, changed(capabilities={}))
        facts = attached(box, "--process", path, "ID").facts
        assert all(facts.capabilities(kind) == set() for kind in SETS)


def test_without_capabilities_it_has_the_containers(bundle: Bundle) -> None:
    """As from runc."""
    with running(bundle.capabilities(*SOME)) as box:
        facts = attached(box, "--process", process_file(box, changed()), "ID").facts
        assert facts.capabilities("bounding") == facts.capabilities("permitted") == set(SOME)


def test_without_limits_it_has_the_containers(bundle: Bundle) -> None:
    """R-20: what a file leaves out does not take a wall down."""
    bundle.set("process.rlimits", [{"type": "RLIMIT_NOFILE", "soft": 200, "hard": 300}])
    with running(bundle) as box:
        facts = attached(box, "--process", process_file(box, changed()), "ID").facts
        assert facts.rlimits["NOFILE"] == [200, 300]
        process = changed(rlimits=[{"type": "RLIMIT_CORE", "soft": 1, "hard": 2}])
        facts = attached(box, "--process", process_file(box, process), "ID").facts
        assert facts.rlimits["CORE"] == [1, 2] and facts.rlimits["NOFILE"] != [200, 300]


def test_the_filter_is_the_containers(bundle: Bundle) -> None:
    """seccomp is no part of a process, and there is no way around it."""
    rule = {"names": ["chmod", "fchmodat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 123}
    bundle.set("linux.seccomp", {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule],
                                 "architectures": ["SCMP_ARCH_X86_64"]})  # fmt: skip
    bundle.file("target").privileged()
    process = changed(args=["/inside", "syscall", "90", "s:/target", "0", "--", "report"])
    with running(bundle) as box:
        outcome = attached(box, "--process", process_file(box, process), "ID")
        assert outcome.code == 0, str(outcome)
        assert outcome.lines[0]["errno"] == "ENOMEDIUM" and outcome.facts.seccomp == 2


def test_as_containerd_calls(bundle: Bundle) -> None:
    with running(bundle) as box:
        path = process_file(box, changed(args=["/inside", "wait", "4"]))
        with Detached(box, "--process", path, "ID") as other:
            other.expect("wait")
            Path(path).unlink()
            os.kill(other.pid, 15)
            assert other.wait() == 4


def test_a_file_that_is_a_pipe(bundle: Bundle) -> None:
    """As a shell's <(…) gives one; read once."""
    with running(bundle) as box:
        reader, writer = os.pipe()
        os.write(writer, json.dumps(changed(args=["/inside", "exit", "3"])).encode())
        os.close(writer)
        with Background(box, "--process", "/dev/stdin", "ID", stdin=reader) as back:
            os.close(reader)
            assert back.wait().code == 3


MISTAKES = [
    (changed(cwd="relative"), "/process/cwd"),
    (changed(cwd=7), "/process/cwd"),
    (changed(args=[]), "/process/args"),
    (changed(args=["/inside", 7]), "/process/args/1"),
    (changed(env=["NAME"]), "/process/env/0"),
    (changed(user={"uid": -1, "gid": 0}), "/process/user/uid"),
    (changed(user={"uid": 2147483648, "gid": 0}), "/process/user/uid"),
    (changed(user={"uid": 0, "gid": 4294967295}), "/process/user/gid"),
    (changed(rlimits=[{"type": "RLIMIT_NOPE", "soft": 1, "hard": 1}]), "/process/rlimits/0"),
    (changed(rlimits=[{"type": "RLIMIT_CORE", "soft": 2, "hard": 1}]), "/process/rlimits/0"),
    ({"cwd": "/", "user": {"uid": 0, "gid": 0}}, "/process/args"),
    ({"args": ["/inside"], "user": {"uid": 0, "gid": 0}}, "/process: `cwd` is missing"),
]


@pytest.mark.parametrize(("process", "pointer"), MISTAKES)
def test_mistakes(bundle: Bundle, process: dict[str, Any], pointer: str) -> None:
    with running(bundle) as box:
        refused(box, "--process", process_file(box, process), "ID")


@pytest.mark.parametrize(("process", "pointer"), MISTAKES)
def test_mistakes_are_named(bundle: Bundle, process: dict[str, Any], pointer: str) -> None:
    with running(bundle) as box:
        assert pointer in refused(box, "--process", process_file(box, process), "ID")


def test_all_mistakes_at_once(bundle: Bundle) -> None:
    with running(bundle) as box:
        process = changed(cwd="x", env=["NAME"], args=[""], user={"uid": -1, "gid": 0})
        message = refused(box, "--process", process_file(box, process), "ID")
        for pointer in ("/process/cwd", "/process/env/0", "/process/args/0", "/process/user/uid"):
            assert pointer in message


@pytest.mark.parametrize(
    "text",
    ["", "{", "null", "[]", '"x"', "{} {}", '{"args": ["a"], "args": ["b"]}', "\x00", "\xff"],
)
def test_files_that_are_no_process(bundle: Bundle, text: str) -> None:
    with running(bundle) as box:
        message = refused(box, "--process", process_file(box, text), "ID")
        assert "Traceback" not in message


@pytest.mark.parametrize("path", ["/nowhere", "/", "", "/dev/zero"])
def test_paths_that_are_no_file(bundle: Bundle, path: str) -> None:
    with running(bundle) as box:
        refused(box, f"--process={path}", "ID")


def test_a_huge_file(bundle: Bundle) -> None:
    with running(bundle) as box:
        path = process_file(box, json.dumps(changed(args=["/inside", "x" * (17 << 20)])))
        refused(box, "--process", path, "ID")


def test_an_unknown_property_is_ignored(bundle: Bundle) -> None:
    """config.md, Extensibility."""
    with running(bundle) as box:
        process = changed(args=["/inside", "exit", "3"], later={"much": 1})
        assert attached(box, "--process", process_file(box, process), "ID").code == 3


def test_tty_beside_a_process_file(bundle: Bundle) -> None:
    """conmon says --tty and the file says terminal."""
    with running(bundle) as box:
        path = process_file(box, changed(terminal=True))
        words = ["--detach", "--tty", "--process", path, "ID"]
        assert "without setting console socket" in refused(box, *words)


@pytest.mark.parametrize("words", [["--user", "1"], ["--cwd", "/"], ["--env", "A=b"], ["--cap", "CAP_KILL"],
                                   ["--no-new-privs"], ["--additional-gids", "4"]])  # fmt: skip
def test_flags_the_file_would_hide(bundle: Bundle, words: list[str]) -> None:
    """A flag is never passed over in silence: who asked for another user must not get the file's."""
    with running(bundle) as box:
        path = process_file(box, changed())
        assert "--process" in refused(box, *words, "--process", path, "ID")


def test_words_the_file_would_hide(bundle: Bundle) -> None:
    with running(bundle) as box:
        assert "--process" in refused(box, "--process", process_file(box, changed()), "ID", "id")


def test_oom_score(bundle: Bundle) -> None:
    with running(bundle) as box:
        path = process_file(box, changed(oomScoreAdj=321))
        facts = attached(box, "--process", path, "ID").facts
        assert facts.files["/proc/self/oom_score_adj"] == "321\n"
