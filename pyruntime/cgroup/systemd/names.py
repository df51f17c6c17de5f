"""linux.cgroupsPath as the systemd driver means it: `slice:prefix:name`, and where that unit's group stands.

`prefix-name.scope` in `slice`; a name that ends in `.slice` is that slice. The text is runc's, engines write it. What
systemd takes for no name is refused (a slice, which exists already under its name) or escaped (a scope, which is ours).
"""

from __future__ import annotations

from pyruntime import errors

POINTER = "/linux/cgroupsPath"
PREFIX = "pyruntime"
MAX_BYTES = 255
LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:-_.\\@")
# A group of such a name would look like a file of the kernel's; systemd puts a `_` before it (cg_escape()).
FILES = ("notify_on_release", "release_agent", "tasks")
CONTROLLERS = frozenset("cgroup cpu cpuacct cpuset io blkio memory devices pids".split())


class Unit:
    """A scope or slice, and the slice it stands in (`-.slice` is the root)."""

    __slots__ = ("name", "slice")

    def __init__(self, name: str, slice_: str) -> None:
        self.name = name
        self.slice = slice_

    @property
    def is_slice(self) -> bool:
        return self.name.endswith(".slice")

    @property
    def path(self) -> str:
        """Of its group, beneath the one systemd itself stands in; starts with a slash."""
        if self.is_slice:
            return "/" + "/".join(_expanded(self.name))
        return "/" + "/".join([*_expanded(self.slice), _as_directory(self.name)])


def unit(cgroups_path: str | None, container_id: str, *, user: bool) -> Unit:
    """`user`: in the service manager of a user, whose slices are others."""
    if cgroups_path:
        parts = cgroups_path.split(":")
        if len(parts) != 3:
            raise errors.StepError(
                f"expected cgroupsPath to be of format `slice:prefix:name` for systemd cgroups, got `{cgroups_path}` instead",
                POINTER,
            )
        slice_, prefix, name = parts
    else:
        slice_, prefix, name = "", PREFIX, container_id
    slice_ = slice_ or ("user.slice" if user else "system.slice")
    _refuse_bad_slice(slice_)
    if name.endswith(".slice"):
        _refuse_bad_slice(name)
        if name == "-.slice":
            raise _refused(name, "is everybody's")
        return Unit(name, _parent(name))
    if not name:
        raise _refused(cgroups_path or "", "has no name")
    for part in (prefix, name):
        if "/" in part or "\0" in part:
            raise _refused(part, "holds a slash or a NUL")
    scope = _escaped(f"{prefix}-{name}.scope")
    if len(scope) > MAX_BYTES:
        raise _refused(scope, f"is longer than {MAX_BYTES} bytes")
    return Unit(scope, slice_)


def object_path(name: str) -> str:
    """Where a unit is found on the bus: what is no letter or digit becomes `_` and two hexadecimal digits."""
    text = ""
    for number in name.encode():
        letter = chr(number)
        plain = letter.isalnum() and letter.isascii() and not (letter.isdigit() and not text)
        text += letter if plain else f"_{number:02x}"
    return f"/org/freedesktop/systemd1/unit/{text}"


def _refuse_bad_slice(name: str) -> None:
    stem = name.removesuffix(".slice")
    if stem == name or not stem or not LETTERS.issuperset(stem) or len(name) > MAX_BYTES:
        raise _refused(name, "is not the name of a slice")
    if stem != "-" and (stem[0] == "-" or stem[-1] == "-" or "--" in stem):
        raise _refused(name, "is not the name of a slice")


def _parent(name: str) -> str:
    stem = name.removesuffix(".slice").rpartition("-")[0]
    return f"{stem or '-'}.slice"


def _expanded(name: str) -> list[str]:
    """`a-b.slice` stands in `a.slice`."""
    if name == "-.slice":
        return []
    return [*_expanded(_parent(name)), _as_directory(name)]


def _as_directory(name: str) -> str:
    taken = name[0] in "_." or name in FILES or name.partition(".")[0] in CONTROLLERS
    return f"_{name}" if taken else name


def _escaped(name: str) -> str:
    """As systemd-escape(1)."""
    return "".join(
        letter
        if letter in LETTERS
        else "".join(f"\\x{byte:02x}" for byte in letter.encode("utf-8", "surrogateescape"))
        for letter in name
    )


def _refused(name: str, why: str) -> errors.StepError:
    return errors.StepError(f"cgroupsPath for systemd: `{name}` {why}", POINTER)
