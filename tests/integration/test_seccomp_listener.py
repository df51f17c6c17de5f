"""SCMP_ACT_NOTIFY: the listener reaches the agent, and the agent's answers the program (config-linux.md, Seccomp)."""

from __future__ import annotations

import errno
import json
import os
import platform
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from tests.lib.agent import Agent
from tests.lib.box import Box, Outcome, refused, run
from tests.lib.bundle import Bundle
from tests.lib.exec_calls import attached, inside, running
from tests.lib.namespaces import map_users
from tests.lib.ordinary_user import Person, PersonBox
from tests.lib.patience import scaled

pytestmark = pytest.mark.covers("linux.seccomp.listenerPath", "linux.seccomp.listenerMetadata")

if platform.machine() == "x86_64":
    PROBED, SECOND, KCMP = 146, 147, 312
    CLOSE, READ, EXECVE = 3, 0, 59
else:
    PROBED, SECOND, KCMP = 125, 126, 272
    CLOSE, READ, EXECVE = 57, 63, 221
NAMES = {PROBED: "sched_get_priority_max", SECOND: "sched_get_priority_min"}
NO_PRIVILEGES = [True, False]


def notified(bundle: Bundle, path: Path, *names: str, **members: Any) -> Bundle:
    """A profile that asks the agent at `path` about some calls."""
    rules = [{"names": [name], "action": "SCMP_ACT_NOTIFY"} for name in names or NAMES.values()]
    profile = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"],
        "listenerPath": str(path),
        "syscalls": rules,
        **members,
    }
    return bundle.set("linux.seccomp", profile)


def probes(*numbers: int) -> list[str]:
    """Words for the reporter: these system calls, with an argument no kernel takes."""
    words: list[str] = []
    for number in numbers:
        words += ["syscall", str(number), "99", "--"]
    return words[:-1]


def answers(outcome: Outcome) -> list[tuple[str, int]]:
    assert outcome.code == 0, str(outcome)
    return [(line["errno"], line["value"]) for line in outcome.lines]


@pytest.mark.parametrize("no_new_privileges", NO_PRIVILEGES)
def test_the_agent_decides(bundle: Bundle, tmp_path: Path, no_new_privileges: bool) -> None:
    """Two rules, an error and a value; a call without a rule is not asked about."""
    path = tmp_path / "agent"
    notified(bundle, path).set("process.noNewPrivileges", no_new_privileges)
    with Agent(path, {PROBED: {"errno": errno.ENOMEDIUM}, SECOND: {"value": 4242}}) as agent:
        outcome = run(bundle.inside(*probes(PROBED, SECOND, KCMP)))
        assert answers(outcome)[:2] == [("ENOMEDIUM", -1), ("", 4242)]
        assert agent.calls() == [PROBED, SECOND]


def test_the_agent_lets_a_call_go_on(bundle: Bundle, tmp_path: Path) -> None:
    with Agent(tmp_path / "agent") as agent:
        outcome = run(notified(bundle, agent.path).inside(*probes(PROBED)))
        assert answers(outcome) == [("EINVAL", -1)] and agent.calls() == [PROBED]


def test_some_arguments_only(bundle: Bundle, tmp_path: Path) -> None:
    with Agent(tmp_path / "agent", {PROBED: {"value": 7}}) as agent:
        notified(bundle, agent.path)
        condition = {"index": 0, "value": 99, "op": "SCMP_CMP_EQ"}
        bundle.set("linux.seccomp.syscalls.0.args", [condition])
        words = f"syscall {PROBED} 99 -- syscall {PROBED} 98"
        assert answers(run(bundle.inside(*words.split()))) == [("", 7), ("EINVAL", -1)]


@pytest.mark.parametrize("no_new_privileges", NO_PRIVILEGES)
def test_what_the_agent_is_told_at_create(
    bundle: Bundle, tmp_path: Path, no_new_privileges: bool
) -> None:
    """One message with one descriptor, the container being `creating`."""
    bundle.set("process.noNewPrivileges", no_new_privileges).set("annotations", {"a.b": "c"})
    with Agent(tmp_path / "agent", {PROBED: {"value": 1}}) as agent:
        notified(bundle, agent.path, listenerMetadata="opaque {words}").inside(*probes(PROBED))
        with Box(bundle) as box:
            box.create()
            hello = agent.hello()
            assert hello.fds == ["anon_inode:seccomp notify"] and hello.later == 0
            state = hello.message.pop("state")
            version = hello.message.pop("ociVersion")
            metadata = "opaque {words}"
            assert hello.message == {"fds": ["seccompFd"], "pid": box.pid, "metadata": metadata}
            wanted = {"id": box.id, "status": "creating", "bundle": str(bundle.directory)}
            assert wanted.items() <= state.items()
            assert state["pid"] == box.pid and state["annotations"]["a.b"] == "c"
            assert version and state["ociVersion"]
            assert agent.next("closed") == {"closed": 0}
            box.start()
            assert box.wait() == 0 and box.lines[0]["value"] == 1
        assert "message" not in json.dumps(agent.seen), "one connection alone"


def test_without_metadata_there_is_none(bundle: Bundle, tmp_path: Path) -> None:
    with Agent(tmp_path / "agent") as agent:
        run(notified(bundle, agent.path).inside(*probes(PROBED)))
        assert not agent.hello().message.get("metadata")


@pytest.mark.parametrize("no_new_privileges", NO_PRIVILEGES)
def test_a_process_that_joins_has_its_own(
    bundle: Bundle, tmp_path: Path, no_new_privileges: bool
) -> None:
    bundle.set("process.noNewPrivileges", no_new_privileges)
    with Agent(tmp_path / "agent", {PROBED: {"value": 9}}) as agent:
        with running(notified(bundle, agent.path, listenerMetadata="m")) as box:
            assert agent.hello().message["pid"] == box.pid
            pid_file = tmp_path / "pid"
            outcome = inside(box, *probes(PROBED), flags=("--pid-file", str(pid_file)))
            assert answers(outcome) == [("", 9)]
            hello = agent.hello()
            assert hello.fds == ["anon_inode:seccomp notify"]
            assert hello.message["pid"] == int(pid_file.read_text()) != box.pid
            assert hello.message["metadata"] == "m"
            state = hello.message["state"]
            assert (state["pid"], state["status"], state["id"]) == (box.pid, "running", box.id)
        agent.next("ended")


def test_a_process_that_joins_is_not_let_in_without_the_agent(
    bundle: Bundle, tmp_path: Path
) -> None:
    with Agent(tmp_path / "agent") as agent, running(notified(bundle, agent.path)) as box:
        agent.end()
        outcome = attached(box, "ID", "/inside", "report")
        assert outcome.code == 255 and outcome.out == "", str(outcome)
        assert box.status == "running"


@pytest.mark.parametrize("no_new_privileges", NO_PRIVILEGES)
def test_calls_of_the_set_up_itself(
    bundle: Bundle, tmp_path: Path, no_new_privileges: bool
) -> None:
    """From the moment the filter stands the agent is asked about the runtime's own calls too, and has what it needs."""
    bundle.set("process.noNewPrivileges", no_new_privileges)
    names = "read close sendmsg execve prctl fstat capset setgroups setresuid setuid chdir statx"
    with Agent(tmp_path / "agent") as agent:
        notified(bundle, agent.path, *names.split())
        outcome = run(bundle.inside("echo", '{"cmd":"ran"}'))
        assert outcome.code == 0 and outcome.lines[0]["cmd"] == "ran", str(outcome)
        assert {READ, CLOSE, EXECVE} <= set(agent.calls())


@pytest.mark.parametrize("no_new_privileges", NO_PRIVILEGES)
def test_nothing_of_it_stays_with_the_program(
    bundle: Bundle, tmp_path: Path, no_new_privileges: bool
) -> None:
    bundle.set("process.noNewPrivileges", no_new_privileges)
    with Agent(tmp_path / "agent") as agent:
        facts = run(notified(bundle, agent.path).inside("report")).facts
        assert [entry["fd"] for entry in facts.fds] == [0, 1, 2] and facts.seccomp == 2


def test_an_agent_that_ends(bundle: Bundle, tmp_path: Path) -> None:
    """The kernel then answers ENOSYS: nobody else holds the listener, the waiting init least of all."""
    agent = Agent(tmp_path / "agent")
    with agent, Box(notified(bundle, agent.path).inside(*probes(PROBED))) as box:
        box.create()
        agent.hello()
        agent.end()
        box.start()
        assert box.wait() == 0 and box.lines[0]["errno"] == "ENOSYS"


def test_in_a_user_namespace(mapped: Bundle, tmp_path: Path) -> None:
    agent = Agent(tmp_path / "agent", {PROBED: {"value": 5}})
    with agent, running(notified(mapped, agent.path)) as box:
        assert agent.hello().message["pid"] == box.pid
        assert answers(inside(box, *probes(PROBED))) == [("", 5)]


@pytest.mark.parametrize("no_new_privileges", NO_PRIVILEGES)
def test_of_an_ordinary_user(person: Person, no_new_privileges: bool) -> None:
    """Who may not trace the init, for nobody but root may, is sent the listener by it."""
    bundle = map_users(person.bundle().set("linux.cgroupsPath", None), person.maps)
    bundle.set("process.noNewPrivileges", no_new_privileges)
    with Agent(person.home.parent / "agent", {PROBED: {"value": 6}}) as agent:
        notified(bundle, agent.path).inside(*probes(PROBED))
        with PersonBox(person.give(bundle), person) as box:
            assert answers(box.run()) == [("", 6)]
        assert agent.hello().fds == ["anon_inode:seccomp notify"]


@pytest.mark.parametrize(
    "flags",
    [
        [],
        ["SECCOMP_FILTER_FLAG_LOG"],
        ["SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"],
        ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"],
    ],
)
def test_flags(bundle: Bundle, tmp_path: Path, flags: list[str]) -> None:
    with Agent(tmp_path / "agent", {PROBED: {"value": 3}}) as agent:
        notified(bundle, agent.path, flags=flags)
        assert answers(run(bundle.inside(*probes(PROBED)))) == [("", 3)]


def test_a_path_is_of_no_matter_without_notifications(bundle: Bundle, tmp_path: Path) -> None:
    """config-linux.md: listenerPath is ignored if no rule asks for it; so is the flag for its listener."""
    notified(bundle, tmp_path / "nobody", listenerMetadata="m")
    bundle.set("linux.seccomp.syscalls", [{"names": ["kcmp"], "action": "SCMP_ACT_ERRNO"}])
    assert answers(run(bundle.inside("syscall", str(KCMP), "1", "1", "99")))[0][0] == "EPERM"


def test_the_flag_for_listeners_without_one(bundle: Bundle, tmp_path: Path) -> None:
    notified(bundle, tmp_path / "nobody", flags=["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"])
    bundle.set("linux.seccomp.syscalls", [{"names": ["kcmp"], "action": "SCMP_ACT_ERRNO"}])
    assert run(bundle).code == 0


def test_a_long_path(bundle: Bundle, tmp_path: Path) -> None:
    """sun_path holds 107 bytes; a directory can be deeper than that."""
    deep = tmp_path / ("d" * 100) / "agent"
    deep.parent.mkdir()
    with Agent(Path("/proc/self/cwd") / os.path.relpath(tmp_path) / "agent") as agent:
        deep.symlink_to("../agent")
        assert len(str(deep)) > 107
        assert run(notified(bundle, deep).inside(*probes(PROBED))).code == 0
        assert agent.calls() == [PROBED]


# What fails, and leaves nothing behind


@pytest.mark.parametrize("kind", ["missing", "file", "directory", "deaf", "datagram"])
@pytest.mark.parametrize("no_new_privileges", NO_PRIVILEGES)
def test_no_agent(bundle: Bundle, tmp_path: Path, kind: str, no_new_privileges: bool) -> None:
    path = tmp_path / "a"
    unused = socket.socket(
        socket.AF_UNIX, socket.SOCK_DGRAM if kind == "datagram" else socket.SOCK_STREAM
    )
    with unused:
        if kind == "file":
            path.write_text("")
        elif kind == "directory":
            path.mkdir()
        elif kind in ("deaf", "datagram"):
            unused.bind(str(path))  # and nobody listens
        notified(bundle, path).set("process.noNewPrivileges", no_new_privileges)
        message = refused(bundle)
    if "pyruntime" in message:
        assert "/linux/seccomp/listenerPath" in message


@pytest.mark.slow
def test_an_agent_that_takes_no_connection(bundle: Bundle, tmp_path: Path) -> None:
    """R-55: the queue is full and stays so; the wait has an end."""
    path = tmp_path / "a"
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as first:
        server.bind(str(path))
        server.listen(0)
        first.connect(str(path))
        started = time.monotonic()
        assert "connection timed out" in refused(notified(bundle, path), patience=30)
        assert time.monotonic() - started < scaled(25)


@pytest.mark.nightly  # twenty seconds of waiting
def test_an_agent_that_reads_nothing(bundle: Bundle, tmp_path: Path) -> None:
    """What does not fit into the socket waits for it, and not for ever."""
    path = tmp_path / "a"
    bundle.set("annotations", {"long": "x" * 900_000})
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen(5)
        assert "connection timed out" in refused(notified(bundle, path), patience=30)


WRONG: list[dict[str, Any]] = [
    {"listenerPath": ""},
    {"listenerPath": "", "listenerMetadata": "m", "syscalls": []},
    {"syscalls": [{"names": ["read", "write"], "action": "SCMP_ACT_NOTIFY"}]},
    {"defaultAction": "SCMP_ACT_NOTIFY"},
]


@pytest.mark.parametrize("members", WRONG, ids=["no path", "metadata alone", "write", "default"])
def test_wrong_profiles(bundle: Bundle, tmp_path: Path, members: dict[str, Any]) -> None:
    with Agent(tmp_path / "agent") as agent:
        refused(notified(bundle, agent.path, **members))
        assert not agent.calls() and not agent.seen
