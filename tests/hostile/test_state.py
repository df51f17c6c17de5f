"""R-48, R-51: verbs on one container at the same time, and records that are garbage."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest

from tests.lib import leaks
from tests.lib.box import Box
from tests.lib.bundle import Bundle
from tests.lib.patience import deadline as scaled_deadline

EXPECTED = (
    "container init ended",
    "container does not exist",
    "already exists",
    "container not running",
    "cannot start",
    "cannot delete container",
    "no such process",
    "does not exist",
    "no such file or directory",
)


def together(box: Box, verbs: int, rng: random.Random) -> None:
    """That many verbs at once; each succeeds or says one of the documented sentences."""
    bundle = str(box.bundle.directory)
    lines = [
        ["create", "--bundle", bundle, box.id],
        ["start", box.id],
        ["state", box.id],
        ["kill", box.id, "KILL"],
        ["delete", box.id],
        ["delete", "--force", box.id],
        ["list", "-q"],
    ]
    chosen = [["--root", str(box.root), *rng.choice(lines)] for _ in range(verbs)]
    started = [(box.spawn(*words), words) for words in chosen]
    outcomes = [box.finish(*process, words) for process, words in started]
    for (_, *streams), _ in started:
        for stream in streams:
            box.streams.remove(stream)
            stream.close()
    for outcome in outcomes:
        assert "Traceback" not in outcome.err and "panic" not in outcome.err, str(outcome)
        assert outcome.code in (0, 1), str(outcome)
        if outcome.code:
            assert any(text in outcome.err for text in EXPECTED), str(outcome)


def storm(bundle: Bundle, seconds: float, verbs: int, limit: int) -> None:
    rng = random.Random(7)
    end = scaled_deadline(seconds)
    count = 0
    with Box(bundle.inside("pause")) as box:
        bundle.write(box.id)
        while time.monotonic() < end and count < limit:
            together(box, verbs, rng)
            count += verbs
            while True:  # the inits that ended are ours to reap
                try:
                    if os.waitpid(-1, os.WNOHANG)[0] == 0:
                        break
                except ChildProcessError:
                    break
        assert box.call("delete", "--force", box.id).code == 0
        assert box.call("state", box.id).code == 1
        assert box.call("list", "-q").out == ""


@pytest.mark.slow
def test_verbs_at_the_same_time(bundle: Bundle) -> None:
    storm(bundle, 2.5, 6, 10_000)


@pytest.mark.nightly
def test_many_verbs_at_the_same_time(bundle: Bundle) -> None:
    storm(bundle, 600, 16, 2000)


def records(box: Box) -> list[Path]:
    return [
        path for path in (box.root / box.id).rglob("*") if path.is_file() and path.stat().st_size
    ]


GARBAGE = {
    "empty": b"",
    "null": b"null",
    "brace": b"{",
    "list": b"[]",
    "text": b"hello\n",
    "object": b"{}",
    "shape": b'{"format":1,"cgroup":{"groups":[]},"status":5}',
    "binary": bytes(range(256)),
    "deep": b"[" * 50_000,
}


def spoil(path: Path, how: str) -> None:
    if how == "gone":
        path.unlink()
    else:
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2] if how == "half" else GARBAGE[how])


@pytest.mark.parametrize("how", [*GARBAGE, "half", "gone"])
def test_garbage_for_a_record(bundle: Bundle, how: str) -> None:
    """Each file of the state in turn: `state` says so, `list` goes on, and `delete --force` finds from the other
    files what was made and removes it."""
    with Box(bundle.inside("pause")) as box:
        box.create()
        names = [path.name for path in records(box)]
    assert names
    for name in names:
        with Box(bundle) as box:
            box.create()
            spoil(box.root / box.id / name, how)
            for words in (["state", box.id], ["kill", box.id, "9"], ["list"], ["delete", box.id]):
                outcome = box.call(*words)
                assert outcome.code in (0, 1), f"{name}: {outcome}"
                assert "Traceback" not in outcome.err and "panic" not in outcome.err, (
                    f"{name}: {outcome}"
                )
            assert box.call("delete", "--force", box.id).code == 0, name
            assert box.ended(3.0), f"{name}: the container's init is still there"
            left = [path for path in leaks.marked_cgroups() if path.endswith(box.id)]
            assert not left, f"{name}: {left}"


def copy_records(source: Box, target: Box, names: set[str] | None) -> None:
    for path in records(target):
        twin = source.root / source.id / path.relative_to(target.root / target.id)
        if twin.is_file() and (names is None or path.name in names):
            path.write_bytes(twin.read_bytes())


@pytest.mark.parametrize("names", [{"state.json"}, None], ids=["state", "all"])
def test_a_record_of_another_container(
    bundle: Bundle, tmp_path: Path, names: set[str] | None
) -> None:
    """A copied record must not make one id act on another container."""
    other = Bundle(tmp_path / "other").inside("pause")
    with Box(bundle.inside("pause")) as box, Box(other, root=box.root) as second:
        box.create()
        second.create()
        originals = {path: path.read_bytes() for path in records(second)}
        copy_records(box, second, names)
        second.call("kill", second.id, "KILL")
        second.call("delete", second.id)
        second.call("delete", "--force", second.id)
        assert not box.ended(0.0), "the first container was hit"
        assert box.status == "created"
        for path, data in originals.items():  # so that the second one can be found and removed
            path.parent.mkdir(exist_ok=True, mode=0o700)
            path.write_bytes(data)


def test_an_unwritten_state_directory(bundle: Bundle) -> None:
    """What a killed create may leave: a directory and nothing in it."""
    with Box(bundle) as box:
        (box.root / box.id).mkdir(parents=True, mode=0o700)
        box.root.chmod(0o700)
        assert box.call("state", box.id).code == 1
        assert box.call("delete", "--force", box.id).code == 0
        assert box.create(check=False).code == 0
