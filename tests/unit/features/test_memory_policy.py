"""linux.memoryPolicy as data: modes, flags, nodes."""

from __future__ import annotations

from typing import Any

import pytest

from pyruntime import features
from pyruntime.errors import StepError
from pyruntime.features import memory_policy
from pyruntime.plan import moments
from tests.lib.plans import executed, findings, planned, spec, words

POINTER = "/linux/memoryPolicy"
# linux/mempolicy.h: an enum that grows at its end.
NUMBERS = {
    "MPOL_DEFAULT": 0, "MPOL_PREFERRED": 1, "MPOL_BIND": 2, "MPOL_INTERLEAVE": 3, "MPOL_LOCAL": 4,
    "MPOL_PREFERRED_MANY": 5, "MPOL_WEIGHTED_INTERLEAVE": 6}  # fmt: skip
NODELESS = {"MPOL_DEFAULT", "MPOL_LOCAL"}


def document(mode: str, nodes: str | None = None, *flags: str) -> dict[str, Any]:
    policy: dict[str, Any] = {"mode": mode}
    if nodes is not None:
        policy["nodes"] = nodes
    if flags:
        policy["flags"] = list(flags)
    return spec(linux__memoryPolicy=policy)


def calls(made: dict[str, Any]) -> list[tuple[Any, ...]]:
    return planned(made).calls(POINTER, moments.EXECUTION)


@pytest.mark.parametrize("mode", NUMBERS)
def test_every_mode(mode: str) -> None:
    made = document(mode, "" if mode in NODELESS else "0,65")
    assert findings(made) == {}
    mask = (1 | 1 << 65).to_bytes(16, "little")
    room = (0, 0) if mode in NODELESS else (mask, 129)
    assert calls(made) == [("set_mempolicy", NUMBERS[mode], *room)]


def test_flags_are_bits_above_the_mode() -> None:
    made = document("MPOL_BIND", "0", "MPOL_F_STATIC_NODES", "MPOL_F_NUMA_BALANCING")
    assert findings(made) == {}
    assert calls(made)[0][1] == 2 | 1 << 15 | 1 << 13
    made = document("MPOL_INTERLEAVE", "0-3", "MPOL_F_RELATIVE_NODES")
    assert calls(made)[0][1] == 3 | 1 << 14


@pytest.mark.parametrize("mode", NUMBERS)
@pytest.mark.parametrize("nodes", [None, "", " ", "0"])
def test_which_modes_have_nodes(mode: str, nodes: str | None) -> None:
    given = nodes == "0"
    wrong = given if mode in NODELESS else not given and mode != "MPOL_PREFERRED"
    assert list(findings(document(mode, nodes))) == [f"{POINTER}/nodes"] * wrong


@pytest.mark.parametrize("nodes", ["x", "1-", "0,,1", "café", "99999"])
def test_what_is_no_list_of_nodes(nodes: str) -> None:
    assert list(findings(document("MPOL_BIND", nodes))) == [f"{POINTER}/nodes"]


def test_two_flags_exclude_each_other() -> None:
    made = document("MPOL_BIND", "0", "MPOL_F_STATIC_NODES", "MPOL_F_RELATIVE_NODES")
    assert list(findings(made)) == [f"{POINTER}/flags"]


def test_of_an_exec() -> None:
    steps = [step for step in executed(document("MPOL_LOCAL")) if step.pointer == POINTER]
    assert [words(op) for step in steps for op in step.ops] == [("set_mempolicy", 4, 0, 0)]
    assert steps[0].moment > moments.LATE_CLONE, "of the process itself, after its clone"


def test_why_it_failed() -> None:
    (step,) = planned(document("MPOL_WEIGHTED_INTERLEAVE", "9")).of(POINTER)
    assert step.failure is not None
    error = step.failure(22, b"")
    assert isinstance(error, StepError) and "6.9" in str(error.hint)
    assert error.message == (
        "set the memory policy MPOL_WEIGHTED_INTERLEAVE 9 (/linux/memoryPolicy): invalid argument"
    )
    assert "NUMA" in str(getattr(step.failure(38, b""), "hint", None))


def test_the_features_document() -> None:
    """features-linux.md: the runtime must take what it lists."""
    told = features.report()["linux"]["memoryPolicy"]
    assert set(told["modes"]) == set(NUMBERS)
    assert set(told["flags"]) == set(memory_policy.FLAGS)
