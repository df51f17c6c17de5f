"""pyruntime/runtime/signals.py: names and numbers, and whom a signal reaches (R-30)."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from pyruntime import errors
from pyruntime.runtime import signals
from tests.unit.runtime.fakes import FakeContainer

WORDS = [
    ("9", 9), ("0", 0), ("15", 15), ("64", 64), ("037", 37), ("KILL", 9), ("SIGKILL", 9), ("kill", 9), ("sigkill", 9),
    ("SigTerm", 15), ("HUP", 1), ("USR2", 12), ("WINCH", 28), ("CLD", 17), ("POLL", 29), ("IOT", 6), ("STKFLT", 16),
]  # fmt: skip
UNKNOWN = [
    "", "BOGUS", "SIG", "SIGSIG", "SIGSIGKILL", "0x9", "65", "-1", "+9", " 9", "9 ", "9\n", "1_0", "\u0669", "1e1",
    "1000", "KILL ", "K", "_IGN", "SIG_IGN", "RTMIN", "RTMAX", "RTMIN+1", "ıo", "kıll",
]  # fmt: skip


@pytest.mark.parametrize(("word", "number"), WORDS)
def test_words(word: str, number: int) -> None:
    assert signals.parse(word) == number


@pytest.mark.parametrize("word", UNKNOWN)
def test_unknown_words(word: str) -> None:
    with pytest.raises(errors.PyruntimeError) as caught:
        signals.parse(word)
    assert caught.value.message == f'unknown signal "{word}"'


def test_every_signal_python_knows_has_its_name() -> None:
    """But the real-time ones."""
    for known in signal.Signals:
        if not known.name.startswith("SIGRT"):
            assert signals.parse(known.name) == known.value


@pytest.fixture
def handle(container: FakeContainer) -> Iterator[int]:
    fd = signals.open_init(container.spawn().record)
    yield fd
    os.close(fd)


def test_the_init_gets_it(container: FakeContainer, handle: int) -> None:
    signals.send(handle, signal.SIGTERM, container.record)
    assert container.reap() == -signal.SIGTERM
    with pytest.raises(errors.WrongStatus, match="container not running"):
        signals.send(handle, signal.SIGTERM, container.record)


def test_signal_0_only_asks(container: FakeContainer, handle: int) -> None:
    signals.send(handle, 0, container.record)
    assert container.process is not None and container.process.poll() is None


@pytest.mark.parametrize(
    "fields", [{"startTime": 1}, {"bootId": "x"}, {"pid": 0}, {"pid": (1 << 22) - 1}]
)
def test_nobody_else_does(container: FakeContainer, fields: dict[str, Any]) -> None:
    container.spawn().record.update(fields)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(errors.WrongStatus, match="container not running"):
        signals.open_init(container.record)
    assert container.process is not None and container.process.poll() is None
    assert len(os.listdir("/proc/self/fd")) == before
