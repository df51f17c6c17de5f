"""stdin, stdout and stderr of the program: whose they are, and pipes in the place of those it could not open by name.

A program opens /dev/stdout once more, a link to what it has as descriptor 1. As from runc, pipes and files are given to
the program's user; the terminal and the devices of the host stay whose they are (security: R-13). A socket can be opened
by nobody: `run` and `exec` in the foreground then stand between, with a pipe.
"""

from __future__ import annotations

import posix
from errno import EINVAL, EPERM, EROFS

from pyruntime.features.idioms import MODE, statx_of
from pyruntime.kernel.native import lib
from pyruntime.lib.files import S_IFIFO, S_IFMT, S_IFREG, S_IFSOCK
from pyruntime.plan import moments
from pyruntime.plan.step import Step, expect, sys, when

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from pyruntime.features.site import Site
    from pyruntime.plan.host import HostSide
    from pyruntime.spec.types import Config


def own(spec: Config, site: Site) -> Iterator[Step]:
    """Root of the host gives them away before the user namespace is entered, from where they could no longer be named
    by owner."""
    uid = spec["process"].get("user", {}).get("uid", 0)
    text = "own the pipes and files of stdio"
    if uid:
        yield Step(moments.EXECUTION, "/process/user", text, _give(uid))
    if site.has("user") and site.privileged:
        owner = host_uid(spec)
        if owner is not None:
            yield Step(moments.RAISE_LIMITS, "/process/user", text, _give(owner))


def host_uid(spec: Config) -> int | None:
    """Who the program's user is on the host; None where a joined user namespace decides."""
    uid: int = spec.get("process", {}).get("user", {}).get("uid", 0)
    linux = spec.get("linux", {})
    if not any(entry["type"] == "user" for entry in linux.get("namespaces") or ()):
        return uid
    for row in linux.get("uidMappings") or ():
        offset = uid - row["containerID"]
        if 0 <= offset < row["size"]:
            return int(row["hostID"] + offset)
    return None


def _give(uid: int) -> list[Any]:
    ops = []
    for fd in (0, 1, 2):
        give = [sys(lib.NR_fchown, fd, uid, -1, ok=(EPERM, EINVAL, EROFS))]
        ops += [
            statx_of(fd),
            *when(
                expect(MODE, S_IFIFO, 2, mask=S_IFMT),
                give,
                otherwise=when(expect(MODE, S_IFREG, 2, mask=S_IFMT), give),
            ),
        ]
    return ops


def to_be_piped(spec: Config) -> tuple[int, ...]:
    """Which of 0, 1 and 2 the program could not open again as what they are: sockets, and for output a terminal or a
    file of somebody else's."""
    found, owner = [], host_uid(spec)
    for fd in (0, 1, 2):
        facts = posix.fstat(fd)
        kind = facts.st_mode & S_IFMT
        if kind == S_IFSOCK or (
            fd and owner not in (0, facts.st_uid) and (kind == S_IFREG or posix.isatty(fd))
        ):
            found.append(fd)
    return tuple(found)


def plan(site: Site) -> Iterator[Step]:
    """Pipes in their places; the other ends are the host's to serve."""
    for fd in site.piped:
        number = site.hand(f"stdio {fd}")
        text = f"a pipe as descriptor {fd}"
        yield Step(moments.SOURCES, "/process", text, run=_maker(number, fd))
        ops = [sys(lib.NR_dup3, number, fd, 0), sys(lib.NR_close, number)]
        yield Step(moments.BIRTH, "/process", text, ops)


def _maker(number: int, fd: int) -> Any:
    def make(host: HostSide) -> None:
        reader, writer = posix.pipe2(posix.O_CLOEXEC)
        ours, theirs = (reader, writer) if fd else (writer, reader)
        host.give(number, theirs)
        host.pipes[fd] = ours

    return make
