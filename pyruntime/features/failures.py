"""How the failure of a hook or of the program reads, in create, start and run alike. Imports nothing of the plan."""

from __future__ import annotations

from errno import EACCES, EISDIR, ENOENT, EREMOTE, ETIME

from pyruntime.errors import WORDS, HookError, ProgramError, StepError, strerror

INTO_PROC = EREMOTE
"""Which nothing here says otherwise: the target of a mount turned out to lie on procfs (CVE-2019-16884)."""
TOO_REVEALING = (
    "where parts of /proc or /sys are covered, as in a container, the kernel gives a user namespace no whole one: "
    "bind the one that is there, or leave the outer container's masks out"
)
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
        words = ended(number & 0xFFFF, out, err)
    else:
        words = f"fork/exec {path}: {strerror(number)}"
    return HookError(
        f"error running {kind} hook #{index}: {words}", f"/hooks/{kind}/{index}", number
    )


def file_systems_words(said: bytes) -> str:
    """What the file system itself said (fsopen(2)) of a call that failed, as one line; "" for nothing."""
    log = said.decode("utf-8", "backslashreplace").strip()
    log = "".join([letter if letter.isprintable() else " " for letter in log])
    return log[2:] if log[:2] in ("e ", "w ", "i ") else log  # the level


def failed_mount(
    text: str, pointer: str, number: int, why: str = "", hint: str | None = None
) -> StepError:
    """runc's words for a mount that failed, then ours; people and programs look for them. `why` is what is known
    beside the errno."""
    rest = f" {text[6:]}" if text.startswith("mount ") else f": {text}"
    what = f"unable to start container process: error during container init: error mounting{rest}"
    if hint is None and "too revealing" in why:
        hint = TOO_REVEALING
    return StepError(what, pointer, errno=number, why=why, hint=hint)


def missing_program(name: str, number: int) -> ProgramError:
    """The look-up at create failed; Docker and Podman judge by these words."""
    if number == ENOENT and "/" not in name:
        words = WORDS["not in path"]
    elif number == ENOENT:
        words = f"stat {name}: no such file or directory"
    elif number == EISDIR:
        words = f"{strerror(number)}: {strerror(EACCES)}"  # what execve(2) says, and engines make 126 of
    else:
        words = strerror(number)
    return ProgramError(
        f'{WORDS["no program"]}"{name}": {words}',
        "/process/args/0",
        number,
    )


def failed_exec(name: str, number: int) -> ProgramError:
    """The program was there and the kernel would not run it."""
    return ProgramError(f"exec {name}: {strerror(number)}", "/process/args/0", number)


def ended(status: int, out: bytes, err: bytes) -> str:
    """How a hook ended (its wait status) and what it printed, as runc says it; streams without output are left out.
    The output is data: the log escapes what could drive a terminal or start a new line (lib/log.py)."""
    signal = status & 0x7F
    words = f"signal: {_name(signal)}" if signal else f"exit status {status >> 8}"
    for name, data in (("stdout", out), ("stderr", err)):
        text = data.decode("utf-8", "backslashreplace").rstrip("\n")
        if text:
            words += f", {name}: {text}"
    return words


def _name(signal: int) -> str:
    """As Go's library and strsignal(3) call it: `killed`, `bad system call`."""
    import _signal

    name = _signal.strsignal(signal)
    return name[:1].lower() + name[1:] if name else str(signal)
