"""linux.memoryPolicy: the NUMA policy of the process as get_mempolicy(2) tells it (config-linux.md, Memory policy).

Node 0 is the one node that every machine with NUMA has.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.lib.box import Box, refused, report
from tests.lib.bundle import Bundle
from tests.lib.exec_calls import report as exec_report
from tests.lib.exec_calls import running
from tests.lib.ordinary_user import Person, PersonBox, rootless

pytestmark = [
    pytest.mark.covers(
        "linux.memoryPolicy.mode", "linux.memoryPolicy.nodes", "linux.memoryPolicy.flags"
    ),
    pytest.mark.skipif(
        not Path("/sys/devices/system/node/node0").exists(), reason="a kernel without NUMA"
    ),
]

MODES = {
    "MPOL_PREFERRED": 1,
    "MPOL_BIND": 2,
    "MPOL_INTERLEAVE": 3,
    "MPOL_LOCAL": 4,
    "MPOL_PREFERRED_MANY": 5,
    "MPOL_WEIGHTED_INTERLEAVE": 6,
}
STATIC, BALANCING = 1 << 15, 1 << 13


def with_policy(bundle: Bundle, mode: str, nodes: str = "", *flags: str) -> Bundle:
    policy: dict[str, Any] = {"mode": mode, "nodes": nodes, "flags": list(flags)}
    return bundle.set("linux.memoryPolicy", policy)


def knows(mode: str) -> bool:
    release = Path("/proc/sys/kernel/osrelease").read_text().split(".")
    return mode != "MPOL_WEIGHTED_INTERLEAVE" or (int(release[0]), int(release[1])) >= (6, 9)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", ["bundle", "mapped"])
def test_modes(request: pytest.FixtureRequest, kind: str, mode: str) -> None:
    nodes = "" if mode == "MPOL_LOCAL" else "0"
    bundle = with_policy(request.getfixturevalue(kind), mode, nodes)
    if not knows(mode):
        assert "came with Linux 6.9" in refused(bundle)
        return
    wanted = {"mode": MODES[mode], "nodes": [0] if nodes else []}
    assert report(bundle).mempolicy == wanted


def test_flags(bundle: Bundle) -> None:
    with_policy(bundle, "MPOL_BIND", "0", "MPOL_F_STATIC_NODES", "MPOL_F_NUMA_BALANCING")
    assert report(bundle).mempolicy == {"mode": 2 | STATIC | BALANCING, "nodes": [0]}


def test_without_nodes_the_preferred_one_is_local(bundle: Bundle) -> None:
    """The kernel says so too: its mode is that of MPOL_LOCAL."""
    assert report(with_policy(bundle, "MPOL_PREFERRED")).mempolicy == {"mode": 4, "nodes": []}


def test_the_default_is_one_to_ask_for(bundle: Bundle) -> None:
    with Box(with_policy(bundle, "MPOL_DEFAULT")) as box:
        assert box.run(check=True).facts.mempolicy == {"mode": 0, "nodes": []}


@pytest.mark.parametrize(
    ("policy", "place"),
    [
        (("MPOL_LOCAL", "0"), "nodes"),
        (("MPOL_DEFAULT", "0"), "nodes"),
        (("MPOL_BIND", ""), "nodes"),
        (("MPOL_INTERLEAVE", "0-"), "nodes"),
        (("MPOL_NONE", ""), "mode"),
        (("MPOL_BIND", "0", "MPOL_F_NONE"), "flags/0"),
        (("MPOL_BIND", "0", "MPOL_F_STATIC_NODES", "MPOL_F_RELATIVE_NODES"), "flags"),
    ],
)
def test_what_makes_no_sense_is_refused(
    bundle: Bundle, policy: tuple[str, ...], place: str
) -> None:
    assert f"/linux/memoryPolicy/{place}" in refused(with_policy(bundle, *policy))


def test_a_policy_without_a_mode(bundle: Bundle) -> None:
    assert "/linux/memoryPolicy" in refused(bundle.set("linux.memoryPolicy", {}))


def test_nodes_that_are_not_there(bundle: Bundle) -> None:
    message = refused(with_policy(bundle, "MPOL_BIND", "1023"))
    assert "MPOL_BIND 1023 (/linux/memoryPolicy): invalid argument" in message


def test_a_late_process_has_the_containers(bundle: Bundle) -> None:
    with running(with_policy(bundle, "MPOL_INTERLEAVE", "0")) as box:
        assert exec_report(box).mempolicy == {"mode": 3, "nodes": [0]}


def test_an_ordinary_user_may_as_well(person: Person) -> None:
    bundle = rootless(with_policy(person.bundle(), "MPOL_BIND", "0"), person, person.maps)
    with PersonBox(bundle, person) as box:
        assert box.run(check=True).facts.mempolicy == {"mode": 2, "nodes": [0]}


def test_features_tells_of_them(bundle: Bundle) -> None:
    with Box(bundle) as box:
        told = json.loads(box.bare("features").out)["linux"]["memoryPolicy"]
    assert set(told["modes"]) == {*MODES, "MPOL_DEFAULT"}
    assert len(told["flags"]) == 3
