"""R-10: masking with somebody else's /dev/null. CVE-2025-31133, CVE-2025-62161."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.lib import hostile
from tests.lib.box import Box
from tests.lib.bundle import Bundle
from tests.lib.patience import deadline as scaled_deadline
from tests.lib.tripwire import Tripwire

MASKED = ["/proc/keys", "/etc/secret"]


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    return hostile.build(tmp_path / "outside", {"victim": "precious"})


def imaged(bundle: Bundle) -> Bundle:
    """The image's own /dev is used: its null is the attacker's."""
    kept = [mount for mount in bundle.get("mounts") if not mount["destination"].startswith("/dev")]
    return bundle.set("mounts", kept).file("etc/secret", "secret").set("linux.maskedPaths", MASKED)


NULLS: dict[str, object] = {
    "link into the root": hostile.Link("/etc/decoy"),
    "link out": hostile.Link("/OUTSIDE/victim"),
    "file": "decoy",
    "fifo": hostile.Fifo(),
    "wrong device": hostile.Node("c", 1, 5),
    "directory": {},
}


@pytest.mark.parametrize("name", NULLS)
def test_the_images_null_device_is_not_used(bundle: Bundle, outside: Path, name: str) -> None:
    entry = NULLS[name]
    if isinstance(entry, hostile.Link):
        entry = hostile.Link(entry.target.replace("/OUTSIDE", str(outside)))
    hostile.build(bundle.rootfs, {"dev": {"null": entry}, "etc": {"decoy": "decoy"}})  # type: ignore[dict-item]
    words = "stat /etc/secret -- cat /etc/secret -- write /etc/secret x -- cat /proc/keys"
    with Tripwire(outside), Box(imaged(bundle).inside(*words.split()), patience=5) as box:
        outcome = box.run()
        assert outcome.code in (0, 1) and "Traceback" not in outcome.err
        if outcome.code == 0:
            stat, secret, _, keys = outcome.lines
            assert (stat["type"], stat["major"], stat["minor"]) == ("char", 1, 3)
            assert secret["data"] == "" and keys["data"] == ""
    assert (bundle.rootfs / "etc/secret").read_text() == "secret"
    assert (bundle.rootfs / "etc/decoy").read_text() == "decoy"


@pytest.mark.parametrize(
    "label", [label for label in hostile.FORMS if label not in ("self", "loop")]
)
def test_a_masked_path_that_leads_out(bundle: Bundle, outside: Path, label: str) -> None:
    hostile.build(bundle.rootfs, hostile.link_form(label, "v", outside))
    bundle.set("linux.maskedPaths", ["/v", "/v/victim"]).set("linux.readonlyPaths", ["/v"])
    with Tripwire(outside), Box(bundle.inside("pause")) as box:
        outcome = box.create(check=False)
        assert outcome.code in (0, 1) and "Traceback" not in outcome.err
        if outcome.code == 0:
            box.start()


def test_a_mask_that_cannot_be_placed_is_an_error(bundle: Bundle) -> None:
    """Only "it is not there" is quiet: a loop of links is not."""
    bundle.link("loop", "loop").set("linux.maskedPaths", ["/loop/secret"])
    with Box(bundle) as box:
        assert box.create(check=False).code == 1


def race(bundle: Bundle, outside: Path, seconds: float, limit: int) -> None:
    """/dev/null of the image is a node and a link in turn."""
    hostile.build(
        bundle.rootfs,
        {
            "dev": {"null": hostile.Node("c", 1, 3), "evil": hostile.Link("/etc/decoy")},
            "etc": {"decoy": "decoy"},
        },
    )
    imaged(bundle).inside("cat", "/etc/secret", "--", "write", "/etc/secret", "x")
    end = scaled_deadline(seconds)
    count = 0
    with (
        Tripwire(outside),
        hostile.Swapping(bundle.rootfs / "dev/null", bundle.rootfs / "dev/evil"),
    ):
        while time.monotonic() < end and count < limit:
            count += 1
            with Box(bundle) as box:
                outcome = box.run()
                assert outcome.code in (0, 1) and "Traceback" not in outcome.err, str(outcome)
                if outcome.code == 0:
                    assert outcome.lines[0]["data"] == "", "a mask shows the decoy"
            assert (bundle.rootfs / "etc/decoy").read_text() == "decoy"
    assert count > 3


@pytest.mark.slow
def test_race(bundle: Bundle, outside: Path) -> None:
    race(bundle, outside, 2.5, 10_000)


@pytest.mark.nightly
def test_long_race(bundle: Bundle, outside: Path) -> None:
    race(bundle, outside, 600, 2000)
