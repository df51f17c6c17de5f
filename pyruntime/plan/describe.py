"""A plan in words: its steps in order and, of the init's, the system calls with named flags. For `plan` and for tests.

Nothing here is loaded when a container is made.
"""

from __future__ import annotations

from errno import errorcode

from pyruntime.kernel.native import lib
from pyruntime.lib import jsondoor
from pyruntime.plan import moments
from pyruntime.plan.step import EXPECT, SYSCALL, At, Buffer, Pointers, Reg

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from pyruntime.plan.step import Instruction, Step

CALLS = {getattr(lib, name): name[3:] for name in dir(lib) if name.startswith("NR_")}
OPERATIONS = (
    "syscall", "store", "load", "expect", "jump", "set", "decimal", "resolve", "sync", "home", "lookup", "hook", "wait",
    "exec", "clone", "copy",
)  # fmt: skip
HOW = ("MAKE_DIRECTORY", "MAKE_FILE", "MAKE_LIKE", "NO_SYMLINKS", "DIRECTORY")

# What the arguments of a call are: a descriptor, or flags of one of the groups below; all else speaks for itself.
SIGNATURES = {
    "chdir": "path", "chroot": "path", "close": "fd", "close_range": "fd fd close_range", "dup3": "fd fd open",
    "fchdir": "fd", "fchmodat": "fd path mode", "fchown": "fd int int", "fchownat": "fd path int int at",
    "fsconfig": "fd fsconfig", "fsetxattr": "fd", "fsmount": "fd fsmount attribute", "fsopen": "path fsopen",
    "fspick": "fd path fspick", "fstatfs": "fd", "ioctl": "fd ioctl", "ioprio_set": "ioprio", "keyctl": "keyctl",
    "mknodat": "fd path mode", "mount": "path path path mount", "mount_setattr": "fd path at attributes",
    "move_mount": "fd path fd path move_mount", "open_tree": "fd path open_tree", "openat": "fd path open mode",
    "openat2": "fd path how", "prctl": "prctl", "prlimit64": "int rlimit", "read": "fd", "seccomp": "seccomp",
    "sendmsg": "fd", "setns": "fd clone", "statx": "fd path at statx", "symlinkat": "path fd path", "umask": "mode",
    "umount2": "path umount", "unlinkat": "fd path at", "unshare": "clone", "write": "fd",
    "resolve": "fd path resolve mode fd", "sync": "fd letter", "wait": "fd fd", "clone": "fd clone", "copy": "fd fd",
    "exec": "path path path fd",
}  # fmt: skip
BITS = {
    "at": ("AT_EMPTY_PATH", "AT_RECURSIVE", "AT_SYMLINK_NOFOLLOW"), "attribute": ("MOUNT_ATTR_",),
    "clone": ("CLONE_NEW",), "close_range": ("CLOSE_RANGE_",), "fsmount": ("FSMOUNT_",), "fsopen": ("FSOPEN_",),
    "fspick": ("FSPICK_",), "mount": ("MS_",), "move_mount": ("MOVE_MOUNT_",), "open": ("O_",),
    "open_tree": ("OPEN_TREE_", "AT_EMPTY_PATH", "AT_RECURSIVE", "AT_SYMLINK_NOFOLLOW"), "resolution": ("RESOLVE_",),
    "statx": ("STATX_",), "umount": ("MNT_", "UMOUNT_"),
}  # fmt: skip
VALUES = {
    "fsconfig": ("FSCONFIG_",), "ioctl": ("TIOC", "SIOC"), "ioprio": ("IOPRIO_WHO_",), "keyctl": ("KEYCTL_",),
    "prctl": ("PR_",), "rlimit": ("RLIMIT_",), "seccomp": ("SECCOMP_",),
}  # fmt: skip


def lines(steps: Sequence[Step], descriptors: Mapping[int, str]) -> list[str]:
    """One line for each step: its side, moment, text and property; below it its instructions. `descriptors` names
    the numbers under which the init finds what it is given."""
    rows = []
    for step in steps:
        where = f" ({step.pointer})" if step.pointer else ""
        rows.append(f"{_side(step):4}  {moments.NAMES[step.moment].lower()}: {step.text}{where}")
        rows += [f"      {_line(call)}" for call in _calls(step, descriptors)]
    return rows


def document(steps: Sequence[Step], descriptors: Mapping[int, str]) -> list[dict[str, Any]]:
    """The same as data: side, moment, property (a JSON pointer), text, and calls with their arguments as words."""
    return [
        {
            "side": _side(step),
            "moment": moments.NAMES[step.moment],
            "property": step.pointer,
            "text": step.text,
            "calls": _calls(step, descriptors),
        }
        for step in steps
    ]


def _side(step: Step) -> str:
    if step.run is None:
        return "init"
    return "both" if step.ops else "host"


def _line(call: dict[str, Any]) -> str:
    result = f"${call['result']} = " if "result" in call else ""
    text = f"{result}{call['call']}({', '.join(call['arguments'])})"
    then = f"skip {call['skip']}" if call.get("skip") else "go on"
    if "accepted" in call:
        return f"{text}  # {', '.join(call['accepted'])}: {then}"
    if then == "go on":
        return text
    return f"{text}  # {then if call['call'] == 'jump' else f'else {then}'}"


def _calls(step: Step, descriptors: Mapping[int, str]) -> list[dict[str, Any]]:
    made = []
    for number, instruction in enumerate(step.ops, 1):
        call = _call(instruction, descriptors)
        if call.get("skip") == -1:
            call["skip"] = len(step.ops) - number
        made.append(call)
    return made


def _call(instruction: Instruction, descriptors: Mapping[int, str]) -> dict[str, Any]:
    op, nr, args, ok, skip, out, _ = instruction
    name = CALLS[nr] if op == SYSCALL else OPERATIONS[op]
    call: dict[str, Any] = {"call": name}
    if op == EXPECT:
        call["arguments"] = _expectation(args, descriptors)
    else:
        kinds = SIGNATURES.get(name, "").split()
        kinds += [""] * (len(args) - len(kinds))
        call["arguments"] = [
            _word(arg, kind, descriptors) for arg, kind in zip(args, kinds, strict=True)
        ]
    if out is not None:
        call["result"] = out.name
    if ok:
        call["accepted"] = [errorcode[number] for number in ok.to_bytes(4, "little") if number]
    if skip:
        call["skip"] = skip
    return call


def _expectation(args: Sequence[Any], descriptors: Mapping[int, str]) -> list[str]:
    source, _, mask, wanted, errno = args
    shown = _word(source, "", descriptors)
    if mask != -1:
        shown += f" & {mask:#o}"
    wishes = [f"{shown} == {_word(wanted, '', descriptors)}"]
    return [*wishes, f"else {errorcode[errno]}"] if errno else wishes


def _word(value: Any, kind: str, descriptors: Mapping[int, str]) -> str:
    if isinstance(value, Reg):
        return f"${value.name}"
    if isinstance(value, str):
        return jsondoor.dumps(value)
    if isinstance(value, bytes):
        return _text(value)
    if isinstance(value, At):
        return f"{_word(value.buffer, '', descriptors)}+{value.offset}"
    if isinstance(value, Buffer):
        return "<filled in later>" if value.late else f"<{len(value.data)} bytes>"
    if isinstance(value, Pointers):
        return _block(value.words, kind, descriptors)
    return _number(value, kind, descriptors)


def _text(value: bytes) -> str:
    text = value.decode("utf-8", "replace")
    return jsondoor.dumps(text) if text.isprintable() else f"<{len(value)} bytes>"


def _block(words: Sequence[Any], kind: str, descriptors: Mapping[int, str]) -> str:
    """A structure or a list of strings that the call takes by its address."""
    kinds, names = [""] * len(words), [""] * len(words)
    if kind == "how":  # struct open_how
        kinds, names = ["open", "mode", "resolution"], ["flags=", "mode=", "resolve="]
    elif kind == "attributes":  # struct mount_attr
        kinds = ["attribute", "attribute", "mount", "fd"]
        names = ["set=", "clear=", "propagation=", "userns="]
    shown = [
        f"{name}{_word(word, inner, descriptors)}"
        for name, inner, word in zip(names, kinds, words, strict=True)
        if not name or word
    ]
    return f"[{', '.join(shown)}]"


def _number(value: int, kind: str, descriptors: Mapping[int, str]) -> str:
    if kind == "fd":
        return "AT_FDCWD" if value == lib.AT_FDCWD else descriptors.get(value, str(value))
    if kind == "mode":
        return f"0o{value:o}"
    if kind == "letter":
        return repr(chr(value))
    if kind == "path":
        return "NULL" if value == 0 else str(value)
    if kind == "resolve":
        return "|".join(word for bit, word in enumerate(HOW) if value >> bit & 1) or "0"
    if kind in VALUES:
        return next((name for name, number in _named(VALUES[kind]) if number == value), str(value))
    if kind in BITS:
        return flags(value, kind)
    return str(value)


def flags(value: int, kind: str) -> str:
    if kind == "open" and not value & (lib.O_WRONLY | lib.O_RDWR | lib.O_PATH):
        names = ["O_RDONLY"]
    else:
        names = []
    rest = value
    for name, number in sorted(_named(BITS[kind]), key=lambda row: -row[1]):
        if number and rest & number == number:
            names.append(name)
            rest &= ~number
    return "|".join([*names, *([f"{rest:#x}"] if rest else [])]) or "0"


def _named(prefixes: tuple[str, ...]) -> list[tuple[str, int]]:
    return [(name, getattr(lib, name)) for name in dir(lib) if name.startswith(prefixes)]
