"""linux.personality: the execution domain (config-linux.md, Personality)."""

from __future__ import annotations

import pytest

from tests.lib.box import Box, refused
from tests.lib.bundle import Bundle


@pytest.mark.covers("linux.personality.domain")
@pytest.mark.parametrize(("domain", "number"), [("LINUX", 0), ("LINUX32", 8)])
def test_the_domain_is_set(bundle: Bundle, domain: str, number: int) -> None:
    bundle.set("linux.personality", {"domain": domain}).inside("report")
    with Box(bundle) as box:
        assert box.run(check=True).facts.personality == number


@pytest.mark.covers("linux.personality.flags")
def test_a_flag_is_refused(bundle: Bundle) -> None:
    bundle.set("linux.personality", {"domain": "LINUX", "flags": ["ADDR_NO_RANDOMIZE"]})
    assert "/linux/personality/flags" in refused(bundle)
