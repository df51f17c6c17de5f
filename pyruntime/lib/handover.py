"""From the launcher's small interpreter to the full one, for verbs that need the standard library.

The launcher carries a dozen C modules and our hot modules. What needs more (explaining an invalid
config with jsonschema, netlink, …) asks for the full interpreter *before it has any side effect*:
the same command line is started again there, with the same environment and descriptors. Run by
`python -m pyruntime` or by full.py we are there already.
"""

from __future__ import annotations

import _imp
import posix

from pyruntime import errors


def running_full() -> bool:
    """Whether the whole standard library is there: only the launcher has a frozen `_launcher`."""
    return not _imp.is_frozen("_launcher")


def full_interpreter(argv: list[str]) -> None:
    """Starts `pyruntime ARGV…` again in the full interpreter; returns only if this is it."""
    if running_full():
        return
    import _launcher

    program = _launcher.INTERPRETER
    script = f"{_launcher.library()}/full.py"
    flags = ["-I", "-S", "-B", "-X", "utf8"]
    try:
        posix.execv(program, [program, *flags, script, *argv])
    except OSError as error:
        raise errors.UnsupportedError(
            f"start the full interpreter {program}: {str(error.strerror).lower()}",
            hint=f"this part of pyruntime needs {program} to be installed",
        ) from error
