"""process.capabilities: five sets, exactly as given (R-17)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.lib import programs
from tests.lib.box import Box, Outcome, report, run
from tests.lib.bundle import Bundle
from tests.lib.facts import Facts

pytestmark = pytest.mark.covers(
    "process.capabilities.bounding",
    "process.capabilities.permitted",
    "process.capabilities.inheritable",
    "process.capabilities.ambient",
)

SETS = ("bounding", "effective", "permitted", "inheritable", "ambient")
SOME = ["CAP_CHOWN", "CAP_KILL", "CAP_NET_BIND_SERVICE"]


def sets(facts: Facts) -> dict[str, set[str]]:
    return {kind: facts.capabilities(kind) for kind in SETS}


def given(**values: list[str]) -> dict[str, Any]:
    return dict(values)


@pytest.mark.parametrize("new_privileges", [True, False])
@pytest.mark.parametrize("capabilities", [None, {}])
def test_without_capabilities_even_root_has_none(
    bundle: Bundle, capabilities: dict[str, Any] | None, new_privileges: bool
) -> None:
    if capabilities is not None:
        bundle.set("process.capabilities", capabilities)
    seen = sets(report(bundle.set("process.noNewPrivileges", not new_privileges)))
    assert all(not names for names in seen.values()), seen


@pytest.mark.parametrize("no_new_privileges", [True, False])
def test_root_has_exactly_the_sets_given(bundle: Bundle, no_new_privileges: bool) -> None:
    bundle.set("process.capabilities", given(bounding=SOME, effective=SOME[:2], permitted=SOME))
    seen = sets(report(bundle.set("process.noNewPrivileges", no_new_privileges)))
    assert seen["bounding"] == set(SOME)
    assert seen["permitted"] == set(SOME)
    assert seen["inheritable"] == set() and seen["ambient"] == set()


@pytest.mark.covers("process.capabilities.effective")
def test_the_effective_set_is_there_until_the_program_is_executed(bundle: Bundle) -> None:
    """execve makes root's own of the permitted ones: only startContainer hooks and the wait for start have it."""
    bundle.set("process.capabilities", given(bounding=SOME, permitted=SOME, effective=SOME[:1]))
    with Box(bundle) as box:
        box.create()
        lines = Path(f"/proc/{box.pid}/status").read_text().splitlines()
        seen = {name: int(value, 16) for name, value in (line.split(":\t", 1) for line in lines if line.startswith("Cap"))}  # fmt: skip
        assert seen["CapEff"] == 1 << 0, "CAP_CHOWN"
        assert seen["CapPrm"] == seen["CapBnd"] == 1 << 0 | 1 << 5 | 1 << 10


def test_a_plain_user_keeps_none_across_exec(bundle: Bundle) -> None:
    bundle.set("process.capabilities", given(bounding=SOME, effective=SOME, permitted=SOME))
    seen = sets(report(bundle.set("process.user", {"uid": 1000, "gid": 1000})))
    assert seen == {"bounding": set(SOME), **{kind: set() for kind in SETS[1:]}}


def test_ambient_capabilities_reach_a_plain_user(bundle: Bundle) -> None:
    bundle.set("process.capabilities", dict.fromkeys(SETS, SOME))
    seen = sets(report(bundle.set("process.user", {"uid": 1000, "gid": 1000})))
    assert seen == {kind: set(SOME) for kind in SETS}


def test_inheritable_is_only_what_was_asked_for(bundle: Bundle) -> None:
    """CVE-2022-24769, CVE-2022-29162, CVE-2025-27612."""
    one = ["CAP_CHOWN"]
    bundle.set(
        "process.capabilities",
        given(bounding=SOME, effective=SOME, permitted=SOME, inheritable=one),
    )
    seen = sets(report(bundle))
    assert seen["inheritable"] == set(one) and seen["ambient"] == set()


def test_ambient_without_inheritable_is_dropped_not_fatal(bundle: Bundle) -> None:
    """`runc spec` 1.1 itself writes such configs: they run, with CapAmb 0."""
    bundle.set(
        "process.capabilities", given(bounding=SOME, effective=SOME, permitted=SOME, ambient=SOME)
    )
    outcome = told(bundle.set("process.user", {"uid": 1000, "gid": 0}))
    assert sets(outcome.facts)["ambient"] == set(), str(outcome)
    if programs.runtime_name() == "pyruntime":
        for name in SOME:
            assert f"ambient capability {name}: not permitted and inheritable" in outcome.err
        assert outcome.err.count("level=warning") == len(SOME), str(outcome)


def told(bundle: Bundle) -> Outcome:
    """With the log on stderr: engines' JSON logs are spared warnings."""
    with Box(bundle) as box:
        bundle.write(box.id)
        outcome = box.bare(
            "--root", str(box.root), "run", "--bundle", str(bundle.directory), box.id
        )
        assert outcome.code == 0, str(outcome)
        return outcome


@pytest.mark.parametrize(
    ("kind", "other"), [("effective", "permitted"), ("inheritable", "bounding")]
)
def test_what_cannot_be_granted_is_dropped_not_fatal(bundle: Bundle, kind: str, other: str) -> None:
    """The kernel grants it only beside the other set; config.md: runtimes SHOULD NOT fail."""
    given_sets = {"bounding": SOME, "permitted": SOME, kind: SOME, other: SOME[:1]}
    outcome = told(bundle.set("process.capabilities", given_sets))
    assert "level=warning" in outcome.err, str(outcome)
    assert f"not {other}: {' '.join(SOME[1:])}" in outcome.err
    assert outcome.facts.capabilities("inheritable") <= set(SOME[:1])


def test_an_unknown_name_is_a_warning(bundle: Bundle) -> None:
    bundle.capabilities(*SOME, "CAP_NOPE")
    outcome = run(bundle)
    assert outcome.code == 0, str(outcome)
    assert outcome.facts.capabilities("bounding") == set(SOME)


def test_a_set_id_program_gains_nothing_with_no_new_privileges(bundle: Bundle) -> None:
    bundle.inside("tryexec", "/inside", "ids")
    (bundle.rootfs / "inside").chmod(0o4755)
    bundle.set("process.user", {"uid": 1000, "gid": 1000}).capabilities(*SOME)
    with Box(bundle) as box:
        box.create()
        box.start()
        box.wait()
        seen = box.expect("ids")
    assert seen["uid"] == [1000] * 3
    assert int(seen["caps"]["effective"], 16) == 0


@pytest.mark.parametrize("uid", [0, 1000])
@pytest.mark.parametrize("no_new_privileges", [True, False])
def test_never_the_callers_capabilities(bundle: Bundle, uid: int, no_new_privileges: bool) -> None:
    bundle.set("process.capabilities", given(bounding=[], effective=[], permitted=[]))
    bundle.set("process.user", {"uid": uid, "gid": 0}).set(
        "process.noNewPrivileges", no_new_privileges
    )
    assert all(not names for names in sets(report(bundle)).values())
