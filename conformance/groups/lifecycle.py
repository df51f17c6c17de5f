"""create, start, kill, delete: what follows what, what is an error, and that an error changes nothing."""

from __future__ import annotations

import signal

from conformance.catalogue import test
from conformance.claims import absent, equal, failed, holds, not_created, nothing_new, succeeded
from conformance.place import Place
from tests.lib import leaks
from tests.lib.hierarchies import hierarchies

GROUP = "lifecycle-and-errors"


@test(requirements=(5, 15), leaves=("process.args.*",))
def create_does_not_run_the_program(place: Place) -> None:
    """runtime.md, Lifecycle 2: the user-specified program MUST NOT be run at this time."""
    bundle = place.bundle().inside("create", "/ran", "x")
    with place.container(bundle) as box:
        box.create()
        equal(box.status, "created", "status after create")
        holds(not (bundle.rootfs / "ran").exists(), "create ran the program")
        box.start()
        equal(box.wait(), 0, "the program's exit status")
        holds((bundle.rootfs / "ran").exists(), "start did not run the program")


@test(requirements=(6,))
def later_edits_do_not_matter(place: Place) -> None:
    """runtime.md, Lifecycle 2: any updates to config.json after this step MUST NOT affect the container."""
    bundle = place.bundle().hostname("first").inside("report")
    bundle.set("annotations", {"a": "first"})
    log = place.directory / "log"
    bundle.hook("poststart", "/bin/sh", "-c", f"cat > /dev/null; echo first >> {log}")
    with place.container(bundle) as box:
        box.create()
        bundle.hostname("second").inside("exit", "9").set("annotations", {"a": "second"})
        bundle.set("hooks.poststart.0.args.2", f"cat > /dev/null; echo second >> {log}").write(
            box.id
        )
        equal(box.state()["annotations"], {"a": "first"}, "annotations after an edit")
        box.start()
        equal(box.wait(), 0, "the exit status of the program that was there at create")
        equal(box.facts.hostname, "first", "hostname after an edit")
        box.delete()
    equal(log.read_text(), "first\n", "the hook that ran after an edit")


@test(requirements=(6,))
def the_config_may_go(place: Place) -> None:
    """runtime.md, Create: changes made to config.json after this operation have no effect on the container."""
    bundle = place.bundle()
    with place.container(bundle) as box:
        box.create()
        (bundle.directory / "config.json").unlink()
        box.start()
        equal(box.wait(), 0, "the exit status")
        succeeded(box.delete(check=False), "delete without config.json")


@test(requirements=(7, 16), leaves=("mounts.*.type",))
def what_cannot_be_built_is_an_error(place: Place) -> None:
    """runtime.md, Lifecycle 2: if the runtime is unable to create the environment it MUST generate an error."""
    with place.container(place.bundle().mount("/m", "nonsensefs", "none")) as box:
        not_created(box, "a file system the kernel does not have")


@test(requirements=(11, 16))
def a_failed_create_leaves_nothing(place: Place) -> None:
    """runtime.md, Errors: generating an error MUST leave the environment as if the operation were never attempted."""
    bundle = place.bundle().set("process.user.additionalGids", [5])
    bundle.bind("/nowhere/at/all", "/m")
    with place.container(bundle) as box:
        before = leaks.Host.now()
        not_created(box, "a bind mount whose source is missing")
        nothing_new(before, "what is on the host that was not before")
        bundle.unset("mounts.3")
        succeeded(box.create(check=False), "create with the id of a failed create")
        box.start()
        equal(box.wait(), 0, "its program's exit status")


@test(requirements=(12, 32), leaves=("process.capabilities.bounding.*",))
def a_warning_changes_nothing(place: Place) -> None:
    """runtime.md, Warnings: it MUST continue as if the warning had not been logged. config.md asks for one here."""
    bundle = place.bundle().capabilities("CAP_KILL", "CAP_NONSENSE").hostname("warned")
    facts = place.report(bundle)
    equal(facts.hostname, "warned", "what else was asked for")
    equal(facts.capabilities("bounding"), {"CAP_KILL"}, "the bounding set")


@test(requirements=(17,))
def start_of_nothing(place: Place) -> None:
    """runtime.md, Start: an error if it is not provided the container ID."""
    with place.container(place.bundle()) as box:
        failed(box.call("start"), "start without an id")
        failed(box.call("start", "nobody"), "start of a container that does not exist")


@test(requirements=(17,))
def start_of_a_running_container(place: Place) -> None:
    """runtime.md, Start: of a container that is not created it MUST have no effect and MUST generate an error."""
    with place.container(place.bundle().inside("wait", "4")) as box:
        box.live()
        box.expect("wait")
        before = box.state()
        failed(box.start(check=False), "start of a running container")
        equal(box.state(), before, "the state after a refused start")
        box.kill("TERM")
        equal(box.wait(), 4, "the program's own exit status")


@test(requirements=(17,))
def start_of_a_stopped_container(place: Place) -> None:
    """runtime.md, Start: of a container that is not created it MUST have no effect and MUST generate an error."""
    bundle = place.bundle().inside("create", "/ran", "x")
    with place.container(bundle) as box:
        box.finish_all()
        (bundle.rootfs / "ran").unlink()
        failed(box.start(check=False), "start of a stopped container")
        equal(box.status, "stopped", "its status")
        holds(not (bundle.rootfs / "ran").exists(), "the program ran again")


@test(requirements=(17,))
def start_without_a_process(place: Place) -> None:
    """runtime.md, Start: this operation MUST generate an error if process was not set."""
    with place.container(place.bundle().unset("process")) as box:
        if box.create(check=False).code == 0:
            failed(box.start(check=False), "start without process")
        else:
            absent(box)


@test(requirements=(17,))
def start_of_a_program_that_is_not_there(place: Place) -> None:
    """runtime.md, Start: this operation MUST run the user-specified program; else it cannot succeed."""
    with place.container(place.bundle().args("/nowhere")) as box:
        if box.create(check=False).code == 0:
            failed(box.start(check=False), "start of a program that does not exist")
        else:
            absent(box)


@test(requirements=(18,))
def kill_of_nothing(place: Place) -> None:
    """runtime.md, Kill: an error if it is not provided the container ID."""
    with place.container(place.bundle()) as box:
        failed(box.call("kill"), "kill without an id")
        failed(box.call("kill", "nobody", "TERM"), "kill of a container that does not exist")


@test(requirements=(18,))
def kill_of_a_stopped_container(place: Place) -> None:
    """runtime.md, Kill: of what is neither created nor running MUST have no effect and MUST generate an error."""
    with place.container(place.bundle()) as box:
        box.finish_all()
        failed(box.kill("KILL", check=False), "kill of a stopped container")
        equal(box.status, "stopped", "its status")


@test(requirements=(18,))
def kill_of_a_created_container(place: Place) -> None:
    """runtime.md, Kill: a container that is created gets the signal, too."""
    with place.container(place.bundle()) as box:
        box.create()
        succeeded(box.kill("KILL", check=False), "kill of a created container")
        equal(box.wait(), 128 + signal.SIGKILL, "how its process ended")
        equal(box.status, "stopped", "its status")


@test(requirements=(18,), each=("HUP", "USR1", "WINCH", "CONT", "34", "64"))
def kill_sends_the_signal(place: Place, label: str) -> None:
    """runtime.md, Kill: this operation MUST send the specified signal to the container process."""
    with place.container(place.bundle().inside("wait")) as box:
        box.live()
        box.expect("wait")
        succeeded(box.kill(label, check=False), f"kill {label}")
        wanted = int(label) if label.isdigit() else signal.Signals[f"SIG{label}"].value
        equal(box.expect("got")["signal"], wanted, "the signal the program got")


@test(requirements=(18,))
def kill_sends_it_to_the_init_alone(place: Place) -> None:
    """runtime.md, Kill: the signal goes to the container process."""
    bundle = place.bundle().without_namespace("pid").inside("spawn", "--", "wait")
    with place.container(bundle) as box:
        box.live()
        child = box.expect("spawn")["child"]
        box.expect("wait")
        box.kill("USR1")
        equal(box.expect("got")["signal"], signal.SIGUSR1, "the signal the container's process got")
        holds(child in leaks.children(), "a child of it was ended by its signal")


@test(requirements=(18,), each=("NONSENSE", "0x9", "99", "-1"))
def kill_with_no_signal(place: Place, label: str) -> None:
    """runtime.md, Kill: what is no signal cannot be sent; the container is left alone."""
    with place.container(place.bundle().inside("wait")) as box:
        box.live()
        box.expect("wait")
        failed(box.kill("--", label, check=False), f"kill with the signal {label}")
        holds(not box.ended(0), "the program was ended")


@test(requirements=(19,))
def delete_of_a_running_container(place: Place) -> None:
    """runtime.md, Delete: of a container that is not stopped MUST have no effect and MUST generate an error."""
    with place.container(place.bundle().inside("wait", "5")) as box:
        box.live()
        box.expect("wait")
        failed(box.delete(check=False), "delete of a running container")
        equal(box.status, "running", "its status")
        box.kill("TERM")
        equal(box.wait(), 5, "the program's own exit status")


@test(requirements=(19,))
def delete_of_a_created_container(place: Place) -> None:
    """runtime.md, Delete: of a container that is not stopped MUST have no effect and MUST generate an error."""
    with place.container(place.bundle()) as box:
        box.create()
        failed(box.delete(check=False), "delete of a created container")
        equal(box.status, "created", "its status")


@test(requirements=(19,))
def delete_of_nothing(place: Place) -> None:
    """runtime.md, Delete: there is nothing to delete without an id or a container."""
    with place.container(place.bundle()) as box:
        failed(box.call("delete"), "delete without an id")
        failed(box.call("delete", "nobody"), "delete of a container that does not exist")


@test(requirements=(19, 4))
def the_id_can_be_used_again(place: Place) -> None:
    """runtime.md, Delete: once a container is deleted its ID MAY be used by a subsequent container."""
    with place.container(place.bundle()) as box:
        for _ in range(2):
            equal(box.finish_all(), 0, "the exit status")
            box.delete()
            absent(box)


@test(requirements=(51,), leaves=("linux.cgroupsPath",))
def a_frozen_cgroup(place: Place) -> None:
    """config-linux.md, Cgroups: a runtime MAY check that the cgroup is fit and MUST then generate an error if it is not;
    whatever it does, it must come back, and without the program having run in a frozen cgroup."""
    with place.container(place.bundle().inside("create", "/ran", "x")) as box:
        top = hierarchies().get("freezer") or hierarchies()[""]
        group = top / box.id
        group.mkdir()
        state = group / "freezer.state"
        knob, frozen, thawed = (
            (state, "FROZEN", "THAWED") if state.exists() else (group / "cgroup.freeze", "1", "0")
        )
        knob.write_text(frozen)
        place.stack.callback(lambda: knob.exists() and knob.write_text(thawed))
        outcome = box.create(check=False)
        if outcome.code != 0:
            absent(box)
        holds(not (box.bundle.rootfs / "ran").exists(), "create ran the program")
