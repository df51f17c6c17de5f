"""pyruntime/runtime/exec_process.py: the config's process, changed by flags or given by a file."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from pyruntime import errors
from pyruntime.lib.log import Log
from pyruntime.runtime.exec_process import ExecRequest, config_for

CONFIG: dict[str, Any] = {
    "ociVersion": "1.0.2",
    "process": {
        "args": ["first"],
        "cwd": "/",
        "env": ["A=1"],
        "terminal": True,
        "user": {"uid": 5, "gid": 6, "additionalGids": [7], "umask": 18},
        "capabilities": {"bounding": ["CAP_KILL"], "inheritable": ["CAP_CHOWN"]},
        "rlimits": [{"type": "RLIMIT_CORE", "soft": 1, "hard": 2}],
        "oomScoreAdj": 5,
        "scheduler": {"policy": "SCHED_BATCH"},
        "ioPriority": {"class": "IOPRIO_CLASS_IDLE"},
        "execCPUAffinity": {"final": "0"},
        "noNewPrivileges": True,
    },
    "linux": {"seccomp": {"defaultAction": "SCMP_ACT_ALLOW"}},
}


def request(**changes: Any) -> ExecRequest:
    made = ExecRequest("/r", "web", log=Log())
    made.args = ["later"]
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def process(**changes: Any) -> dict[str, Any]:
    found: dict[str, Any] = config_for(request(**changes), CONFIG)["process"]
    return found


def test_only_the_program_and_the_terminal_change() -> None:
    before = json.dumps(CONFIG)
    assert process() == {**CONFIG["process"], "args": ["later"], "terminal": False}
    assert json.dumps(CONFIG) == before, "the saved config is not changed"


def test_all_else_is_the_containers() -> None:
    assert config_for(request(), CONFIG)["linux"] is CONFIG["linux"]


def test_the_user() -> None:
    assert process(uid=1)["user"] == {**CONFIG["process"]["user"], "uid": 1}
    assert process(uid=1, gid=0)["user"]["gid"] == 0
    assert process(groups=[8])["user"]["additionalGids"] == [7, 8]
    assert CONFIG["process"]["user"]["additionalGids"] == [7]


def test_env_cwd_and_privileges() -> None:
    changed = process(env=["B=2"], cwd="/tmp", no_new_privileges=True)
    assert (changed["env"], changed["cwd"]) == (["A=1", "B=2"], "/tmp")
    assert changed["noNewPrivileges"] is True


def test_capabilities() -> None:
    """Inheritable stays as it is; ambient gets what inheritable already has (CVE-2022-29162)."""
    assert process(capabilities=["CAP_CHOWN", "CAP_SYS_TIME"])["capabilities"] == {
        "bounding": ["CAP_KILL", "CAP_CHOWN", "CAP_SYS_TIME"],
        "effective": ["CAP_CHOWN", "CAP_SYS_TIME"],
        "permitted": ["CAP_CHOWN", "CAP_SYS_TIME"],
        "inheritable": ["CAP_CHOWN"],
        "ambient": ["CAP_CHOWN"],
    }
    assert "ambient" not in process(capabilities=["CAP_SYS_TIME"])["capabilities"]


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"cwd": "tmp"}, "/process/cwd"),
        ({"args": []}, "/process/args"),
        ({"args": [""]}, "/process/args/0"),
        ({"args": ["a\0b"]}, "/process/args/0"),
        ({"env": ["NAME"]}, "/process/env/1"),
        ({"uid": 1 << 31}, "/process/user/uid"),
        ({"groups": [1 << 32]}, "/process/user/additionalGids/1"),
        ({"label": "x\n"}, "/process/selinuxLabel"),
        ({"profile": "x\0"}, "/process/apparmorProfile"),
    ],
)
def test_mistakes(changes: dict[str, Any], pointer: str) -> None:
    with pytest.raises(errors.BundleError, match=pointer):
        process(**changes)


def from_file(tmp_path: Path, document: Any, **changes: Any) -> dict[str, Any]:
    path = tmp_path / "process.json"
    path.write_text(json.dumps(document))
    return process(args=[], process_file=str(path), **changes)


def test_a_file_says_all_but_the_walls(tmp_path: Path) -> None:
    names = ("capabilities", "rlimits", "oomScoreAdj", "scheduler", "ioPriority", "execCPUAffinity")
    walls = {name: CONFIG["process"][name] for name in names}
    given = {"args": ["a"], "cwd": "/tmp", "user": {"uid": 1, "gid": 1}}
    assert from_file(tmp_path, given) == {**walls, **given}


def test_walls_a_file_names_are_its_own(tmp_path: Path) -> None:
    given = {"args": ["a"], "cwd": "/", "capabilities": {}, "oomScoreAdj": 0, "rlimits": [],
             "scheduler": {"policy": "SCHED_IDLE"}, "execCPUAffinity": {}}  # fmt: skip
    found = from_file(tmp_path, given)
    assert found["capabilities"] == {} and found["oomScoreAdj"] == 0
    assert found["scheduler"] == given["scheduler"] and found["execCPUAffinity"] == {}
    assert found["rlimits"] == CONFIG["process"]["rlimits"], "an empty list is what Go omits"


def test_findings_of_a_file_are_named_beneath_process(tmp_path: Path) -> None:
    with pytest.raises(errors.BundleError) as problem:
        from_file(tmp_path, {"args": [1], "cwd": "x", "user": {"uid": -1, "gid": 0}})
    for pointer in ("/process/args/0", "/process/cwd", "/process/user/uid"):
        assert pointer in problem.value.message
    assert not isinstance(problem.value, errors.SpecError), "nobody reads a pipe twice"


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (str(tmp_path), str(tmp_path / "none"), "/dev/zero", "", str(tmp_path / "fifo")):
        with pytest.raises(errors.BundleError):
            process(args=[], process_file=path)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"terminal": True, "detach": True}, "cannot allocate tty"),
        ({"console_socket": "/s"}, "cannot use console socket"),
        ({"console_socket": "/s", "terminal": True}, "cannot use console socket"),
        ({"console_socket": "/s", "detach": True}, "cannot use console socket"),
    ],
)
def test_terminals_that_do_not_fit(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(errors.UsageError, match=sentence):
        process(**changes)


def test_a_terminal_for_a_socket() -> None:
    assert process(console_socket="/s", terminal=True, detach=True)["terminal"] is True
