"""How the failure of a hook or of the program reads, in create, start and run alike. Imports nothing of the plan."""

from __future__ import annotations

from pyruntime.errors import HookError, ProgramError, strerror

ETIME, ENOENT = 62, 2
EXITED = 0x100000
"""native/init/hook.c: what follows is a wait status rather than an errno."""


def hook_failure(
    kind: str, index: int, path: str, timeout: float, number: int, text: bytes
) -> HookError:
    """runc's words for a hook that failed; engines show them."""
    if number == ETIME:
        words = f"hook ran past specified timeout of {timeout:.1f}s"
    elif number & EXITED:
        out, _, err = text.partition(b"\0")
        words = f"{exit_words(number & 0xFFFF)}, stdout: {readable(out)}, stderr: {readable(err)}"
    else:
        words = f"fork/exec {path}: {strerror(number)}"
    return HookError(
        f"error running {kind} hook #{index}: {words}", f"/hooks/{kind}/{index}", errno=number
    )


def missing_program(name: str, number: int) -> ProgramError:
    """The look-up at create failed; Docker and Podman judge by these words."""
    if number == ENOENT and "/" not in name:
        words = "executable file not found in $PATH"
    elif number == ENOENT:
        words = f"stat {name}: no such file or directory"
    else:
        words = strerror(number)
    return ProgramError(
        f'unable to start container process: exec: "{name}": {words}',
        "/process/args/0",
        "container",
        number,
    )


def failed_exec(name: str, number: int) -> ProgramError:
    """The program was there and the kernel would not run it."""
    return ProgramError(f"exec {name}: {strerror(number)}", "/process/args/0", "container", number)


def exit_words(status: int) -> str:
    signal = status & 0x7F
    return f"signal: {signal}" if signal else f"exit status {status >> 8}"


def readable(data: bytes) -> str:
    """Output of a hook is data; the log escapes what could drive a terminal or start a new line (lib/log.py)."""
    return data.decode("utf-8", "backslashreplace")
