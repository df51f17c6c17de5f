"""The error tree, and the words engines look for.

PyruntimeError                     every refusal; message, optional hint; exit status 1
├── UsageError                     the command line is wrong
├── BundleError                    the bundle or config.json cannot be read
│   └── SpecError                  findings: every mistake of the document at once
├── ContainerError                 about one container; carries its id
│   ├── NoSuchContainer            "container does not exist"
│   ├── ContainerExists            "container with given ID already exists"
│   ├── StateError                 what is recorded of it is damaged, or not ours
│   └── WrongStatus                "container not running" and its relatives
├── UnsupportedError               the kernel, a controller or this build lacks what was asked for
├── StepError                      a step of the plan failed; names step and property
│   ├── HookError                  a hook failed, timed out or could not be run
│   └── ProgramError               the program is missing or may not be executed
└── InternalError                  our bug; the only one that is shown with a traceback
KernelError(OSError)               a system call failed: call, errno, path; wrapped on its way out

Messages are lower case, without a full stop, outermost context first, and end in the kernel's words as Go
writes them (``no such file or directory``): Docker matches them case-sensitively. See WORDS.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

# What engines (containerd, CRI-O, Podman, Docker) match in our messages: each text stands here and nowhere else.
WORDS = {
    "unknown id": "container does not exist",
    "not running": "container not running",
    "not paused": "container not paused",
    "exists": "container with given ID already exists",
    "bad id": "invalid container ID format",
    "started": "cannot start an already running container",
    "start stopped": "cannot start a container that has stopped",
    "exec stopped": "cannot exec in a stopped container",
    "exec paused": "cannot exec in a paused container (use --ignore-paused to override)",
    "no config": "JSON specification file config.json not found",
    "not in path": "executable file not found in $PATH",
    "no program": "unable to start container process: exec: ",
    "no console": "cannot allocate tty if pyruntime will detach without setting console socket",
    "no terminal": "cannot use console socket if pyruntime will not detach or allocate tty",
    "no permission": "rootless needs no limits + no cgrouppath when no permission is granted for cgroups",
}


class PyruntimeError(Exception):
    """A refusal with one sentence for the reader and, where there is something to do, a hint."""

    exit_status = 1

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message


class UsageError(PyruntimeError):
    """The command line cannot be understood; see `pyruntime VERB --help`."""


class BundleError(PyruntimeError):
    """The bundle directory or its config.json cannot be read."""


class SpecError(BundleError):
    """config.json was read, but asks for something impossible; `findings` lists all of it."""

    def __init__(self, findings: Sequence[tuple[str, str, str]], hint: str | None = None) -> None:
        self.findings = list(findings)
        super().__init__(list_findings(self.findings, "config.json"), hint)


class ContainerError(PyruntimeError):
    """Something about one container, whose id is `container_id`."""

    def __init__(self, container_id: str, message: str, hint: str | None = None) -> None:
        super().__init__(message, hint)
        self.container_id = container_id


class NoSuchContainer(ContainerError):
    """No state is recorded under that id; was the same --root given?"""

    def __init__(self, container_id: str) -> None:
        super().__init__(container_id, WORDS["unknown id"])


class ContainerExists(ContainerError):
    """The id is taken; delete the old container or choose another id."""

    def __init__(self, container_id: str) -> None:
        super().__init__(container_id, WORDS["exists"])


class StateError(ContainerError):
    """The state directory holds garbage or (`foreign`) another runtime's or a newer version's state."""

    def __init__(self, container_id: str, message: str, *, foreign: bool = False) -> None:
        super().__init__(container_id, message)
        self.foreign = foreign


class WrongStatus(ContainerError):
    """The verb does not fit the container's status."""


class UnsupportedError(PyruntimeError):
    """What was asked for needs a newer kernel, a missing controller or another build; the sentence is as StepError's."""

    def __init__(
        self, what: str, pointer: str = "", *, why: str = "", hint: str | None = None
    ) -> None:
        super().__init__(sentence(what, pointer, why), hint)
        self.pointer = pointer


def sentence(what: str, pointer: str, why: str, errno: int = 0) -> str:
    """ "what (pointer): why: the kernel's words for errno"; empty parts are left out. Built here and nowhere else."""
    where = f" ({pointer})" if pointer else ""
    kernel = strerror(errno) if errno else ""
    return ": ".join([part for part in (what + where, why, kernel) if part])


class StepError(PyruntimeError):
    """A step of the plan failed: `what` was being done, for the property of config.json at `pointer` if for one."""

    def __init__(
        self,
        what: str,
        pointer: str = "",
        *,
        errno: int = 0,
        why: str = "",
        hint: str | None = None,
    ) -> None:
        super().__init__(sentence(what, pointer, why, errno), hint)
        self.pointer = pointer
        self.errno = errno


class _WholeSentence(StepError):
    """Its text is runc's, in which the pointer has no place; engines and people look for it."""

    def __init__(self, text: str, pointer: str = "", errno: int = 0) -> None:
        super().__init__(text)
        self.pointer = pointer
        self.errno = errno


class HookError(_WholeSentence):
    """A hook exited non-zero, ran past its timeout or could not be executed."""


class ProgramError(_WholeSentence):
    """The container's program is not there or may not be executed; engines tell which by the words. `said`: the
    container's stderr has the sentence already."""

    said = False


class InternalError(PyruntimeError):
    """Our bug: please report it together with the traceback."""


class KernelError(OSError):
    """A system call failed. `call` names it as the manual does; errno and filename as in OSError."""

    def __init__(self, number: int, call: str, path: str = "") -> None:
        super().__init__(number, f"{call}: {strerror(number)}", path or None)
        self.call = call


def list_findings(findings: Sequence[tuple[str, str, str]], where: str) -> str:
    """One sentence for all the (pointer, what, why) of a document."""
    rows = [
        f"{pointer or '/'}: {what}" + (f" ({why})" if why else "")
        for pointer, what, why in findings
    ]
    head = f"{where}: " if len(rows) == 1 else f"{where} has {len(rows)} mistakes: "
    return head + "; ".join(rows)


def unreadable(container_id: str, path: str, error: OSError) -> PyruntimeError:
    """Of a file of the state: damaged it is only if the file itself keeps us from reading, and not our own straits."""
    import errno

    number = error.errno or 0
    if number in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):
        return StepError(f"read {path}", errno=number)
    return StateError(container_id, f"{path} is damaged: {strerror(number)}")


def strerror(number: int) -> str:
    """The kernel's words for an errno as Go spells them (lower case)."""
    import posix

    text = posix.strerror(number)
    return text[:1].lower() + text[1:] if text[1:2].islower() or text[1:2] == " " else text
