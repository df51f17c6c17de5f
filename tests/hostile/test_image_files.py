"""R-23: files of the image that the runtime reads itself: /etc/passwd for HOME, programs in PATH."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.lib import hostile
from tests.lib.box import Box
from tests.lib.bundle import Bundle
from tests.lib.patience import since
from tests.lib.tripwire import Tripwire

PASSWDS: dict[str, object] = {
    "fifo": hostile.Fifo(),
    "endless": hostile.Node("c", 1, 5),
    "link to endless": hostile.Link("/dev/zero"),
    "10 GiB of nothing": hostile.File(size=10 << 30),
    "no newline": "root:x:0:0:root:/root:/bin/sh",
    "one long line": "x" * 5_000_000,
    "many lines": "nobody:x:99:99:::\n" * 100_000,
    "no numbers": "root:x:zero:zero::/evil:\n",
    "binary": "\0\1\2:::\n\n:::::::\n",
    "directory": {},
    "link to itself": hostile.Link("passwd"),
    "newline in home": "root:x:0:0:root:/a\rb\x1b[31m:/bin/sh\n",
}


@pytest.mark.parametrize("name", PASSWDS)
def test_passwd(bundle: Bundle, name: str) -> None:
    """Bounded in time and memory; if it is of no use HOME is /."""
    hostile.build(bundle.rootfs, {"etc": {"passwd": PASSWDS[name]}})  # type: ignore[dict-item]
    begun = time.monotonic()
    with Box(bundle.inside("report"), patience=5) as box:
        outcome = box.run()
        assert since(begun) < 3
        assert outcome.code == 0, str(outcome)
        assert outcome.facts.environment["HOME"].startswith("/")


@pytest.mark.parametrize(
    "kind", ["fifo", "device", "directory", "empty", "loop", "bad interpreter"]
)
def test_a_program_that_is_none(bundle: Bundle, kind: str) -> None:
    entries: dict[str, object] = {
        "fifo": hostile.Fifo(0o777),
        "device": hostile.Node("c", 1, 5, 0o777),
        "directory": {},
        "empty": hostile.File("", 0o755),
        "loop": hostile.Link("tool"),
        "bad interpreter": hostile.File("#!/not/there\n", 0o755),
    }
    hostile.build(bundle.rootfs, {"bin": {"tool": entries[kind]}})  # type: ignore[dict-item]
    with Box(bundle.args("tool"), patience=5) as box:
        outcome = box.run()
        assert outcome.code == 1 and outcome.err.strip() and "Traceback" not in outcome.err


def test_a_program_through_a_link_out_of_the_root(bundle: Bundle, tmp_path: Path) -> None:
    outside = hostile.build(
        tmp_path / "outside", {"tool": hostile.File("#!/bin/sh\necho escaped\n", 0o755)}
    )
    hostile.build(bundle.rootfs, {"bin": {"tool": hostile.Link(str(outside / "tool"))}})
    with Tripwire(outside), Box(bundle.args("tool")) as box:
        outcome = box.run()
        assert outcome.code == 1 and "escaped" not in outcome.out
