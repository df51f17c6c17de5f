"""Hooks that fail: with a status, by a signal, by not being there, by taking too long."""

from __future__ import annotations

from conformance.catalogue import test
from conformance.claims import absent, equal, failed, holds, not_created, succeeded
from conformance.hooking import Log
from conformance.place import Container, Place
from tests.lib import leaks
from tests.lib.bundle import Bundle

GROUP = "hooks"
OF_CREATE = ("prestart", "createRuntime", "createContainer")
OF_START = ("startContainer", "poststart")
FAILURES = {
    "status": ("/bin/sh", "-c", "cat > /dev/null; exit 3"),
    "signal": ("/bin/sh", "-c", "cat > /dev/null; kill -KILL $$"),
    "missing": ("/nowhere/hook",),
}


def before_and_after(bundle: Bundle, kind: str, *failing: str, timeout: int | None = None) -> Log:
    """The failing hook, one of its kind behind it, and one of poststop."""
    bundle.shell("").inside("pause")
    bundle.hook(kind, *failing, timeout=timeout)
    return Log(bundle).add(kind, "behind").add("poststop")


@test(requirements=(9, 11), each=[f"{kind} {how}" for kind in OF_CREATE for how in FAILURES])
def create_fails(place: Place, label: str) -> None:
    """runtime.md, Lifecycle 3 to 5: if any hook fails, the runtime MUST generate an error, stop the container, and
    continue the lifecycle at step 12: undo, then poststop."""
    kind, how = label.split()
    bundle = place.bundle()
    log = before_and_after(bundle, kind, *FAILURES[how])
    with place.container(bundle) as box:
        before = leaks.children()
        not_created(box, f"a {kind} hook fails")
        equal(leaks.children() - before, set(), "processes that are left")
        equal(log.labels, ["poststop"], "hooks that ran")


def started(place: Place, box: Container, kind: str) -> None:
    """start fails, and there is no container that runs."""
    box.create()
    failed(box.start(check=False), f"start although a {kind} hook failed")
    box.wait()
    outcome = box.call("state", box.id)
    if outcome.code == 0:  # destroyed by the failure, or left stopped for delete
        equal(box.status, "stopped", "the container's status")
        succeeded(box.delete(check=False), "delete after a failed start")
    absent(box)


@test(requirements=(9,), each=[f"{kind} {how}" for kind in OF_START for how in FAILURES])
def start_fails(place: Place, label: str) -> None:
    """runtime.md, Lifecycle 7 and 9: if any hook fails, the runtime MUST generate an error, stop the container, and
    continue the lifecycle at step 12: undo, then poststop."""
    kind, how = label.split()
    bundle = place.bundle()
    log = before_and_after(bundle, kind, *FAILURES[how])
    with place.container(bundle) as box:
        started(place, box, kind)
        equal(log.labels + log.inner, ["poststop"], "hooks that ran")


@test(requirements=(9, 5))
def the_program_does_not_run(place: Place) -> None:
    """runtime.md, Lifecycle 7: a failed startContainer hook ends the lifecycle before step 8."""
    bundle = place.bundle().shell("").inside("create", "/ran", "x")
    bundle.hook("startContainer", "/bin/sh", "-c", "cat > /dev/null; exit 1")
    with place.container(bundle) as box:
        started(place, box, "startContainer")
    holds(not (bundle.rootfs / "ran").exists(), "the program ran")


@test(requirements=(10, 12), each=FAILURES)
def poststop_is_a_warning(place: Place, label: str) -> None:
    """runtime.md, Lifecycle 13: if any poststop hook fails, the runtime MUST log a warning, but the remaining hooks and
    lifecycle continue as if the hook had succeeded."""
    bundle = place.bundle().hook("poststop", *FAILURES[label])
    log = Log(bundle).add("poststop")
    with place.container(bundle) as box:
        box.live().wait()
        succeeded(box.delete(check=False), "delete with a failing poststop hook")
        absent(box)
    equal(log.labels, ["poststop"], "the hooks behind the failed one")


SLOW = ("/bin/sh", "-c", "while :; do read -r line || exec tail -f /dev/null; done")


@test(requirements=(9, 37), leaves=("hooks.{}.*.timeout",), each=OF_CREATE)
def create_does_not_wait(place: Place, label: str) -> None:
    """config.md, POSIX-platform Hooks: timeout is the number of seconds before aborting the hook."""
    bundle = place.bundle()
    log = before_and_after(bundle, label, *SLOW, timeout=1)
    with place.container(bundle) as box:
        before = leaks.children()
        not_created(box, f"a {label} hook takes too long")
        equal(leaks.children() - before, set(), "processes that are left")
        equal(log.labels, ["poststop"], "hooks that ran")


@test(requirements=(9, 37), leaves=("hooks.{}.*.timeout",), each=OF_START)
def start_does_not_wait(place: Place, label: str) -> None:
    """config.md, POSIX-platform Hooks: timeout is the number of seconds before aborting the hook."""
    bundle = place.bundle()
    log = before_and_after(bundle, label, *SLOW, timeout=1)
    with place.container(bundle) as box:
        started(place, box, label)
        equal(log.labels + log.inner, ["poststop"], "hooks that ran")


@test(requirements=(10, 37), leaves=("hooks.poststop.*.timeout",))
def poststop_does_not_wait(place: Place) -> None:
    """config.md, POSIX-platform Hooks: timeout is the number of seconds before aborting the hook."""
    bundle = place.bundle().hook("poststop", *SLOW, timeout=1)
    log = Log(bundle).add("poststop")
    with place.container(bundle) as box:
        box.live().wait()
        succeeded(box.delete(check=False), "delete with a poststop hook that takes too long")
    equal(log.labels, ["poststop"], "the hooks behind the aborted one")


@test(requirements=(37,), leaves=("hooks.{}.*.timeout",), each=(*OF_CREATE, *OF_START, "poststop"))
def enough_time(place: Place, label: str) -> None:
    """config.md, POSIX-platform Hooks: a hook within its timeout is not aborted."""
    bundle = (
        place.bundle().shell("exit 0").hook(label, "/bin/sh", "-c", "cat > /dev/null", timeout=30)
    )
    with place.container(bundle) as box:
        equal(box.finish_all(), 0, "the program's exit status")
        succeeded(box.delete(check=False), "delete")
