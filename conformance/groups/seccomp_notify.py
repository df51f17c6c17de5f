"""linux.seccomp.listenerPath: what is sent to the agent, and what cannot be."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

from conformance.catalogue import test
from conformance.claims import equal, holds, includes, not_created, not_started
from conformance.listening import Agent
from conformance.place import Container, Place
from tests.lib.bundle import Bundle

GROUP = "seccomp"
PRIORITY = 146 if platform.machine() == "x86_64" else 125


def notifying(bundle: Bundle, **members: Any) -> Bundle:
    """The one system call is for the agent to decide."""
    rule = {"names": ["sched_get_priority_max"], "action": "SCMP_ACT_NOTIFY"}
    return bundle.set(
        "linux.seccomp", {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule], **members}
    )


def agent(place: Place) -> Agent:
    return place.stack.enter_context(Agent(place.directory / "agent"))


def path_of(one: Agent) -> str:
    return str(one.path)


@test(requirements=(62,), leaves=("linux.seccomp.listenerPath",))
def the_agent_decides(place: Place) -> None:
    """config-linux.md, Seccomp: SCMP_ACT_NOTIFY; the file descriptor of the filter is sent to listenerPath."""
    one = agent(place)
    bundle = notifying(place.bundle(), listenerPath=path_of(one)).inside("syscall", str(PRIORITY))
    with place.container(bundle) as box:
        box.live()
        one.accept()
        equal(len(one.fds), 1, "descriptors that came")
        equal(one.answer(17), PRIORITY, "the system call of the notification")
        equal(box.expect("syscall")["errno"], "EEXIST", "what the agent answered")
        equal(box.wait(), 0, "the exit status")


def sent(place: Place, box: Container, one: Agent) -> dict[str, Any]:
    box.live()
    document = one.accept()
    box.expect("wait")
    return document


@test(requirements=(62,), leaves=("linux.seccomp.listenerPath", "linux.seccomp.listenerMetadata"))
def the_message(place: Place) -> None:
    """config-linux.md, The Container Process State: ociVersion, fds, pid, metadata, state."""
    one = agent(place)
    bundle = notifying(place.bundle(), listenerPath=path_of(one), listenerMetadata="for the agent")
    with place.container(bundle.inside("wait")) as box:
        document = sent(place, box, one)
        includes(document, ("ociVersion", "fds", "pid", "state"), "members")
        equal(document.get("metadata"), "for the agent", "metadata")
        equal(document["fds"], ["seccompFd"], "names of the descriptors")
        equal(document["pid"], box.pid, "pid")
        state = document["state"]
        includes(state, ("ociVersion", "id", "status", "bundle"), "members of the state")
        equal((state["id"], state["bundle"]), (box.id, str(bundle.directory)), "id and bundle")
        equal(state.get("pid"), box.pid, "pid of the state")


@test(requirements=(62,), leaves=("linux.seccomp.listenerPath",))
def one_message_per_connection(place: Place) -> None:
    """config-linux.md, Seccomp: exactly one container process state per connection, which MUST be closed after it."""
    one = agent(place)
    bundle = notifying(place.bundle(), listenerPath=path_of(one)).inside("wait")
    with place.container(bundle) as box:
        sent(place, box, one)  # reads to the end of the connection
        holds(not one.waiting(), "another connection came")


@test(requirements=(62,), leaves=("linux.seccomp.listenerMetadata",))
def metadata_without_a_path(place: Place) -> None:
    """config-linux.md, Seccomp: listenerMetadata MUST NOT be set if listenerPath is not set."""
    document = {"defaultAction": "SCMP_ACT_ALLOW", "listenerMetadata": "x", "syscalls": []}
    with place.container(place.bundle().set("linux.seccomp", document)) as box:
        not_created(box, "listenerMetadata without listenerPath")


@test(requirements=(62, 16), leaves=("linux.seccomp.listenerPath",))
def notify_without_a_path(place: Place) -> None:
    """config-linux.md, Seccomp: there is nobody to send the filter's descriptor to."""
    with place.container(notifying(place.bundle())) as box:
        not_created(box, "SCMP_ACT_NOTIFY without listenerPath")


@test(requirements=(62, 16), leaves=("linux.seccomp.listenerPath",))
def nobody_listens(place: Place) -> None:
    """config-linux.md, Seccomp: if sending to this socket fails, the runtime MUST generate an error."""
    bundle = notifying(place.bundle(), listenerPath=str(place.directory / "nobody"))
    with place.container(bundle) as box:
        not_started(box, "a listenerPath that is not there")


@test(requirements=(62,), leaves=("linux.seccomp.listenerPath",))
def a_path_without_notify(place: Place) -> None:
    """config-linux.md, Seccomp: listenerPath is for SCMP_ACT_NOTIFY; a profile without it has nothing to send."""
    rule = {"names": ["sched_get_priority_max"], "action": "SCMP_ACT_ERRNO", "errnoRet": 17}
    document = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [rule],
        "listenerPath": "/nowhere/agent",
    }
    bundle = place.bundle().set("linux.seccomp", document)
    equal(place.line(bundle, "syscall", str(PRIORITY))["errno"], "EEXIST", "the call")
    holds(not Path("/nowhere/agent").exists(), "the socket was made")
