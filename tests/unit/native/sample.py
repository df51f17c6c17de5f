"""Code of every shape, for the comparison of code objects in test_launcher.py."""

NUMBERS = (0, -5, 256, 257, -6, 2**30, -(2**62), 10**40, 1.5, -0.0, 1e300, True, None, ...)
INFINITE = (1e999, -1e999)
TEXTS = ("", "a", "plain text", 'q"uo\\te?', "é", "Ω≠", "🐍", "\udcff", "a\0b", "ends\0")
BYTES = (b"", b"x", bytes(range(256)), b"\0", b"??/1")
NESTED = ((1, (2.0, ("x", b"y"))), ((), ((),)))


class Outer:
    """A class with a class in it."""

    field: int = 3

    class Inner:
        pass

    def method(self, a, /, b=1, *rest, c, d=2, **more):
        def closure():
            nonlocal b
            b += 1
            return self, a, more, __class__

        return closure, lambda x=c: (x, d, rest)

    @property
    def value(self):
        return super().value


def generator(limit):
    for number in range(limit):
        try:
            yield number, [item * limit for item in (number, "again")]
        except (ValueError, KeyError) as error:
            raise RuntimeError(f"{error!r:>{limit}} of {number:03d}") from error
        finally:
            del number
    return {key: value for key, value in limit.items() if value}


def sets(value):
    if value in {"one", 2, (3, "four")}:
        return {item + 1 for item in {5, 6}}  # noqa: PLC0208  a set as a constant
    return value not in {"one", 2, (3, "four")}


async def coroutine(source):
    async with source as opened:
        return await opened


def match(value):
    match value:
        case {"key": [first, *_]} if first:
            return first
        case Outer(field=1) | None:
            return ...
