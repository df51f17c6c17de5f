"""A state directory without room, few descriptors: what exists is managed all the same, and what cannot be made is one
sentence and leaves nothing."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lib import kernel, leaks
from tests.lib.box import Box, refused
from tests.lib.bundle import Bundle
from tests.lib.groups import hierarchies

OPTIONS = {"blocks": "size=256k,mode=0700", "inodes": "nr_inodes=24,mode=0700"}


@pytest.fixture(params=OPTIONS)
def small(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A state root that is soon full."""
    place = tmp_path / "small"
    place.mkdir()
    kernel.mount("state", str(place), "tmpfs", 0, OPTIONS[request.param])
    yield place
    kernel.umount(str(place))


def fill(place: Path) -> None:
    for number in range(100):
        try:
            (place / f"~{number}").write_bytes(bytes(4096))
        except OSError:
            return
    raise AssertionError(f"{place} is not full")


@pytest.mark.parametrize("kind", [None, "startContainer", "poststart"])
def test_a_life_goes_on(bundle: Bundle, small: Path, kind: str | None) -> None:
    bundle.shell("exec sleep 1000")
    if kind:
        bundle.hook(kind, "sh", "-c", "true", path="/bin/sh")
    with Box(bundle, root=small) as box:
        box.create()
        fill(small)
        outcome = box.start()
        assert outcome.err == ""
        assert box.status == "running"
        assert box.start(check=False).code == 1
        assert box.call("exec", box.id, "sh", "-c", "exit 3").code == 3
        box.call("pause", box.id, check=True)
        assert box.status == "paused"
        box.kill("KILL")
        assert box.wait() == 137
        assert box.status == "stopped"
        box.delete()
        assert not Path(small, box.id).exists()


@pytest.mark.parametrize("room", range(8))
def test_a_create_leaves_nothing(bundle: Bundle, tmp_path: Path, room: int) -> None:
    """Wherever the room ends; the sentence says what was being written."""
    place = tmp_path / "small"
    place.mkdir()
    kernel.mount("state", str(place), "tmpfs", 0, f"nr_inodes={room + 1},mode=0700")
    try:
        said = refused(bundle.inside("pause"), root=place)
        assert f"{place}/" in said or "make the state of" in said
        assert "no space left on device" in said
        assert os.listdir(place) == []
    finally:
        kernel.umount(str(place))


@pytest.mark.parametrize("count", range(5, 40))
def test_few_descriptors(bundle: Bundle, count: int) -> None:
    """Wherever they end; the id is free again, and the sentence says what was being made. Sixteen are enough."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, count))

    with Box(bundle.inside("pause"), prepare=limit) as box:
        outcome = box.create(check=False)
        box.prepare = None
        if outcome.code:
            assert count < 16
            assert outcome.code == 1 and "Traceback" not in outcome.message
            assert "a system call" not in outcome.message
            assert not box.root.exists() or os.listdir(box.root) == []
        else:
            assert box.status == "created"
            rows = Path(f"/proc/{box.pid}/cgroup").read_text().splitlines()
            assert sum(row.endswith(f"/{box.id}") for row in rows) == len(hierarchies())
            box.prepare = limit
            box.start()
            assert box.status == "running"
            box.kill("KILL")
            assert box.wait() == 137
            box.delete()


@pytest.mark.parametrize("count", range(17, 40))
def test_few_descriptors_for_a_user_namespace(mapped: Bundle, count: int) -> None:
    """With a bind and hooks; who is cloned by a stage finds every descriptor where it is looked for."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, count))

    before = leaks.children()
    mapped.bind("/etc/hostname", "/etc/hostname").hook("createRuntime", "true", path="/bin/true")
    with Box(mapped.inside("cat", "/etc/hostname", "--", "exit", "3"), prepare=limit) as box:
        outcome = box.create(check=False)
        box.prepare = None
        if outcome.code:
            assert "too many open files" in outcome.message
            assert os.listdir(box.root) == []
            assert leaks.children() == before
        else:
            box.start()
            assert box.wait() == 3
            assert box.expect("cat")["errno"] == ""


@pytest.mark.parametrize("count", range(5, 20))
def test_few_descriptors_for_a_forced_delete(bundle: Bundle, count: int) -> None:
    """A record that cannot be read for want of descriptors is not damaged: nothing is forgotten."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, count))

    with Box(bundle.inside("pause")) as box:
        box.create()
        box.start()
        box.prepare = limit
        outcome = box.delete("--force", check=False)
        box.prepare = None
        if outcome.code:
            assert "too many open files" in outcome.message
            assert "a system call" not in outcome.message
            assert (box.root / box.id / "holdings").exists()
            box.delete("--force")
        assert box.wait() == 137
        assert os.listdir(box.root) == []
