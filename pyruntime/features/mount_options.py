"""The mount options the spec names, as the mount API takes them (config.md, Linux mount options).

An option sets or clears attributes of the mount (also recursively: the r forms), is a flag of the file system
context, chooses propagation, or is one of a few words with their own meaning. What is not in these tables is data
for the file system.
"""

from __future__ import annotations

from pyruntime.kernel.native import lib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyruntime.spec.types import Mount


_ATIME = lib.MOUNT_ATTR__ATIME

# option: (attributes to set, attributes to clear)
ATTRIBUTES = {
    "ro": (lib.MOUNT_ATTR_RDONLY, 0),
    "rw": (0, lib.MOUNT_ATTR_RDONLY),
    "nosuid": (lib.MOUNT_ATTR_NOSUID, 0),
    "suid": (0, lib.MOUNT_ATTR_NOSUID),
    "nodev": (lib.MOUNT_ATTR_NODEV, 0),
    "dev": (0, lib.MOUNT_ATTR_NODEV),
    "noexec": (lib.MOUNT_ATTR_NOEXEC, 0),
    "exec": (0, lib.MOUNT_ATTR_NOEXEC),
    "nosymfollow": (lib.MOUNT_ATTR_NOSYMFOLLOW, 0),
    "symfollow": (0, lib.MOUNT_ATTR_NOSYMFOLLOW),
    "nodiratime": (lib.MOUNT_ATTR_NODIRATIME, 0),
    "diratime": (0, lib.MOUNT_ATTR_NODIRATIME),
    "noatime": (lib.MOUNT_ATTR_NOATIME, _ATIME),
    "atime": (0, _ATIME),
    "relatime": (lib.MOUNT_ATTR_RELATIME, _ATIME),
    "norelatime": (0, _ATIME),
    "strictatime": (lib.MOUNT_ATTR_STRICTATIME, _ATIME),
    "nostrictatime": (0, _ATIME),
}

# Flags of the file system: (to set, to clear) for mount(2); fsconfig(2) takes the words themselves.
CONTEXT = {
    "sync": (lib.MS_SYNCHRONOUS, 0),
    "async": (0, lib.MS_SYNCHRONOUS),
    "dirsync": (lib.MS_DIRSYNC, 0),
    "lazytime": (lib.MS_LAZYTIME, 0),
    "nolazytime": (0, lib.MS_LAZYTIME),
    "mand": (lib.MS_MANDLOCK, 0),
    "nomand": (0, lib.MS_MANDLOCK),
}
# fsconfig(2) has no words for these.
BY_MOUNT2 = {
    "iversion": (lib.MS_I_VERSION, 0),
    "noiversion": (0, lib.MS_I_VERSION),
    "silent": (lib.MS_SILENT, 0),
    "loud": (0, lib.MS_SILENT),
}
NEEDS_MOUNT2 = lib.MS_I_VERSION | lib.MS_SILENT
# mount(2) passes over an empty word, too; `options=` of an engine's command line makes one.
NOTHING = ("defaults", "")

PROPAGATION = {
    "shared": (lib.MS_SHARED, False),
    "rshared": (lib.MS_SHARED, True),
    "slave": (lib.MS_SLAVE, False),
    "rslave": (lib.MS_SLAVE, True),
    "private": (lib.MS_PRIVATE, False),
    "rprivate": (lib.MS_PRIVATE, True),
    "unbindable": (lib.MS_UNBINDABLE, False),
    "runbindable": (lib.MS_UNBINDABLE, True),
}

SPECIAL = ("bind", "rbind", "remount", "tmpcopyup", "idmap", "ridmap", "copy-symlink")
# What mount(2) reads of the access times in its flags; none of them leaves a mount's own as they are.
NOATIME, NODIRATIME, RELATIME, STRICTATIME = 1, 2, 4, 8
ATIMES = {
    "noatime": (NOATIME, 0),
    "atime": (0, NOATIME),
    "nodiratime": (NODIRATIME, 0),
    "diratime": (0, NODIRATIME),
    "relatime": (RELATIME, 0),
    "norelatime": (0, RELATIME),
    "strictatime": (STRICTATIME, 0),
    "nostrictatime": (0, STRICTATIME),
}
_QUOTE = '"'


def words_of(mount: Mount) -> list[str]:
    """The options one by one: several in one string are divided by commas, as mount(2) would read them; a comma after a
    backslash or in quotes belongs to its value. Beside data only data is found: `size=1m,suid` stays the wrong size that
    it is (security: R-43)."""
    words: list[str] = mount.get("options") or []
    if not any("," in word for word in words):
        return words
    return [part for word in words for part in _taken_apart(word)]


def _taken_apart(word: str) -> list[str]:
    parts = _parts(word)
    if "=" in parts[0] and any("=" not in part and Options([part]).is_flag for part in parts):
        return [word]
    return parts


def _parts(text: str) -> list[str]:
    parts, quoted, escaped = [""], False, False
    for letter in text:
        if letter == "," and not (quoted or escaped):
            parts.append("")
            continue
        quoted ^= letter == _QUOTE and not escaped
        escaped = letter == "\\" and not escaped
        parts[-1] += letter
    return parts


class Options:
    """One mount's options, sorted."""

    __slots__ = ("set", "clear", "set_all", "clear_all", "context", "flags2", "propagation", "bind", "recursive",
                 "remount", "copy_up", "idmap", "maps", "data", "named", "atimes", "copy_link")  # fmt: skip

    def __init__(self, words: Iterable[str]) -> None:
        self.set = self.clear = self.set_all = self.clear_all = 0
        self.flags2 = 0  # of mount(2)
        self.context: list[str] = []
        self.propagation: list[tuple[int, bool]] = []
        self.bind = self.recursive = self.remount = self.copy_up = False
        self.copy_link = False  # crun's copy-symlink
        self.idmap = ""  # the word that asks for it
        self.maps = ""  # what stands after `idmap=`
        self.named = False  # some flag of the mount itself is
        self.atimes = 0  # of NOATIME … STRICTATIME, as mount(2) would be given them
        self.data: list[str] = []
        for word in words:
            self._add(word)

    @property
    def is_flag(self) -> bool:
        """Whether anything but data was among the words."""
        return not self.data

    @property
    def read_only(self) -> bool:
        return bool(self.set & lib.MOUNT_ATTR_RDONLY)

    def flatten(self) -> None:
        """Of a file system that is made there is nothing below yet: recursive options are plain ones."""
        self.set = self.set & ~self.clear_all | self.set_all
        self.clear = self.clear & ~self.set_all | self.clear_all
        self.set_all = self.clear_all = 0

    def _add(self, word: str) -> None:
        attribute = ATTRIBUTES.get(word)
        self.named |= attribute is not None or word in CONTEXT or word in BY_MOUNT2
        if attribute is not None:
            on, off = ATIMES.get(word, (0, 0))
            self.atimes = self.atimes & ~off | on
            self.set = self.set & ~attribute[1] | attribute[0]
            self.clear = self.clear & ~attribute[0] | attribute[1]
        elif word in PROPAGATION:
            self.propagation.append(PROPAGATION[word])
        elif word[:1] == "r" and word[1:] in ATTRIBUTES:
            attribute = ATTRIBUTES[word[1:]]
            self.set_all = self.set_all & ~attribute[1] | attribute[0]
            self.clear_all = self.clear_all & ~attribute[0] | attribute[1]
        elif word in CONTEXT:
            self.context.append(word)
            self.flags2 = self.flags2 & ~CONTEXT[word][1] | CONTEXT[word][0]
        elif word in BY_MOUNT2:
            self.flags2 = self.flags2 & ~BY_MOUNT2[word][1] | BY_MOUNT2[word][0]
        elif word in SPECIAL:
            self.bind |= word in ("bind", "rbind")
            self.copy_up |= word == "tmpcopyup"
            self.recursive |= word == "rbind"
            self.remount |= word == "remount"
            self.copy_link |= word == "copy-symlink"
            if word in ("idmap", "ridmap"):
                self.idmap = word
        elif word.startswith(("idmap=", "ridmap=")):
            self.idmap, _, self.maps = word.partition("=")
        elif word not in NOTHING:
            self.data.append(word)


def names() -> list[str]:
    """Every option this runtime knows, for `pyruntime features`."""
    known = {*ATTRIBUTES, *PROPAGATION, *CONTEXT, *BY_MOUNT2, *NOTHING, *SPECIAL}
    known |= {"r" + word for word in ATTRIBUTES}
    return sorted(known - {""})
