"""hostname and domainname."""

from __future__ import annotations

import os

import pytest

from tests.lib.box import refused, report
from tests.lib.bundle import Bundle

pytestmark = pytest.mark.covers("hostname", "domainname")


def test_hostname(bundle: Bundle) -> None:
    assert report(bundle.hostname("web-1.example")).hostname == "web-1.example"


def test_without_one_the_callers_is_kept(bundle: Bundle) -> None:
    assert report(bundle).hostname == os.uname().nodename


def test_domainname(bundle: Bundle) -> None:
    facts = report(bundle.hostname("web").set("domainname", "example.org"))
    assert (facts.hostname, facts.domainname) == ("web", "example.org")


def test_the_longest_name_the_kernel_takes(bundle: Bundle) -> None:
    assert report(bundle.hostname("x" * 64)).hostname == "x" * 64


def test_a_longer_name_is_refused(bundle: Bundle) -> None:
    refused(bundle.hostname("x" * 65))


@pytest.mark.parametrize("member", ["hostname", "domainname"])
def test_a_name_needs_a_private_uts_namespace(bundle: Bundle, member: str) -> None:
    refused(bundle.without_namespace("uts").set(member, "web"))
