"""process.noNewPrivileges and process.oomScoreAdj, and the session keyring."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lib import programs
from tests.lib.box import Box, refused, report
from tests.lib.bundle import Bundle

pytestmark = pytest.mark.covers("process.noNewPrivileges", "process.oomScoreAdj")


@pytest.mark.parametrize(("value", "seen"), [(True, 1), (False, 0), (None, 0)])
def test_no_new_privileges(bundle: Bundle, value: bool | None, seen: int) -> None:
    bundle.unset("process.noNewPrivileges")
    if value is not None:
        bundle.set("process.noNewPrivileges", value)
    assert report(bundle).no_new_privs == seen


def own_score() -> int:
    return int(Path("/proc/self/oom_score_adj").read_text())


@pytest.mark.parametrize("value", [1, 500, 1000])
def test_oom_score_adj_is_raised(bundle: Bundle, value: int) -> None:
    facts = report(bundle.set("process.oomScoreAdj", value))
    assert int(facts.files["/proc/self/oom_score_adj"]) == value


def test_oom_score_adj_unset_is_left_alone(bundle: Bundle) -> None:
    assert int(report(bundle).files["/proc/self/oom_score_adj"]) == own_score()


def test_oom_score_adj_zero_is_written_too(bundle: Bundle) -> None:
    """containerd's shim runs at 1 and asks for 0: a container that keeps 1 is killed too early."""

    def raised() -> None:
        Path("/proc/self/oom_score_adj").write_text("1")

    if own_score() != 0:
        raise AssertionError("this test expects to run at oom_score_adj 0")
    facts = report(bundle.set("process.oomScoreAdj", 0), prepare=raised)
    assert int(facts.files["/proc/self/oom_score_adj"]) == 0


@pytest.mark.parametrize("value", [-1001, 1001])
def test_oom_score_adj_that_is_none(bundle: Bundle, value: int) -> None:
    message = refused(bundle.set("process.oomScoreAdj", value))
    assert "oom_score_adj" in message
    if programs.runtime_name() == "pyruntime":
        assert f"to {value} (/process/oomScoreAdj): invalid argument" in message


def test_a_session_keyring_of_its_own(bundle: Bundle) -> None:
    with Box(bundle) as box:
        facts = box.run(check=True).facts
        assert facts.keyring_name.endswith(f"_ses.{box.id}")


def test_no_new_keyring(bundle: Bundle) -> None:
    with Box(bundle) as box:
        facts = box.run("--no-new-keyring", check=True).facts
        assert box.id not in (facts.keyring_name or "")
