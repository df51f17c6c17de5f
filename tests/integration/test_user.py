"""process.user: uid, gid, additionalGids (R-16)."""

from __future__ import annotations

import os

import pytest

from tests.lib.box import refused, report
from tests.lib.bundle import Bundle

pytestmark = pytest.mark.covers(
    "process.user.uid", "process.user.gid", "process.user.additionalGids"
)

IDS = [
    (0, 0, []),
    (1000, 1000, []),
    (0, 5, [1, 2, 3]),
    (2147483647, 2147483647, [7]),
    (1000, 0, [0, 1000]),
]


@pytest.mark.parametrize(("uid", "gid", "groups"), IDS)
def test_ids_are_exactly_those_given(bundle: Bundle, uid: int, gid: int, groups: list[int]) -> None:
    facts = report(bundle.set("process.user", {"uid": uid, "gid": gid, "additionalGids": groups}))
    assert facts.uid == [uid] * 3
    assert facts.gid == [gid] * 3
    assert sorted(set(facts.groups) - {gid}) == sorted(set(groups) - {gid})


def test_no_groups_of_the_caller_stay(bundle: Bundle) -> None:
    facts = report(bundle.set("process.user", {"uid": 1000, "gid": 1000}))
    assert set(facts.groups) <= {1000}


@pytest.mark.parametrize("word", ["1", "0"])
def test_groups_of_the_caller_stay_on_request(bundle: Bundle, word: str) -> None:
    """crun's annotation; Podman sets it for --group-add keep-groups."""
    bundle.set("annotations", {"run.oci.keep_original_groups": word})
    bundle.set("process.user", {"uid": 1000, "gid": 1000})
    facts = report(bundle, prepare=lambda: os.setgroups([4321, 5432]))
    assert set(facts.groups) - {1000} == ({4321, 5432} if word == "1" else set())


def test_many_groups(bundle: Bundle) -> None:
    wanted = list(range(100, 400))
    facts = report(bundle.set("process.user", {"uid": 1, "gid": 1, "additionalGids": wanted}))
    assert set(facts.groups) - {1} == set(wanted)


@pytest.mark.parametrize("number", [2147483648, 4294967295, 4294967296, -1])
@pytest.mark.parametrize("member", ["uid", "gid", "additionalGids"])
def test_ids_that_mean_something_else_to_the_kernel_are_refused(
    bundle: Bundle, member: str, number: int
) -> None:
    """-1 is "leave as it is" to setresuid: the program would stay root."""
    user: dict[str, object] = {"uid": 1, "gid": 1}
    user[member] = [number] if member == "additionalGids" else number
    refused(bundle.set("process.user", user))


def test_missing_user_is_root(bundle: Bundle) -> None:
    facts = report(bundle.unset("process.user").set("process.user", {"uid": 0, "gid": 0}))
    assert facts.uid == [0, 0, 0]


def test_stdio_belongs_to_the_user(bundle: Bundle) -> None:
    """Pipes are handed to the container's user, so that it can reopen /dev/stdout."""
    facts = report(bundle.set("process.user", {"uid": 1000, "gid": 1000}))
    out = facts.fd(1)
    assert out is not None and out["type"] == "fifo" and out["uid"] == 1000
