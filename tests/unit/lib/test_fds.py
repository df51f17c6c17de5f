"""pyruntime/lib/fds.py: who closes a descriptor."""

from __future__ import annotations

import os

import pytest

from pyruntime.lib.fds import Fd


def is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def test_the_block_closes_it() -> None:
    with Fd(os.open("/", os.O_RDONLY)) as owner:
        number = owner.number
        assert owner.fileno() == number == owner.__index__() and is_open(number)
    assert not is_open(number)


def test_also_when_the_block_fails() -> None:
    owner = Fd(os.open("/", os.O_RDONLY))
    number = owner.number
    with pytest.raises(KeyError), owner:
        raise KeyError
    assert not is_open(number)


def test_closing_twice_closes_once() -> None:
    owner = Fd(os.open("/", os.O_RDONLY))
    number = owner.number
    owner.close()
    other = os.open("/", os.O_RDONLY)
    assert other == number, "the number was not free"
    owner.close()
    assert is_open(other)
    os.close(other)


def test_what_is_stolen_stays_open() -> None:
    with Fd(os.open("/", os.O_RDONLY)) as owner:
        number = owner.steal()
    assert is_open(number)
    os.close(number)
