"""The cgroup driver when the kernel refuses: every failure, and its undo, with every errno."""

from __future__ import annotations

import errno
import itertools
import os
import posix
from typing import Any

import pytest

from pyruntime import errors
from pyruntime.cgroup import detect, driver
from tests.lib.box import unique_id
from tests.lib.groups import Maker

LAYOUT = detect.layout()
ERRNOS = sorted(errno.errorcode)


def failing(monkeypatch: pytest.MonkeyPatch, call: str, number: int, after: int) -> None:
    """The call works `after` times and then fails, of groups of ours alone."""
    real, count = getattr(posix, call), itertools.count()

    def fail(path: str, *words: Any, **options: Any) -> Any:
        if options.get("dir_fd") is not None and next(count) >= after:
            raise OSError(number, os.strerror(number), path)
        return real(path, *words, **options)

    monkeypatch.setattr(posix, call, fail)


@pytest.mark.parametrize("after", [0, 1, 15])
@pytest.mark.parametrize("call", ["mkdir", "open"])
def test_no_group_can_be_made(
    maker: Maker, monkeypatch: pytest.MonkeyPatch, call: str, after: int
) -> None:
    """And none can be removed either, which says the same of what was never there; nothing is left."""
    name = unique_id()
    for number in ERRNOS:
        before = len(os.listdir("/proc/self/fd"))
        with monkeypatch.context() as patch:
            failing(patch, call, number, after)
            if call == "open" and number in (errno.ENOENT, errno.ENODEV, errno.ENOTDIR):
                continue  # says that nothing is there
            with pytest.raises(errors.StepError):
                maker.prepare(f"/{name}/a", {})
        assert len(os.listdir("/proc/self/fd")) == before, errno.errorcode[number]
        with monkeypatch.context() as patch:
            if after == 0 and call == "mkdir":
                failing(patch, "rmdir", number, 0)
            maker.release()
        assert not any(os.path.exists(path) for path in tops(name)), errno.errorcode[number]


def tops(name: str) -> list[str]:
    return [f"{row.mountpoint}/{name}" for row in LAYOUT.joined()]


def test_a_group_that_cannot_be_removed(maker: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Says so, and the next try finds it."""
    name = unique_id()
    maker.prepare("/" + name, {})
    busy = (errno.EBUSY, errno.ENOTEMPTY)
    for number in set(ERRNOS) - {errno.ENOENT, errno.ENODEV, *busy}:
        with monkeypatch.context() as patch:
            failing(patch, "rmdir", number, 0)
            with pytest.raises(errors.StepError) as caught:
                driver.release(maker.holdings[-1])
            assert caught.value.errno == number
    maker.release()
    assert not any(os.path.exists(path) for path in tops(name))


@pytest.mark.parametrize("below", ["", "/a/b"])
def test_a_file_in_the_place_of_the_group(maker: Maker, below: str) -> None:
    name = unique_id()
    with pytest.raises(errors.StepError, match="create cgroup"):
        maker.prepare(f"/{name}/cgroup.procs{below}", {})
    maker.release()
    assert not any(os.path.exists(path) for path in tops(name))
