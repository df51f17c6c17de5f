"""hooks: six kinds, what they are told, where they stand, what their failure means (R-28)."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.lib import programs
from tests.lib.box import Box, refused, run
from tests.lib.bundle import Bundle
from tests.lib.patience import since

KINDS = ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"]
OUTER = ["prestart", "createRuntime", "createContainer", "poststart", "poststop"]
SCRIPT = str(programs.HERE / "hook.py")
PYTHON = os.path.realpath(
    "/usr/bin/python3.11" if os.path.exists("/usr/bin/python3.11") else sys.executable
)


def log(bundle: Bundle) -> Path:
    return bundle.directory / "hooks.log"


def add(
    bundle: Bundle, kind: str, label: str | None = None, status: int = 0, **options: Any
) -> Bundle:
    """A hook that writes its circumstances into the log; startContainer needs no Python: it is inside."""
    if kind == "startContainer":
        return bundle.hook(kind, "/inside", "create", f"/{label or kind}", "x", **options)
    words = [PYTHON, "-I", SCRIPT, str(log(bundle)), label or kind, str(status)]
    return bundle.hook(kind, *words, **options)


def shell(bundle: Bundle, kind: str, script: str, **options: Any) -> Bundle:
    return bundle.hook(kind, "/bin/sh", "-c", script, **options)


def records(bundle: Bundle) -> list[dict[str, Any]]:
    if not log(bundle).exists():
        return []
    return [json.loads(line) for line in log(bundle).read_text().splitlines()]


def labels(bundle: Bundle) -> list[str]:
    return [record["label"] for record in records(bundle)]


@pytest.mark.covers(
    "hooks.prestart.path",
    "hooks.prestart.args",
    "hooks.createRuntime.path",
    "hooks.createRuntime.args",
    "hooks.createContainer.path",
    "hooks.createContainer.args",
    "hooks.startContainer.path",
    "hooks.startContainer.args",
    "hooks.poststart.path",
    "hooks.poststart.args",
    "hooks.poststop.path",
    "hooks.poststop.args",
)
def test_all_six_in_their_order(bundle: Bundle) -> None:
    for kind in reversed(KINDS):
        add(bundle, kind)
    with Box(bundle) as box:
        box.create()
        assert labels(bundle) == ["prestart", "createRuntime", "createContainer"]
        assert not (bundle.rootfs / "startContainer").exists()
        box.start()
        assert labels(bundle)[3:] == ["poststart"]
        box.wait()
        assert (bundle.rootfs / "startContainer").exists()
        box.delete()
        assert labels(bundle)[4:] == ["poststop"]


def test_hooks_of_a_kind_run_in_the_order_listed(bundle: Bundle) -> None:
    for number in range(4):
        add(bundle, "createRuntime", f"number {number}")
    run(bundle)
    assert labels(bundle) == [f"number {number}" for number in range(4)]


def test_the_state_they_are_told(bundle: Bundle) -> None:
    for kind in OUTER:
        add(bundle, kind)
    bundle.set("annotations", {"org.example": "grün"})
    with Box(bundle) as box:
        box.create()
        box.start()
        box.wait()
        box.delete()
        assert len(records(bundle)) == len(OUTER)
        for record in records(bundle):
            state = record["stdin"]
            assert state["id"] == box.id
            assert state["bundle"] == str(bundle.directory)
            assert state["annotations"] == {"org.example": "grün"}
            assert state["ociVersion"].startswith("1.")


STATUSES = {
    "prestart": "creating",
    "createRuntime": "creating",
    "createContainer": "creating",
    "poststart": "running",
    "poststop": "stopped",
}


@pytest.mark.parametrize("kind", OUTER)
def test_status_and_pid_they_are_told(bundle: Bundle, kind: str) -> None:
    """The pid is the host's, and in the container's namespaces the container's."""
    add(bundle, kind)
    with Box(bundle) as box:
        box.create()
        box.start()
        box.wait()
        box.delete()
        state = records(bundle)[0]["stdin"]
        assert state["status"] == STATUSES[kind]
        assert state.get("pid", 0) == {"poststop": 0, "createContainer": 1}.get(kind, box.pid)


def test_the_container_side_hook_is_told_the_state_too(bundle: Bundle) -> None:
    bundle.shell("exit 0").hook("startContainer", "/bin/sh", "-c", "cat > /state")
    with Box(bundle) as box:
        box.run(check=True)
        state = json.loads((bundle.rootfs / "state").read_text())
        assert (state["id"], state["status"], state["pid"]) == (box.id, "created", 1)


def test_without_a_pid_namespace_all_hooks_are_told_the_same_pid(bundle: Bundle) -> None:
    add(bundle.without_namespace("pid"), "createContainer")
    with Box(bundle) as box:
        box.create()
        assert records(bundle)[0]["stdin"]["pid"] == box.pid


def test_namespaces_they_run_in(bundle: Bundle) -> None:
    for kind in OUTER:
        add(bundle, kind)
    run(bundle)
    own = {
        name: os.readlink(f"/proc/self/ns/{name}") for name in ("mnt", "net", "pid", "ipc", "uts")
    }
    for record in records(bundle):
        same = {name for name in own if own[name] == record["namespaces"][name]}
        if record["label"] == "createContainer":
            assert "mnt" not in same and "net" not in same and "uts" not in same
        else:
            assert same == set(own), record["label"]


def test_the_namespaces_exist_when_prestart_runs(bundle: Bundle) -> None:
    """Docker's only hook opens /proc/<pid>/ns/net to move an interface into it."""
    shell(
        bundle,
        "prestart",
        f"readlink /proc/$(grep -o '\"pid\": *[0-9]*' | tr -dc 0-9)/ns/net > {log(bundle)}",
    )
    outcome = run(bundle)
    assert log(bundle).read_text().strip() == outcome.facts.namespaces["net"]


def test_the_mounts_exist_when_create_container_runs(bundle: Bundle) -> None:
    bundle.mount("/data", "tmpfs", "tmpfs")
    shell(
        bundle,
        "createContainer",
        f"grep -c ' {bundle.rootfs}/data ' /proc/self/mountinfo > {log(bundle)}",
    )
    assert run(bundle).code == 0
    assert log(bundle).read_text().strip() == "1"


def test_the_program_has_not_run_before_the_hooks(bundle: Bundle) -> None:
    bundle.inside("create", "/program", "x")
    shell(bundle, "createRuntime", f"test ! -e {bundle.rootfs}/program")
    shell(bundle, "createContainer", f"test ! -e {bundle.rootfs}/program")
    assert run(bundle).code == 0


def test_cwd_of_host_side_hooks_is_the_bundle(bundle: Bundle) -> None:
    for kind in ("prestart", "createRuntime", "poststart", "poststop"):
        add(bundle, kind)
    run(bundle)
    assert {record["cwd"] for record in records(bundle)} == {str(bundle.directory)}


def test_cwd_of_container_side_hooks(bundle: Bundle) -> None:
    """As from runc: the root to be, seen from outside, and the program's working directory."""
    bundle.dir("work").set("process.cwd", "/work").shell("exit 0")
    shell(bundle, "createContainer", "pwd -P > where-create")
    bundle.hook("startContainer", "/bin/sh", "-c", "pwd > where-start")
    assert run(bundle).code == 0
    assert (bundle.rootfs / "where-create").read_text() == f"{bundle.rootfs.resolve()}\n"
    assert (bundle.rootfs / "work/where-start").read_text() == "/work\n"


@pytest.mark.covers(
    "hooks.prestart.env",
    "hooks.createRuntime.env",
    "hooks.createContainer.env",
    "hooks.poststart.env",
    "hooks.poststop.env",
)
@pytest.mark.parametrize("kind", OUTER)
def test_env_given_is_the_whole_environment(bundle: Bundle, kind: str) -> None:
    add(bundle, kind, env=["A=1", "B=x=y"])
    run(bundle)
    seen = {name: value for name, value in records(bundle)[0]["env"].items() if name != "LC_CTYPE"}
    assert seen == {"A": "1", "B": "x=y"}


@pytest.mark.covers("hooks.startContainer.env")
def test_env_given_inside(bundle: Bundle) -> None:
    bundle.shell("exit 0").hook("startContainer", "/bin/sh", "-c", "echo $A > /env", env=["A=1"])
    assert run(bundle).code == 0
    assert (bundle.rootfs / "env").read_text() == "1\n"


def test_env_absent_inside_is_the_programs(bundle: Bundle) -> None:
    """HOME included, which the runtime finds for the user of the program."""
    bundle.shell("exit 0").env(A="b").file("etc/passwd", "root:x:0:0::/superuser:/bin/sh\n")
    bundle.hook("startContainer", "/bin/sh", "-c", "echo $A $HOME > /env")
    assert run(bundle).code == 0
    assert (bundle.rootfs / "env").read_text() == "b /superuser\n"


def test_env_absent_is_the_runtimes_own_on_the_host_side(bundle: Bundle) -> None:
    add(bundle, "createRuntime")
    run(bundle, env={"PATH": "/usr/bin:/bin", "ENGINE": "yes"})
    assert records(bundle)[0]["env"]["ENGINE"] == "yes"


def test_env_absent_is_nothing_beside_the_image(bundle: Bundle) -> None:
    """CVE-2025-23266: createContainer runs with host rights beside the image; it inherits nothing."""
    add(bundle.env(LD_PRELOAD="/evil.so"), "createContainer")
    run(bundle, env={"PATH": "/usr/bin:/bin", "ENGINE": "yes"})
    seen = records(bundle)[0]["env"]
    assert "LD_PRELOAD" not in seen and "ENGINE" not in seen


@pytest.mark.parametrize("kind", OUTER)
def test_no_descriptor_but_stdio(bundle: Bundle, kind: str) -> None:
    add(bundle, kind)
    run(bundle)
    assert records(bundle)[0]["fds"] == [0, 1, 2]


def test_args_are_given_as_written(bundle: Bundle) -> None:
    script = bundle.directory / "script"
    script.write_text(f"#!/bin/sh\nprintf '%s|' \"$@\" > {log(bundle)}\n")
    script.chmod(0o755)
    bundle.hook("prestart", "name", "a b", "", "$HOME", path=str(script))
    assert run(bundle).code == 0
    assert log(bundle).read_text() == "a b||$HOME|"


def test_a_hook_without_args(bundle: Bundle) -> None:
    assert run(bundle.set("hooks.prestart", [{"path": "/bin/true"}])).code == 0


@pytest.mark.parametrize("kind", ["prestart", "createRuntime", "createContainer"])
def test_a_failure_fails_create(bundle: Bundle, kind: str) -> None:
    shell(bundle, kind, "echo words-of-the-hook >&2; exit 3")
    add(bundle, "poststop")
    message = refused(bundle)
    assert "hook" in message and "exit status 3" in message and "words-of-the-hook" in message


def test_hooks_after_a_failed_one_do_not_run(bundle: Bundle) -> None:
    shell(bundle, "createRuntime", "exit 1")
    add(bundle, "createRuntime", "second")
    add(bundle, "createContainer", "third")
    refused(bundle)
    assert not {"second", "third"} & set(labels(bundle))


def test_poststop_runs_after_a_failed_create(bundle: Bundle) -> None:
    """Specification, lifecycle 9: destroy, then the poststop hooks."""
    shell(bundle, "createRuntime", "exit 1")
    add(bundle, "poststop")
    refused(bundle)
    assert labels(bundle) == ["poststop"]


def test_a_failing_start_container_fails_start(bundle: Bundle) -> None:
    bundle.hook("startContainer", "/inside", "exit", "3")
    with Box(bundle) as box:
        box.create()
        outcome = box.start(check=False)
        assert outcome.code == 1 and "hook" in outcome.message
        box.wait()
        assert box.status == "stopped"


def test_a_failing_poststart_stops_the_container(bundle: Bundle) -> None:
    shell(bundle.inside("pause"), "poststart", "exit 3")
    with Box(bundle) as box:
        box.create()
        assert box.start(check=False).code == 1
        assert box.wait(patience=3) == 137


def test_a_failing_poststop_is_only_a_warning(bundle: Bundle) -> None:
    shell(bundle, "poststop", "exit 3")
    add(bundle, "poststop", "second")
    with Box(bundle) as box:
        box.create()
        box.start()
        box.wait()
        box.delete()
        assert labels(bundle) == ["second"]


def test_a_hook_that_daemonises_does_not_hold_create(bundle: Bundle) -> None:
    """Its child keeps the hook's stdout open."""
    pid_file = bundle.directory / "daemon"
    shell(bundle, "prestart", f"sleep 60 & echo $! > {pid_file}", timeout=2)
    begun = time.monotonic()
    try:
        outcome = run(bundle, patience=4)
        assert outcome.code == 0 and since(begun) < 2, str(outcome)
    finally:
        pid = int(pid_file.read_text())
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_a_hook_that_never_reads_its_stdin(bundle: Bundle) -> None:
    bundle.set("annotations", {f"key{n}": "x" * 1000 for n in range(200)})
    assert run(bundle.set("hooks.prestart", [{"path": "/bin/true"}])).code == 0


def test_a_hook_that_writes_without_end(bundle: Bundle) -> None:
    """What it said is bounded in the message."""
    shell(bundle, "prestart", "head -c 20000000 /dev/zero | tr '\\0' x >&2; exit 3")
    message = refused(bundle)
    assert len(message) < 100_000


@pytest.mark.parametrize("kind", ["createRuntime", "createContainer"])
@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("exit 3", "exit status 3"),
        ("echo one; echo two; exit 3", "exit status 3, stdout: one\\ntwo"),
        ("echo why >&2; exit 3", "exit status 3, stderr: why"),
        ("kill -SYS $$", "signal: bad system call"),
        ("kill -KILL $$", "signal: killed"),
    ],
)
def test_what_a_failing_hook_printed_can_be_read(
    bundle: Bundle, kind: str, script: str, words: str
) -> None:
    line = refused(shell(bundle, kind, script)).splitlines()[0]
    assert line.endswith(f"{kind} hook #0: {words}")


def test_control_characters_of_a_hook_stay_out_of_the_log(bundle: Bundle) -> None:
    shell(
        bundle, "prestart", 'printf \'\\033[31m\\n{"level":"error","msg":"forged"}\\n\' >&2; exit 1'
    )
    with Box(bundle) as box:
        outcome = box.create(check=False)
        assert outcome.code == 1
        assert "\x1b" not in outcome.err
        assert len(outcome.records) == 1 and outcome.records[0]["msg"] != "forged"


@pytest.mark.parametrize("path", ["/not/there", "/etc/passwd", "/etc"])
def test_a_hook_that_cannot_be_run(bundle: Bundle, path: str) -> None:
    message = refused(bundle.set("hooks.createRuntime", [{"path": path}]))
    assert "no such file or directory" in message or "permission denied" in message


@pytest.mark.parametrize(
    "entry",
    [
        {"path": "bin/true"},
        {"args": ["x"]},
        {"path": "/bin/true", "timeout": 0},
        {"path": "/bin/true", "timeout": -1},
    ],
    ids=["relative", "no path", "timeout 0", "timeout -1"],
)
def test_a_wrong_entry_is_refused(bundle: Bundle, entry: dict[str, Any]) -> None:
    refused(bundle.set("hooks.createRuntime", [entry]))
