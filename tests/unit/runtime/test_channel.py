"""pyruntime/runtime/channel.py: the host's end of the socket to an init."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from pyruntime.errors import InternalError
from pyruntime.plan import messages
from pyruntime.plan.messages import HEADER
from pyruntime.runtime.channel import Channel


@pytest.fixture
def ours() -> Iterator[Channel]:
    made = Channel()
    yield made
    made.close()


def said(kind: bytes, text: bytes = b"") -> bytes:
    return HEADER.pack(kind[0], 0, 3, 4, len(text)) + text


def test_a_message(ours: Channel) -> None:
    os.write(ours.theirs, said(b"E", b"why"))
    message = ours.receive()
    assert message is not None
    assert (message.type, message.step, message.number, message.text) == (
        messages.ERROR,
        3,
        4,
        b"why",
    )
    os.close(ours.theirs)


def test_an_init_that_is_gone(ours: Channel) -> None:
    os.close(ours.theirs)
    assert ours.receive() is None


def test_an_init_that_is_gone_before_it_has_read(ours: Channel) -> None:
    """The kernel says ECONNRESET once, which is no other end than that."""
    ours.go()
    os.close(ours.theirs)
    assert ours.receive() is None


@pytest.mark.parametrize("unread", [False, True])
def test_its_last_words_come_first(ours: Channel, unread: bool) -> None:
    if unread:
        ours.go()
    os.write(ours.theirs, said(b"E", b"last"))
    os.close(ours.theirs)
    message = ours.receive()
    assert message is not None and message.text == b"last"
    assert ours.receive() is None


def test_what_is_no_message(ours: Channel) -> None:
    os.write(ours.theirs, b"E")
    with pytest.raises(InternalError, match="too short"):
        ours.receive()
    os.close(ours.theirs)
