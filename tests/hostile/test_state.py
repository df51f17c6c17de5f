"""R-48, R-51: verbs on one container at the same time, and records that are garbage."""

from __future__ import annotations

import os
import random
import select
import time
from pathlib import Path

import pytest

from tests.lib.box import Box, gone
from tests.lib.bundle import Bundle

EXPECTED = (
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
    for (process, out, err), words in started:
        outcome = box.finish(process, out, err, words)
        assert "Traceback" not in outcome.err and "panic" not in outcome.err, str(outcome)
        assert outcome.code in (0, 1), str(outcome)
        if outcome.code:
            assert any(text in outcome.err for text in EXPECTED), str(outcome)
        for stream in (out, err):
            box.streams.remove(stream)
            stream.close()


def storm(bundle: Bundle, seconds: float, verbs: int, limit: int) -> None:
    rng = random.Random(7)
    end = time.monotonic() + seconds
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
    return [path for path in (box.root / box.id).rglob("*") if path.is_file() and path.stat().st_size]


GARBAGE = {
    "empty": b"",
    "null": b"null",
    "brace": b"{",
    "list": b"[]",
    "text": b"hello\n",
    "binary": bytes(range(256)),
    "numbers": b'{"id": 1, "pid": "x", "version": -1, "init_process_pid": 1e99}',
    "deep": b"[" * 50_000,
}


@pytest.mark.parametrize("name", [*GARBAGE, "half", "gone"])
def test_garbage_for_a_record(bundle: Bundle, name: str) -> None:
    """`state` says so, `list` goes on, `delete --force` still finds and removes what was made."""
    with Box(bundle.inside("pause")) as box:
        box.create()
        for path in records(box):
            if name == "gone":
                path.unlink()
            else:
                path.write_bytes(path.read_bytes()[: path.stat().st_size // 2] if name == "half" else GARBAGE[name])
        for words in (["state", box.id], ["kill", box.id, "9"], ["list"], ["delete", box.id]):
            outcome = box.call(*words)
            assert outcome.code in (0, 1) and "Traceback" not in outcome.err and "panic" not in outcome.err, str(outcome)
        assert box.call("delete", "--force", box.id).code == 0
        assert box.pidfd is not None
        select.select([box.pidfd], [], [], 3)
        assert gone(box.pidfd), "the container's init is still there"


def test_a_record_of_another_container(bundle: Bundle, tmp_path: Path) -> None:
    """A copied record must not make one id act on another container."""
    other = Bundle(tmp_path / "other").inside("pause")
    with Box(bundle.inside("pause")) as box, Box(other, root=box.root) as second:
        box.create()
        second.create()
        for path in records(second):
            source = box.root / box.id / path.relative_to(box.root / second.id)
            if source.is_file():
                path.write_bytes(source.read_bytes())
        second.call("kill", second.id, "KILL")
        second.call("delete", "--force", second.id)
        assert box.pidfd is not None and not gone(box.pidfd), "the first container was hit"
        assert box.status == "created"


def test_an_unwritten_state_directory(bundle: Bundle) -> None:
    """What a killed create may leave: a directory and nothing in it."""
    with Box(bundle) as box:
        (box.root / box.id).mkdir(parents=True, mode=0o700)
        box.root.chmod(0o700)
        assert box.call("state", box.id).code == 1
        assert box.call("delete", "--force", box.id).code == 0
        assert box.create(check=False).code == 0
