"""joining: the words of `--cgroup`, and that none of them leads out of the container's groups."""

from __future__ import annotations

import os
import posix
from pathlib import Path

import pytest

from pyruntime import errors
from pyruntime.cgroup import detect, driver, joining, tree
from pyruntime.cgroup.group import Group


@pytest.mark.parametrize(
    ("words", "paths"),
    [
        ([], {}),
        (["sub"], {"": "sub"}),
        (["cpu,memory:a/b"], {"cpu": "a/b", "memory": "a/b"}),
        (["cpu:a", "name=systemd:b"], {"cpu": "a", "name=systemd": "b"}),
        (["cpu:"], {"cpu": ""}),
    ],
)
def test_words(words: list[str], paths: dict[str, str]) -> None:
    assert driver.sub_paths(words) == paths


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["a", "cpu:b"], "missing <controller>: prefix"),
        (["cpu:a:b"], "invalid --cgroup argument: cpu:a:b"),
        ([":a"], "invalid --cgroup argument: :a"),
        (["cpu,:a"], "invalid --cgroup argument: cpu,:a"),
        (["cpu:a", "cpu:b"], "controller cpu specified multiple times"),
    ],
)
def test_words_that_make_no_sense(words: list[str], sentence: str) -> None:
    with pytest.raises(errors.UsageError, match=sentence):
        driver.sub_paths(words)


KEPT = {"mode": "v1", "groups": {"cpu,cpuacct": ["/nowhere", "/web", 1]}}


@pytest.mark.parametrize(
    ("paths", "sentence"),
    [
        ({"": ".."}, "bad sub cgroup path: .. is not a sub cgroup path"),
        ({"": "a/../.."}, "bad sub cgroup path: a/../.. is not a sub cgroup path"),
        ({"cpu": "/../web2"}, "bad sub cgroup path: /../web2 is not a sub cgroup path"),
        ({"memory": "a"}, "unknown controller memory"),
        ({"cpu": "a", "cpuacct": "b"}, "two different paths"),
    ],
)
def test_paths_that_lead_elsewhere(paths: dict[str, str], sentence: str) -> None:
    with pytest.raises(errors.UsageError, match=sentence):
        driver.join(KEPT, 1, paths)


def test_a_hierarchy_that_is_not_mounted() -> None:
    with pytest.raises(errors.StepError, match=r"cgroup /nowhere/web/a: no such file"):
        driver.join(KEPT, 1, {"cpu": "a", "cpuacct": "./a/"})


def test_a_group_whose_name_looks_like_a_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The payload may put a carriage return into the name of a group it makes for its init."""
    own = tmp_path / "web" / "a\r0::" / "b"
    own.mkdir(parents=True)
    (tmp_path / "b").mkdir()
    monkeypatch.setattr(detect, "read_proc", lambda _path: b"1:cpu:/\n0::/web/a\r0::/b\n")
    monkeypatch.setattr(tree, "open_mount", lambda path, _device: os.open(path, tree.HANDLE))
    mount = detect.Mount("cgroup2", "/", str(tmp_path), 0, ())
    fd = joining._open_inits(Group("", str(tmp_path), "/web", 1), mount, 1)
    try:
        assert posix.fstat(fd).st_ino == own.stat().st_ino
    finally:
        posix.close(fd)
