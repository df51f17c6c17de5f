"""R-01: mount targets that lead out of the root, standing still and changing while we look.

CVE-2021-30465, CVE-2019-18837, CVE-2024-45310.
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.lib import facts, hostile
from tests.lib.box import Box
from tests.lib.bundle import Bundle
from tests.lib.patience import deadline as scaled_deadline
from tests.lib.tripwire import Tripwire

ENDLESS = ("self", "loop")


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """The host's directory nothing may touch."""
    return hostile.build(
        tmp_path / "outside", {"file": "precious", "sub": {"deep": "too"}, "empty": {}}
    )


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return hostile.build(tmp_path / "source", {"file": "from the host"})


def check(bundle: Bundle, outside: Path, label: str) -> None:
    """Either a refusal or a container whose mounts are all inside; the host is the same in both cases."""
    with Tripwire(outside), Box(bundle.inside("pause")) as box:
        outcome = box.create(check=False)
        assert outcome.code in (0, 1) and "Traceback" not in outcome.err, str(outcome)
        if outcome.code == 0:
            text = Path(f"/proc/{box.pid}/mountinfo").read_text()
            for mount in facts.parse_mounts(text):
                assert (
                    not mount.point.startswith(str(outside))
                    or (bundle.rootfs / mount.point[1:]).exists()
                )
        elif label not in ENDLESS:
            assert outcome.err.strip()


TARGETS = ["/v", "/v/empty", "/v/new/deep", "/v/file"]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("label", hostile.FORMS)
def test_a_tmpfs(bundle: Bundle, outside: Path, label: str, target: str) -> None:
    hostile.build(bundle.rootfs, hostile.link_form(label, "v", outside))
    check(bundle.mount(target, "tmpfs", "tmpfs"), outside, label)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("label", hostile.FORMS)
def test_a_bound_file(bundle: Bundle, outside: Path, source: Path, label: str, target: str) -> None:
    hostile.build(bundle.rootfs, hostile.link_form(label, "v", outside))
    check(bundle.bind(source / "file", target), outside, label)


@pytest.mark.parametrize("label", hostile.FORMS)
def test_a_volume_that_holds_the_link(
    bundle: Bundle, outside: Path, source: Path, tmp_path: Path, label: str
) -> None:
    """The link comes with an earlier mount: what is mounted below it stays in the container."""
    volume = hostile.build(tmp_path / "volume", hostile.link_form(label, "v", outside))
    bundle.bind(volume, "/volume").bind(source, "/volume/v/data").mount(
        "/volume/v/tmp", "tmpfs", "t"
    )
    check(bundle, outside, label)


@pytest.mark.parametrize("label", ENDLESS)
def test_links_without_end_are_an_error(bundle: Bundle, outside: Path, label: str) -> None:
    hostile.build(bundle.rootfs, hostile.link_form(label, "v", outside))
    with Tripwire(outside), Box(bundle.mount("/v/x", "tmpfs", "t"), patience=3) as box:
        outcome = box.create(check=False)
        assert outcome.code == 1 and "symbolic links" in outcome.err.lower()


@pytest.mark.parametrize("kind", ["fifo", "device", "file"])
def test_targets_of_another_kind(bundle: Bundle, source: Path, kind: str) -> None:
    """A directory on what is none: an error, not a hang on an open."""
    entry = {"fifo": hostile.Fifo(), "device": hostile.Node("c", 1, 5), "file": hostile.File("x")}[
        kind
    ]
    hostile.build(bundle.rootfs, {"v": entry})
    with Box(bundle.mount("/v", "tmpfs", "t"), patience=3) as box:
        assert box.create(check=False).code == 1


def race(
    bundle: Bundle, outside: Path, source: Path, tmp_path: Path, seconds: float, limit: int
) -> None:
    """A directory of a volume and a link out of it change places while mounts are made below it."""
    volume = hostile.build(
        tmp_path / "volume", {"dir": {"x": {}, "file": ""}, "link": hostile.Link(str(outside))}
    )
    bundle.bind(volume, "/volume").mount("/volume/dir/x", "tmpfs", "t").bind(
        source / "file", "/volume/dir/file"
    )
    bundle.mount("/volume/dir/new/deep", "tmpfs", "t").bind(source / "file", "/volume/dir/made")
    end = scaled_deadline(seconds)
    count = 0
    with Tripwire(outside), hostile.Swapping(volume / "dir", volume / "link"):
        while time.monotonic() < end and count < limit:
            count += 1
            with Box(bundle.inside("report")) as box:
                outcome = box.run()
                assert outcome.code in (0, 1) and "Traceback" not in outcome.err, str(outcome)
    assert count > 3, "the race was hardly run"


@pytest.mark.slow
def test_race(bundle: Bundle, outside: Path, source: Path, tmp_path: Path) -> None:
    race(bundle, outside, source, tmp_path, 2.5, 10_000)


@pytest.mark.nightly
def test_long_race(bundle: Bundle, outside: Path, source: Path, tmp_path: Path) -> None:
    race(bundle, outside, source, tmp_path, 600, 2000)
