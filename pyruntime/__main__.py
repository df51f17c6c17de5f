"""The command in the ordinary interpreter: `python -m pyruntime`, pip's script, and full.py.

Engines start us in the bundle's directory, so the first statement takes the current directory off
the module path: a json.py of the bundle must not run as us. (`python -P -m pyruntime` is better
still: without -P, Python itself looks there for the package before this line is reached.)
"""

import sys

if __name__ == "__main__" and not sys.flags.safe_path:
    del sys.path[0]

# Only now: nothing may be imported before the line above.
import _signal
import fcntl
import posix

_NULL_DEVICE = posix.makedev(1, 3)


def main() -> None:
    """Runs the command line in sys.argv and exits with its status."""
    _take_stdio()
    _restore_signals()
    _restore_environment()
    from pyruntime.cli.entry import main as run

    posix._exit(run(sys.argv[1:]) & 0xFF)


def _take_stdio() -> None:
    """As the launcher does (native/launcher/first_things.h): 0, 1 and 2 are never left free."""
    for fd in range(3):
        try:
            fcntl.fcntl(fd, fcntl.F_GETFD)
        except OSError:
            # A fake /dev/null would collect what we write; there is nobody to tell.
            if posix.open("/dev/null", posix.O_RDWR | posix.O_NOFOLLOW) != fd:
                posix._exit(1)
            if posix.fstat(fd).st_rdev != _NULL_DEVICE:
                posix._exit(1)


def _restore_signals() -> None:
    """Python ignores SIGPIPE and SIGXFSZ, as the launcher does, and turns SIGINT into an exception; a
    runtime that is interrupted must die of the signal."""
    if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
        _signal.signal(_signal.SIGINT, _signal.SIG_DFL)


def _restore_environment() -> None:
    """In the C locale Python sets LC_CTYPE, for itself and for children (PEP 538). Hooks must get
    the environment our caller gave us, which the kernel still has."""
    if posix.environ.get(b"LC_CTYPE") is None:
        return
    fd = posix.open("/proc/self/environ", posix.O_RDONLY | posix.O_CLOEXEC)
    given = b"\0"
    while part := posix.read(fd, 65536):
        given += part
    posix.close(fd)
    if b"\0LC_CTYPE=" not in given:
        posix.unsetenv(b"LC_CTYPE")
        del posix.environ[b"LC_CTYPE"]


if __name__ == "__main__":
    main()
