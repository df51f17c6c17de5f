"""Where the installed launcher finds what lies beside it; frozen into the executable as `_launcher`.

freeze.py fills in the constant. That this module exists at all is how the package knows that
it runs in the launcher's small interpreter (pyruntime/lib/handover.py).
"""

import posix

INTERPRETER = ""


def library() -> str:
    """PREFIX/lib/pyruntime, from where the running executable is: never from the environment."""
    executable = posix.readlink("/proc/self/exe").removesuffix(" (deleted)")
    prefix = executable.rpartition("/")[0].rpartition("/")[0]
    return f"{prefix}/lib/pyruntime"
