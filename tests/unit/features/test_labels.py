"""AppArmor profiles and SELinux labels as data: where they are written, when, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from pyruntime.errors import StepError, UnsupportedError
from pyruntime.kernel.native import lib
from pyruntime.plan import moments
from pyruntime.plan.step import Step
from tests.lib.plans import Plan, executed, findings, planned, spec, words

PROFILE = "containers-default-0.50.1"
LABEL = "system_u:system_r:container_t:s0:c1,c2"
RULES = lib.RESOLVE_BENEATH | lib.RESOLVE_NO_XDEV | lib.RESOLVE_NO_MAGICLINKS
POINTER = {"apparmorProfile": "/process/apparmorProfile", "selinuxLabel": "/process/selinuxLabel"}


def process(**members: Any) -> dict[str, Any]:
    document = spec()
    document["process"] |= members
    return document


def written(step: Step) -> tuple[str, bytes]:
    """(path beneath our procfs, what goes there), of a step that does nothing else."""
    names = [words(op) for op in step.ops]
    assert [name[0] for name in names] == ["openat2", "SET", "write", "EXPECT", "close"]
    opened, _, wrote, expected, _ = names
    assert opened[3][2] == RULES and opened[3][0] & 3 == lib.O_WRONLY
    assert wrote[3] == len(wrote[2]) == expected[4], "all of it, or an error"
    return opened[2], wrote[2]


def steps(plan: Plan, moment: int) -> list[tuple[str, bytes]]:
    return [written(step) for step in plan.at(moment)]


def test_a_profile() -> None:
    plan = planned(process(apparmorProfile=PROFILE), apparmor=True)
    assert steps(plan, moments.LABEL) == [
        ("self/attr/apparmor/exec", f"exec {PROFILE}".encode()),
    ]
    assert plan.at(moments.PROCFS), "through a procfs of our own"
    assert words(plan.at(moments.LABEL)[0].ops[0])[1] == "<procfs>"


def test_a_label_of_process_and_keyring() -> None:
    plan = planned(process(selinuxLabel=LABEL), selinux=True)
    assert steps(plan, moments.LABEL) == [("self/attr/exec", LABEL.encode())]
    session = [step for step in plan.at(moments.SESSION) if step.pointer]
    assert written(session[0]) == ("self/attr/keycreate", LABEL.encode())
    texts = [step.text for step in plan.at(moments.SESSION)]
    assert texts.index(session[0].text) < texts.index("new session keyring")
    assert not [
        step
        for step in planned(process(selinuxLabel=LABEL), selinux=True, new_keyring=False).steps
        if "keycreate" in step.text
    ]


def test_the_place_in_the_order() -> None:
    """The keyring's label needs a procfs; the exec label is written while there still is one, by a privileged
    process without a filter, and before the clone of `exec`, which inherits it."""
    assert moments.CLONE < moments.PROCFS < moments.SESSION
    assert moments.HOOKS_CONTAINER < moments.PIVOT < moments.LABEL < moments.SWEEP
    assert moments.SWEEP < moments.LATE_CLONE < moments.CREDENTIALS < moments.SECCOMP


def test_a_process_that_joins() -> None:
    """Through the host's procfs, lent: `self` is whoever reads it, there too."""
    made = executed(
        process(apparmorProfile=PROFILE, selinuxLabel=LABEL), apparmor=True, selinux=True
    )
    found = [step for step in made if step.moment == moments.LABEL]
    assert [written(step)[0] for step in found] == ["self/attr/apparmor/exec", "self/attr/exec"]
    assert isinstance(words(found[0].ops[0])[1], int)
    assert [step for step in made if step.text == "open the host's procfs"]
    label = spec(linux__mountLabel=LABEL)
    assert executed(label) and executed(label, selinux=True), "its mounts are made"


@pytest.mark.parametrize("enabled", [True, False])
def test_unconfined(enabled: bool) -> None:
    plan = planned(process(apparmorProfile="unconfined"), apparmor=enabled)
    wanted = [("self/attr/apparmor/exec", b"exec unconfined")] if enabled else []
    assert steps(plan, moments.LABEL) == wanted


@pytest.mark.parametrize("members", [{"apparmorProfile": ""}, {"selinuxLabel": ""}])
def test_nothing_asked_for(members: dict[str, str]) -> None:
    plan = planned(process(**members))
    assert not plan.at(moments.LABEL) and not plan.at(moments.PROCFS)


@pytest.mark.parametrize("name", POINTER)
def test_asked_for_and_not_there(name: str) -> None:
    """runc's words."""
    wanted = {
        "apparmorProfile": "apparmor: config provided but apparmor not supported",
        "selinuxLabel": "selinux label is specified in config, but selinux is disabled or not supported",
    }
    other = {"apparmorProfile": "selinux", "selinuxLabel": "apparmor"}[name]
    with pytest.raises(UnsupportedError, match=wanted[name]) as caught:
        planned(process(**{name: "x"}), **{other: True})
    assert POINTER[name] in str(caught.value)
    with pytest.raises(UnsupportedError, match=wanted[name]):
        executed(process(**{name: "x"}))


@pytest.mark.parametrize("name", POINTER)
@pytest.mark.parametrize("text", ["a\0b", "a\n", "a\x7f", "\tb"])
def test_what_no_label_is(name: str, text: str) -> None:
    assert set(findings(process(**{name: text}))) == {POINTER[name]}
    assert set(findings(spec(linux__mountLabel=text))) == {"/linux/mountLabel"}
    assert not findings(process(**{name: "a profile: with, words"}))


@pytest.mark.parametrize("number", [2, 13])
def test_a_failure_says_which_file(number: int) -> None:
    """Podman looks for `/proc/…/attr/…exec` in backquotes, the last ones of the line."""
    plan = planned(
        process(apparmorProfile=PROFILE, selinuxLabel=LABEL), apparmor=True, selinux=True
    )
    first, second = plan.at(moments.LABEL)
    assert first.failure is not None
    error = first.failure(number, b"")
    assert isinstance(error, StepError)
    assert "unable to apply apparmor profile: apparmor failed to apply profile" in error.message
    assert error.message.split("`")[-2] == "/proc/self/attr/apparmor/exec"
    assert (error.hint is not None and "apparmor_parser" in error.hint) == (number == 2)
    assert second.text.split("`")[-2] == "/proc/self/attr/exec"


# linux.mountLabel

KINDS = [
    ("tmpfs", True), ("devpts", True), ("ext4", True), ("overlay", True), ("proc", False), ("sysfs", False),
    ("mqueue", False),
]  # fmt: skip


def mounted(kind: str, *options: str, where: str = "/d") -> Plan:
    entry = {"destination": where, "type": kind, "source": "s", "options": list(options)}
    document = spec(mounts=[entry], linux__mountLabel=LABEL)
    return planned(document, selinux=True)


@pytest.mark.parametrize(("kind", "labelled"), KINDS)
def test_new_file_systems_are_made_with_it(kind: str, labelled: bool) -> None:
    calls = mounted(kind).named("/mounts/0", "fsconfig")
    values = {call[2]: call[3] for call in calls if len(call) > 3}
    assert values.get("context") == (LABEL if labelled else None), "a value of its own, unquoted"


def test_mqueue_is_labelled_after_it_was_made() -> None:
    calls = mounted("mqueue").named("/mounts/0", "fsetxattr")
    assert calls == [("<labelled>", "security.selinux", LABEL.encode(), len(LABEL), 0)]


def test_a_label_beside_a_long_option() -> None:
    call = mounted("overlay", "lowerdir=" + "x" * 300).named("/mounts/0", "mount")[0]
    assert call[4].endswith(f',context="{LABEL}"')
    assert '"' not in LABEL and "/linux/mountLabel" in findings(spec(linux__mountLabel='a",b="'))


@pytest.mark.parametrize("own", ["context=a", "fscontext=a", "rootcontext=a", "defcontext=a"])
def test_the_word_of_the_mount_itself_goes_first(own: str) -> None:
    calls = mounted("tmpfs", own).named("/mounts/0", "fsconfig")
    assert LABEL not in [call[3] for call in calls if len(call) > 3]


def test_binds_keep_their_labels() -> None:
    entry = {"destination": "/d", "source": "/s", "options": ["rbind"]}
    plan = planned(spec(mounts=[entry], linux__mountLabel=LABEL), selinux=True)
    assert not plan.named("/mounts/0", "fsconfig", "fsetxattr")


def test_masks_have_it() -> None:
    document = spec(linux__mountLabel=LABEL, linux__maskedPaths=["/x"])
    calls = planned(document, selinux=True).named("/linux/maskedPaths", "fsconfig")
    assert LABEL in [call[3] for call in calls if len(call) > 3]


def test_a_mount_label_without_selinux() -> None:
    with pytest.raises(UnsupportedError, match="/linux/mountLabel"):
        planned(spec(linux__mountLabel=LABEL))
