"""Hooks: their order, what they are told, where they run, their environment."""

from __future__ import annotations

import os

from conformance.catalogue import test
from conformance.claims import equal, excludes, failed, holds, not_created
from conformance.hooking import KINDS, OUTER, Log, whole_life
from conformance.place import Place

GROUP = "hooks"
STATUSES = {
    "prestart": {"creating"},
    "createRuntime": {"creating"},
    "createContainer": {"creating"},
    "startContainer": {"created"},
    "poststart": {"running"},
    "poststop": {"stopped"},
}


@test(requirements=(8, 39), leaves=[f"hooks.{kind}.*.path" for kind in KINDS])
def order_of_the_kinds(place: Place) -> None:
    """runtime.md, Lifecycle 3 to 13: prestart, createRuntime, createContainer with create, startContainer and poststart
    with start, poststop with delete."""
    bundle = place.bundle().inside("create", "/ran", "x")
    log = Log(bundle)
    for kind in reversed(KINDS):
        log.add(kind)
    with place.container(bundle) as box:
        box.create()
        equal(log.labels, ["prestart", "createRuntime", "createContainer"], "hooks run by create")
        equal(log.inner, [], "startContainer hooks run by create")
        box.start()
        equal(log.labels[3:], ["poststart"], "hooks of the runtime's side run by start")
        equal(log.inner, ["startContainer"], "hooks of the container's side run by start")
        box.wait()
        holds((bundle.rootfs / "ran").exists(), "the program did not run")
        box.delete()
        equal(log.labels[4:], ["poststop"], "hooks run by delete")


@test(requirements=(40,), each=KINDS)
def listed_order(place: Place, label: str) -> None:
    """config.md, POSIX-platform Hooks: hooks MUST be called in the listed order."""
    bundle = place.bundle()
    log = Log(bundle)
    wanted = [f"number-{number}" for number in (2, 0, 1)]
    for name in wanted:
        log.add(label, name)
    whole_life(place, bundle)
    equal(log.inner if label == "startContainer" else log.labels, wanted, "the hooks that ran")


@test(requirements=(40, 2), leaves=("annotations",), each=KINDS)
def state_on_stdin(place: Place, label: str) -> None:
    """config.md, POSIX-platform Hooks: the state of the container MUST be passed to hooks over stdin."""
    bundle = place.bundle().set("annotations", {"org.example": "grün"})
    log = Log(bundle).add(label)
    with place.container(bundle) as box:
        box.live().wait()
        box.delete()
        state = log.state(label)
        equal(state.get("id"), box.id, "id")
    equal(state.get("bundle"), str(bundle.directory), "bundle")
    equal(state.get("annotations"), {"org.example": "grün"}, "annotations")
    holds(isinstance(state.get("ociVersion"), str), "ociVersion", state)
    holds(state.get("status") in STATUSES[label], "status", state)


@test(requirements=(2, 40), each=("prestart", "createRuntime", "poststart"))
def pid_of_the_runtime(place: Place, label: str) -> None:
    """runtime.md, State: for hooks executed in the runtime namespace, it is the pid as seen by the runtime."""
    bundle = place.bundle()
    log = Log(bundle).add(label)
    pid = whole_life(place, bundle)
    equal(log.state(label).get("pid"), pid, "pid in the state")


@test(requirements=(2, 40), each=("createContainer", "startContainer"))
def pid_of_the_container(place: Place, label: str) -> None:
    """runtime.md, State: for hooks executed in the container namespace, it is the pid as seen by the container."""
    bundle = place.bundle()
    log = Log(bundle).add(label)
    whole_life(place, bundle)
    equal(log.state(label).get("pid"), 1, "pid in the state, in a new pid namespace")


@test(requirements=(38,), each=("prestart", "createRuntime", "poststart", "poststop"))
def run_in_the_runtime_namespace(place: Place, label: str) -> None:
    """config.md: prestart, createRuntime, poststart and poststop MUST be executed in the runtime namespace."""
    bundle = place.bundle()
    log = Log(bundle).add(label)
    whole_life(place, bundle)
    seen = log.records[0]["namespaces"]
    equal(seen, {name: os.readlink(f"/proc/self/ns/{name}") for name in seen}, "its namespaces")


@test(requirements=(38, 39))
def create_container_runs_in_the_container(place: Place) -> None:
    """config.md, createContainer: its path MUST resolve in the runtime namespace, it MUST be executed in the container
    namespace; and before pivot_root, so that it sees the runtime's files."""
    bundle = place.bundle()
    log = Log(bundle).add("createContainer")
    whole_life(place, bundle)
    seen = log.records[0]["namespaces"]
    own = {name: os.readlink(f"/proc/self/ns/{name}") for name in seen}
    excludes(seen.items(), [(name, own[name]) for name in ("mnt", "net", "uts", "ipc")], "own")


@test(requirements=(38,))
def start_container_runs_in_the_container(place: Place) -> None:
    """config.md, startContainer: its path MUST resolve, and it MUST be executed, in the container namespace."""
    bundle = place.bundle().hostname("within").file("/hook", "", 0o755)
    bundle.shell("exit 0").file(
        "/hook", "#!/bin/sh\necho $(cat /proc/sys/kernel/hostname) $$ > /seen\n"
    )
    (bundle.rootfs / "hook").chmod(0o755)
    whole_life(place, bundle.hook("startContainer", "/hook"))
    seen = bundle.rootfs / "seen"
    holds(seen.exists(), "the program of the hook's path, from the container's root, did not run")
    equal(seen.read_text().split()[0], "within", "the host name the hook saw")


@test(requirements=(38,))
def start_container_is_not_looked_up_outside(place: Place) -> None:
    """config.md, startContainer: a path that is only there on the runtime's side does not resolve."""
    script = place.directory / "outside"
    script.write_text("#!/bin/sh\nexit 0\n")
    script.chmod(0o755)
    with place.container(place.bundle().hook("startContainer", str(script))) as box:
        if box.create(check=False).code == 0:
            failed(box.start(check=False), "start with a hook that the container does not have")


@test(requirements=(39,), each=("prestart", "createRuntime", "createContainer"))
def the_environment_exists(place: Place, label: str) -> None:
    """config.md: called after the runtime environment has been created: the namespaces of the process are there."""
    bundle = place.bundle()
    seen = place.directory / "seen"
    if label == "createContainer":
        script = "cat > /dev/null; for n in net uts ipc mnt; do readlink /proc/self/ns/$n; done"
    else:
        script = (
            "pid=$(tr ',{}' '\\n\\n\\n' | sed -n 's/ *\"pid\": *//p');"
            " for n in net uts ipc mnt; do readlink /proc/$pid/ns/$n; done"
        )
    bundle.hook(label, "/bin/sh", "-c", f"({script}) > {seen}")
    wanted = place.report(bundle).namespaces
    found = seen.read_text().split()
    equal(
        found, [wanted[name] for name in ("net", "uts", "ipc", "mnt")], "namespaces of the process"
    )


@test(requirements=(39,))
def create_container_before_the_pivot(place: Place) -> None:
    """config.md, createContainer: before the pivot_root or any equivalent operation; what it mounts below the root file
    system is in the container."""
    bundle = place.bundle().dir("/given").file("/given/mark", "no")
    source = place.directory / "source"
    source.mkdir()
    (source / "mark").write_text("yes")
    script = f"cat > /dev/null; mount --bind {source} {bundle.rootfs / 'given'}"
    bundle.hook(
        "createContainer", "/bin/sh", "-c", script, env=["PATH=/usr/sbin:/usr/bin:/sbin:/bin"]
    )
    equal(place.line(bundle, "cat", "/given/mark")["data"], "yes", "the file in the mount it made")


@test(requirements=(41,))
def poststart_before_start_returns(place: Place) -> None:
    """config.md, poststart: after the user-specified process is executed but before start returns."""
    done = place.directory / "done"
    bundle = place.bundle().inside("pause")
    bundle.hook("poststart", "/bin/sh", "-c", f"cat > {done}.new; mv {done}.new {done}")
    with place.container(bundle) as box:
        box.create()
        holds(not done.exists(), "poststart ran in create")
        box.start()
        holds(done.exists(), "start returned before poststart had ended")


@test(requirements=(41, 8))
def poststop_before_delete_returns(place: Place) -> None:
    """config.md, poststop: after the container is deleted but before delete returns."""
    done = place.directory / "done"
    bundle = place.bundle().hook(
        "poststop", "/bin/sh", "-c", f"cat > {done}.new; mv {done}.new {done}"
    )
    with place.container(bundle) as box:
        box.live().wait()
        holds(not done.exists(), "poststop ran before delete")
        box.delete()
        holds(done.exists(), "delete returned before poststop had ended")


@test(requirements=(40,), leaves=("hooks.{}.*.env.*",), each=KINDS)
def environment(place: Place, label: str) -> None:
    """config.md, POSIX-platform Hooks: env has the same semantics as IEEE Std 1003.1-2008's environ."""
    bundle = place.bundle()
    entries = ["ONE=1", "TWO=a=b", "EMPTY="]
    seen = (bundle.rootfs if label == "startContainer" else place.directory) / "seen"
    target = "/seen" if label == "startContainer" else str(seen)
    bundle.shell("exit 0").hook(
        label, "/bin/sh", "-c", f"cat > /dev/null; cat /proc/self/environ > {target}", env=entries
    )
    whole_life(place, bundle)
    found = set(seen.read_text().split("\0"))
    holds(set(entries) <= found, "the variables of env", sorted(found))
    if label in OUTER:  # the shell itself adds PWD and the like
        excludes(
            {entry.partition("=")[0] for entry in found}, {"HOME", "USER"}, "the runtime's own"
        )


@test(requirements=(40,), leaves=("hooks.{}.*.args.*",), each=KINDS)
def arguments(place: Place, label: str) -> None:
    """config.md, POSIX-platform Hooks: args has the same semantics as IEEE Std 1003.1-2008 execv's argv."""
    bundle = place.bundle().shell("exit 0")
    seen = (bundle.rootfs if label == "startContainer" else place.directory) / "seen"
    target = "/seen" if label == "startContainer" else str(seen)
    script = f'printf \'%s\\n\' "$0" "$@" > {target}'
    bundle.hook(label, "/bin/sh", "-c", script, "zero", "two words", "", "*")
    whole_life(place, bundle)
    equal(seen.read_text().splitlines(), ["zero", "two words", "", "*"], "what the hook was given")


@test(requirements=(37, 16), leaves=("hooks.{}.*.path",), each=KINDS)
def relative_path(place: Place, label: str) -> None:
    """config.md, POSIX-platform Hooks: this specification extends the IEEE standard in that path MUST be absolute."""
    with place.container(place.bundle().hook(label, "bin/true")) as box:
        not_created(box, f"a relative path of a {label} hook")


@test(requirements=(37,), leaves=("hooks.{}.*.timeout",), each=KINDS)
def timeout_of_nothing(place: Place, label: str) -> None:
    """config.md, POSIX-platform Hooks: if set, timeout MUST be greater than zero."""
    with place.container(place.bundle().hook(label, "/bin/true", timeout=0)) as box:
        not_created(box, f"a timeout of 0 of a {label} hook")
