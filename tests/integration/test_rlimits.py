"""process.rlimits: the sixteen of them. This machine may lack CAP_SYS_RESOURCE, so limits only go down."""

from __future__ import annotations

import resource

import pytest

from tests.lib.box import refused, report
from tests.lib.bundle import Bundle

pytestmark = pytest.mark.covers("process.rlimits")

NAMES = (
    "CPU FSIZE DATA STACK CORE RSS NPROC NOFILE MEMLOCK AS LOCKS SIGPENDING MSGQUEUE NICE RTPRIO RTTIME"
).split()


def lower(number: int) -> tuple[int, int]:
    """A soft and a hard value that are within what the caller may set."""
    hard = resource.getrlimit(number)[1]
    top = 1 << 40 if hard == resource.RLIM_INFINITY else hard
    return top // 2, max(top - 1, 0) if top > 1 else top


@pytest.mark.parametrize("name", NAMES)
def test_each_limit(bundle: Bundle, name: str) -> None:
    soft, hard = lower(NAMES.index(name))
    bundle.set("process.rlimits", [{"type": f"RLIMIT_{name}", "soft": soft, "hard": hard}])
    assert report(bundle).rlimits[name] == [soft, hard]


def test_all_limits_at_once(bundle: Bundle) -> None:
    limits = {name: list(lower(number)) for number, name in enumerate(NAMES)}
    entries = [{"type": f"RLIMIT_{name}", "soft": s, "hard": h} for name, (s, h) in limits.items()]
    assert report(bundle.set("process.rlimits", entries)).rlimits == limits


def test_limits_that_are_too_small_for_the_set_up_itself(bundle: Bundle) -> None:
    """Rlimits come last: a tiny NOFILE or FSIZE must not break what comes before the program."""
    small = {"NOFILE": 3, "FSIZE": 0, "NPROC": 1, "MSGQUEUE": 0, "CORE": 0}
    entries = [{"type": f"RLIMIT_{name}", "soft": n, "hard": n} for name, n in small.items()]
    facts = report(bundle.set("process.rlimits", entries))
    assert {name: facts.rlimits[name][0] for name in small} == small


def test_unlimited(bundle: Bundle) -> None:
    assert resource.getrlimit(resource.RLIMIT_CORE)[1] == resource.RLIM_INFINITY
    bundle.set("process.rlimits", [{"type": "RLIMIT_CORE", "soft": 2**64 - 1, "hard": 2**64 - 1}])
    assert report(bundle).rlimits["CORE"] == [-1, -1]


def test_limits_not_mentioned_are_the_callers(bundle: Bundle) -> None:
    facts = report(bundle)
    for number, name in enumerate(NAMES):
        soft, hard = resource.getrlimit(number)
        assert facts.rlimits[name] == [soft, hard], name


def test_an_unknown_type_is_refused(bundle: Bundle) -> None:
    message = refused(
        bundle.set("process.rlimits", [{"type": "RLIMIT_NOPE", "soft": 1, "hard": 1}])
    )
    assert "RLIMIT_NOPE" in message


def test_a_duplicate_type_is_refused(bundle: Bundle) -> None:
    entry = {"type": "RLIMIT_CORE", "soft": 1, "hard": 1}
    refused(bundle.set("process.rlimits", [entry, {**entry, "soft": 0}]))


def test_soft_above_hard_is_refused(bundle: Bundle) -> None:
    refused(bundle.set("process.rlimits", [{"type": "RLIMIT_CORE", "soft": 2, "hard": 1}]))
