"""Stands in for pyruntime/cli/main.py in the launcher that test_launcher.py builds."""

from __future__ import annotations

import posix
import sys

import pyruntime.deep.one
from pyruntime.deep import VALUE, two

from pyruntime import __version__, deep
from pyruntime.lib import handover


def say(value: object) -> None:
    posix.write(1, f"{value}\n".encode("utf-8", "surrogateescape"))


def imports() -> None:
    say(pyruntime.deep.one.NAME + two.NAME + VALUE + __version__)
    say(deep is sys.modules["pyruntime.deep"])


def missing() -> None:
    from pyruntime.deep import three

    say(three)


def broken() -> None:
    from pyruntime.deep import broken

    say("imported")
    for _ in range(2):
        try:
            say(broken.name)
        except ZeroDivisionError:
            say("broken")


def json() -> None:
    import _json

    say(_json.encode_basestring("a\n"))


def argv() -> None:
    say(repr(sys.argv[1:]) + sys.argv[2])
    say(posix.access(sys.argv[2], posix.F_OK))


def fds() -> None:
    for fd in range(4):
        try:
            device = posix.fstat(fd).st_rdev
            say((fd, posix.major(device), posix.minor(device)))
        except OSError as error:
            say((fd, error.errno))


def builtin() -> None:
    for name in sys.argv[2:]:
        say(__import__(name).__name__)


def mathematics() -> None:
    """Every function of the module on some numbers, and what int() makes of digits."""
    import math

    def mapped() -> bool:
        with_libm = False
        fd = posix.open("/proc/self/maps", posix.O_RDONLY)
        while part := posix.read(fd, 1 << 16):
            with_libm = with_libm or b"/libm.so" in part
        posix.close(fd)
        return with_libm

    say((int("9" * 60), mapped()))
    say(math.e)  # its first use fills the module
    for name in sorted(name for name in math.__dict__ if name[0] != "_"):
        for arguments in ((0.5,), (10.0,), (7.5, 2.0), (3.0, 2)):
            try:
                say((name, arguments, getattr(math, name)(*arguments)))
            except (TypeError, ValueError):
                continue
    say((2.0**0.5, complex(0, 2) ** 0.5, 7.5 % 2, mapped()))


def use() -> None:
    """What a module needs of the interpreter shows when it is used."""
    import _signal
    import _socket
    import _struct
    import fcntl
    import grp
    import pwd
    import select
    import time

    say((_signal.SIG_DFL, _signal.SIG_IGN, pwd.getpwuid(0).pw_name, grp.getgrgid(0).gr_name))
    say(_signal.getsignal(_signal.SIGCHLD))
    say((time.monotonic() > 0, time.time() > 1, time.gmtime(0).tm_year))
    one, other = _socket.socketpair()
    poller = select.poll()
    poller.register(other.fileno(), select.POLLIN)
    one.send(_struct.pack("<I", 7))
    say((len(poller.poll(1000)), _struct.unpack("<I", other.recv(4)), fcntl.F_SETFD))


def codecs() -> None:
    for codec in ("utf-8", "ascii", "latin-1"):
        for errors in sys.argv[2:]:
            say((codec, errors, b"a\xff\xe9".decode(codec, errors)))
            if errors != "surrogateescape":
                say("a\u20ac".encode(codec, errors))


def codes() -> None:
    """The code as data, before and after it ran; and that names in it are the interned ones."""
    import _imp

    from pyruntime.deep.describe import describe

    code = _imp.get_frozen_object(sys.argv[2])
    before = describe(code)
    scope: dict[str, object] = {"__name__": "sample"}
    exec(code, scope)
    say(before == describe(_imp.get_frozen_object(sys.argv[2])))
    say(all(sys.intern(name) is name for name in code.co_names))
    say([scope["sets"](item) for item in ("one", 2, (3, "four"), 4)])  # type: ignore[operator]
    say(before)


def heap() -> None:
    """More than the launcher's own region holds: large, growing, shrinking and many."""
    kept = [bytes([number % 251]) * (600 + number * 7) for number in range(1500)]
    grown = bytearray()
    for number in range(3000):
        grown += bytes([number % 256]) * 1000
    huge = bytearray(3 << 20)
    small = [{str(number): number} for number in range(20000)]
    del grown[1000:]
    say(all(block == block[:1] * (600 + at * 7) for at, block in enumerate(kept)))
    say((bytes(grown) == bytes(1000), not any(huge), len(small), small[19999]))
    del kept, huge, small
    say(sum(len(bytes(100000)) for _ in range(1000)))


def main(arguments: list[str]) -> int:
    verb = arguments[0] if arguments else ""
    if verb == "status":
        return int(arguments[1])
    if verb == "modules":
        say(sorted(sys.modules))
    elif verb == "full":
        say(handover.running_full())
    elif verb == "handover":
        handover.full_interpreter(arguments)
    else:
        globals()[verb]()
    return 0
