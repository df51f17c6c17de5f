"""Who closes a descriptor: the `Fd` that owns it, unless it was stolen."""

from __future__ import annotations

import posix


class Fd:
    """Owns one descriptor; `with Fd(posix.open(…)) as fd:` closes it at the end."""

    __slots__ = ("number",)

    def __init__(self, number: int) -> None:
        self.number = number

    def __enter__(self) -> Fd:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __index__(self) -> int:
        return self.number

    def fileno(self) -> int:
        return self.number

    def close(self) -> None:
        """More than once is fine."""
        number, self.number = self.number, -1
        if number >= 0:
            posix.close(number)

    def steal(self) -> int:
        """The bare descriptor; from now on the caller closes it."""
        number, self.number = self.number, -1
        return number
