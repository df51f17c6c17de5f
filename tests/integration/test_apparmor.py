"""process.apparmorProfile by effect: what the kernel says of the process from outside, and what it is denied inside.

Needs a kernel that enforces AppArmor, as the virtual machine of `make vm` has; skipped elsewhere.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lib import hostile
from tests.lib.box import Box, Outcome, refused, run
from tests.lib.bundle import Bundle
from tests.lib.exec_calls import Background, Detached, attached, inside, process_file, running
from tests.lib.exec_calls import refused as exec_refused
from tests.lib.namespaces import map_users
from tests.lib.ordinary_user import Person, PersonBox
from tests.lib.patience import deadline as scaled_deadline
from tests.lib.programs import runtime_name
from tests.lib.tripwire import Tripwire

ENABLED = Path("/sys/module/apparmor/parameters/enabled")
pytestmark = [
    pytest.mark.covers("process.apparmorProfile"),
    pytest.mark.skipif(
        not ENABLED.exists() or ENABLED.read_text()[:1] != "Y",
        reason="AppArmor is not enabled in this kernel: see `make vm`",
    ),
]

WALLS, OTHER = "pyruntime-test-walls", "pyruntime-test-other"
PROFILES = "".join(
    f"""
profile {name} flags=(attach_disconnected,mediate_deleted) {{
  file, network, capability, signal, ptrace, unix, mount, umount, pivot_root, change_profile,
  deny {denied} rwklx,
  deny {denied}/** rwklx,
}}
"""
    for name, denied in ((WALLS, "/forbidden"), (OTHER, "/other"))
)
NO_PRIVILEGES = [True, False]


def parser(*flags: str) -> None:
    words = ["apparmor_parser", "--skip-cache", *flags]
    subprocess.run(words, input=PROFILES.encode(), check=True, capture_output=True)


@pytest.fixture(scope="module", autouse=True)
def profiles(stage: None) -> Iterator[None]:
    parser("--replace")
    yield
    parser("--remove")


def furnish(bundle: Bundle) -> Bundle:
    """One file for each profile to deny, and a profile."""
    for directory in ("forbidden", "other"):
        bundle.dir(directory).file(f"{directory}/key", "x")
    return bundle.set("process.apparmorProfile", WALLS)


@pytest.fixture
def walled(bundle: Bundle) -> Bundle:
    return furnish(bundle)


def confinement(pid: int) -> str:
    """As the kernel tells it to the host."""
    return Path(f"/proc/{pid}/attr/current").read_text().strip()


LOOK = ("cat", "/forbidden/key", "--", "cat", "/other/key")


def denied(outcome: Outcome) -> list[str]:
    assert outcome.code == 0, str(outcome)
    return [line["errno"] for line in outcome.lines]


@pytest.mark.parametrize("no_new_privileges", NO_PRIVILEGES)
def test_create(walled: Bundle, no_new_privileges: bool) -> None:
    walled.set("process.noNewPrivileges", no_new_privileges)
    with Box(walled.inside(*LOOK, "--", "pause")) as box:
        box.create()
        assert confinement(box.pid) == "unconfined", "it takes effect with the program"
        box.start()
        box.expect("pause")
        assert confinement(box.pid) == f"{WALLS} (enforce)"
        assert [line["errno"] for line in box.lines[:2]] == ["EACCES", ""]


@pytest.mark.parametrize("no_new_privileges", NO_PRIVILEGES)
def test_run(walled: Bundle, no_new_privileges: bool) -> None:
    walled.set("process.noNewPrivileges", no_new_privileges)
    assert denied(run(walled.inside(*LOOK))) == ["EACCES", ""]


def test_without_a_pid_namespace(walled: Bundle) -> None:
    assert denied(run(walled.without_namespace("pid").inside(*LOOK))) == ["EACCES", ""]


def test_without_a_mount_namespace(walled: Bundle) -> None:
    """Paths of a profile are then those of the host, so only the kernel's word counts."""
    walled.set("mounts", []).without_namespace("mount")
    with running(walled) as box:
        assert confinement(box.pid) == f"{WALLS} (enforce)"


def test_in_a_user_namespace(mapped: Bundle) -> None:
    with running(furnish(mapped)) as box:
        assert confinement(box.pid) == f"{WALLS} (enforce)"
        assert denied(inside(box, *LOOK)) == ["EACCES", ""]


def test_in_a_time_namespace(walled: Bundle) -> None:
    """Of the other spawn shapes one without a user namespace."""
    assert denied(run(walled.namespace("time").inside(*LOOK))) == ["EACCES", ""]


def test_of_an_ordinary_user(person: Person) -> None:
    bundle = map_users(person.bundle().set("linux.cgroupsPath", None), person.maps)
    furnish(bundle).inside(*LOOK)
    with PersonBox(person.give(bundle), person) as box:
        assert denied(box.run()) == ["EACCES", ""]


# exec: the same walls, unless others are asked for


@pytest.mark.parametrize("no_new_privileges", NO_PRIVILEGES)
def test_a_process_that_joins(walled: Bundle, no_new_privileges: bool) -> None:
    with running(walled.set("process.noNewPrivileges", no_new_privileges)) as box:
        assert denied(inside(box, *LOOK)) == ["EACCES", ""]
        with Background(box, "ID", "/inside", "pause") as joined:
            joined.expect("pause")
            pids = [int(word) for word in children(box)]
            assert {confinement(pid) for pid in pids} == {f"{WALLS} (enforce)"}
            joined.send(15)
            joined.wait()


def children(box: Box) -> list[str]:
    """The host's numbers of all processes in the container's pid namespace."""
    own = Path(f"/proc/{box.pid}/ns/pid").readlink()
    return [
        entry.name
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and namespace(entry) == own
    ]


def namespace(entry: Path) -> Path | None:
    try:
        return (entry / "ns/pid").readlink()
    except OSError:
        return None


def test_a_detached_process(walled: Bundle) -> None:
    with running(walled) as box, Detached(box, "ID", "/inside", "pause") as joined:
        joined.expect("pause")
        assert confinement(joined.pid) == f"{WALLS} (enforce)"


def test_the_flag(walled: Bundle) -> None:
    with running(walled) as box:
        assert denied(inside(box, *LOOK, flags=("--apparmor", OTHER))) == ["", "EACCES"]
        assert denied(inside(box, *LOOK, flags=("--apparmor", "unconfined"))) == ["", ""]


def test_the_flag_without_a_profile_in_the_config(walled: Bundle) -> None:
    with running(walled.unset("process.apparmorProfile")) as box:
        assert confinement(box.pid) == "unconfined"
        assert denied(inside(box, *LOOK, flags=("--apparmor", OTHER))) == ["", "EACCES"]


@pytest.mark.parametrize("profile", [None, OTHER])
def test_a_process_file(walled: Bundle, profile: str | None) -> None:
    """One that says nothing has the container's."""
    process = {"cwd": "/", "args": ["/inside", *LOOK]}
    if profile:
        process["apparmorProfile"] = profile
    with running(walled) as box:
        outcome = attached(box, "--process", process_file(box, process), "ID")
        assert denied(outcome) == (["", "EACCES"] if profile else ["EACCES", ""])


# Names that are none


def test_unconfined(walled: Bundle) -> None:
    with running(walled.set("process.apparmorProfile", "unconfined")) as box:
        assert confinement(box.pid) == "unconfined"


@pytest.mark.parametrize("where", ["create", "exec"])
def test_a_profile_that_is_not_loaded(walled: Bundle, where: str) -> None:
    """Podman recognises it by the file in backquotes."""
    if where == "create":
        message = refused(walled.set("process.apparmorProfile", "pyruntime-test-none"))
    else:
        with running(walled) as box:
            message = exec_refused(box, "--apparmor", "pyruntime-test-none", "ID", "/inside", "ids")
    assert "apparmor failed to apply profile" in message and "no such file or directory" in message
    if runtime_name() == "pyruntime":
        assert "`/proc/self/attr/apparmor/exec`" in message
        assert "/process/apparmorProfile" in message and "apparmor_parser" in message


# nothing of the image or of a volume stands between the profile and the kernel

FAKE: hostile.Tree = {
    name: {"attr": {"exec": "", "current": "", "apparmor": {"exec": "", "current": ""}}}
    for name in ("self", "thread-self", "1")
}


def test_an_image_with_files_of_its_own_in_proc(walled: Bundle) -> None:
    mounts = [mount for mount in walled.get("mounts") if mount["destination"] != "/proc"]
    hostile.build(walled.rootfs / "proc", FAKE)
    with Tripwire(walled.rootfs / "proc"), Box(walled.set("mounts", mounts).inside("pause")) as box:
        box.create()
        box.start()
        box.expect("pause")
        assert confinement(box.pid) == f"{WALLS} (enforce)"


def test_a_volume_over_it(walled: Bundle, tmp_path: Path) -> None:
    """Refused, and where the kernel's own tree is bound in its place the profile is in force all the same."""
    fake = hostile.build(tmp_path / "fake", FAKE)
    with Tripwire(fake):
        refused(walled.bind(fake, "/proc/self/attr"))
    walled.get("mounts").pop()
    walled.bind("/proc", "/host").bind(fake / "self", "/host/self")
    with Tripwire(fake):
        outcome = run(walled.inside(*LOOK))
        assert outcome.code != 0 or denied(outcome) == ["EACCES", ""]


@pytest.mark.slow
def test_a_race(walled: Bundle) -> None:
    """/proc of the image is a directory and a link to a false one in turn: a container that runs is confined."""
    hostile.build(walled.rootfs, {"fake": FAKE, "proclink": hostile.Link("/fake"), "proc": {}})
    end = scaled_deadline(2)
    ran = count = 0
    swapping = hostile.Swapping(walled.rootfs / "proc", walled.rootfs / "proclink")
    with Tripwire(walled.rootfs / "fake"), swapping:
        while time.monotonic() < end or not ran:
            count += 1
            outcome = run(walled.inside(*LOOK))
            if outcome.code == 0:
                ran += 1
                assert denied(outcome) == ["EACCES", ""], str(outcome)
            assert count < 200
    assert ran


def test_a_hook_in_the_container_is_confined_too(walled: Bundle) -> None:
    """What was written for the next execve is inherited by a clone."""
    walled.shell("true").hook("startContainer", "/bin/cat", "/forbidden/key")
    outcome = run(walled)
    assert outcome.code != 0 and "permission denied" in outcome.message.lower()
