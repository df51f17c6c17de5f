"""hooks: one that takes longer than its timeout is killed, and counts as failed."""

from __future__ import annotations

import time

import pytest

from tests.lib import leaks
from tests.lib.box import Box, refused
from tests.lib.bundle import Bundle
from tests.lib.patience import since


def shell(bundle: Bundle, kind: str, script: str) -> Bundle:
    return bundle.hook(kind, "/bin/sh", "-c", script, timeout=1)


@pytest.mark.covers(
    "hooks.prestart.timeout", "hooks.createRuntime.timeout", "hooks.createContainer.timeout"
)
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["prestart", "createRuntime", "createContainer"])
def test_a_hook_past_its_timeout_is_killed(bundle: Bundle, kind: str) -> None:
    begun = time.monotonic()
    message = refused(shell(bundle, kind, "trap '' TERM; exec sleep 60"))
    assert time.monotonic() - begun > 0.9 and since(begun) < 5
    assert "timeout" in message
    assert not any("sleep 60" in leaks.describe_process(pid) for pid in leaks.children())


@pytest.mark.covers("hooks.startContainer.timeout")
@pytest.mark.slow
def test_a_hook_past_its_timeout_inside(bundle: Bundle) -> None:
    bundle.hook("startContainer", "/inside", "pause", timeout=1)
    with Box(bundle) as box:
        box.create()
        begun = time.monotonic()
        outcome = box.start(check=False)
        assert outcome.code == 1 and "timeout" in outcome.message
        assert time.monotonic() - begun > 0.9 and since(begun) < 5


@pytest.mark.covers("hooks.poststart.timeout", "hooks.poststop.timeout")
@pytest.mark.slow
def test_hooks_past_their_timeouts_around_the_program(bundle: Bundle) -> None:
    """After poststart the container is stopped; poststop only warns."""
    for kind in ("poststart", "poststop"):
        shell(bundle.inside("pause"), kind, "exec sleep 60")
    with Box(bundle) as box:
        box.create()
        outcome = box.start(check=False)
        assert outcome.code == 1 and "timeout" in outcome.message
        assert box.wait(patience=3) == 137
        begun = time.monotonic()
        box.delete()
        assert time.monotonic() - begun > 0.9 and since(begun) < 5
