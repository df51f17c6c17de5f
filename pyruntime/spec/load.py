"""From a bundle to a document that keeps to the schema, or to every reason why it does not.

`read_config` takes exactly one regular file of bounded size and never waits on it: what an engine
calls config.json may be a fifo, a device or endless. The bytes it returns are the ones to parse and
to keep. `parse` refuses with all findings at once: the schema's, our own rules', and the features'.
"""

from __future__ import annotations

import posix

from pyruntime.errors import WORDS, BundleError, SpecError, strerror
from pyruntime.lib import jsondoor
from pyruntime.lib.files import S_IFIFO, S_IFMT, S_IFREG, S_IFSOCK
from pyruntime.spec import check, rules

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from pyruntime.spec.check import Finding

    Document = Any
    Rules = Callable[[Document], Iterable[tuple[str, str]]]

NAME = "config.json"
MAX_BYTES = 16 << 20
_CHUNK = 1 << 20
_FLAGS = posix.O_RDONLY | posix.O_NONBLOCK | posix.O_NOCTTY | posix.O_CLOEXEC


def read_config(bundle_fd: int) -> bytes:
    """The bytes of config.json in the directory `bundle_fd`."""
    try:
        fd = posix.open(NAME, _FLAGS, dir_fd=bundle_fd)
    except FileNotFoundError:
        raise BundleError(WORDS["no config"]) from None
    except OSError as error:
        raise BundleError(f"open {NAME}: {strerror(error.errno or 0)}") from None
    return _read(fd, NAME, (S_IFREG,))


def read_file(path: str, where: str) -> bytes:
    """The bytes of a file the command line names: a regular one, or a pipe that a shell made; BundleError."""
    try:
        fd = posix.open(path, _FLAGS)
    except OSError as error:
        raise BundleError(f"open {where}: {strerror(error.errno or 0)}") from None
    posix.set_blocking(fd, True)  # a pipe's writer may need a moment; without one it ends at once
    return _read(fd, where, (S_IFREG, S_IFIFO))


def read_stdin(where: str) -> bytes:
    """The bytes somebody pipes or redirects to us; a terminal would be waited for and is refused."""
    if posix.isatty(0):
        raise BundleError(f"read {where}: it is a terminal")
    return _read(posix.dup(0), where, (S_IFREG, S_IFIFO, S_IFSOCK))


def _read(fd: int, where: str, kinds: tuple[int, ...]) -> bytes:
    """All of it; `fd` is closed."""
    try:
        if posix.fstat(fd).st_mode & S_IFMT not in kinds:
            raise BundleError(f"read {where}: not a regular file")
        return _read_bounded(fd, where)
    except OSError as error:
        raise BundleError(f"read {where}: {strerror(error.errno or 0)}") from None
    finally:
        posix.close(fd)


def _read_bounded(fd: int, where: str) -> bytes:
    # A file may grow after fstat: what is read decides, and one byte too many is enough to know.
    parts: list[bytes] = []
    size = 0
    while size <= MAX_BYTES:
        part = posix.read(fd, min(_CHUNK, MAX_BYTES + 1 - size))
        if not part:
            return b"".join(parts)
        parts.append(part)
        size += len(part)
    raise BundleError(f"read {where}: larger than {MAX_BYTES >> 20} MiB")


def parse(
    data: bytes,
    where: str = NAME,
    what: str = "config",
    *,
    base: str = "",
    warnings: list[Finding] | None = None,
    extra_rules: Rules | None = None,
) -> Document:
    """The document in `data`, valid as `what`, or BundleError (not JSON) or SpecError (findings).

    `where` is the file's name for messages, `base` the pointer of the document in what it is a part
    of. `extra_rules` yields (pointer, why) of a document that keeps to the schema; it is also run on
    the sound part of one that does not.
    """
    try:
        document = jsondoor.loads_spec(data)
    except jsondoor.JsonError as error:
        raise BundleError(f"{where} is not valid JSON: {error}") from None
    findings, notices = check.inspect(document, what)
    if warnings is not None:
        warnings += notices
    sound = document
    if findings:
        from pyruntime.spec import sound as remedy

        findings = [
            (base + pointer, wrong, why)
            for pointer, wrong, why in remedy.explained(document, what, findings)
        ]
        sound = remedy.sound_part(document, what)
    if sound is not None:
        assert isinstance(sound, dict)
        more = [] if what != "config" else list(rules.rules(sound))
        if extra_rules is not None:
            more += extra_rules(sound)
        # What the sound part lacks because of a finding inside it is no second mistake.
        damaged = [pointer for pointer, _, _ in findings]
        findings += [
            (pointer, why, "")
            for pointer, why in more
            if not any(f"{place}/".startswith(f"{pointer}/") for place in damaged)
        ]
    if findings:
        from pyruntime.spec.sentences import sort_key, with_runcs_words

        raise SpecError([with_runcs_words(row) for row in sorted(findings, key=sort_key)])
    return document
