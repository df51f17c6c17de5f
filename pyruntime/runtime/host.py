"""The host's side of a creation: what host steps work on, and the undo of what they made.

Undo has two parts. Inside the process a list of callables, run backwards on failure; across processes the holdings
in the state directory, which `delete` reads after a SIGKILL. What outlives the process is always a holding first.
"""

from __future__ import annotations

import posix

from pyruntime.features.site import FIXED, Site

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pyruntime.cgroup.group import Cgroup
    from pyruntime.plan.record import Record
    from pyruntime.runtime.store import Entry
    from pyruntime.spec.types import Config, IDMapping


class Host:
    """Descriptors to hand over, the container's identity, its record."""

    __slots__ = (
        "site",
        "entry",
        "spec",
        "record",
        "cgroup",
        "task_fds",
        "join_fd",
        "fds",
        "mapped",
        "pid",
        "pidfd",
        "init_exe",
        "container_pid",
        "container_pidfd",
        "spawned",
        "channel",
        "run_hooks",
        "lent",
        "complaints",
        "said",
        "listener",
        "pipes",
        "_undo",
        "_ends",
    )

    def __init__(self, site: Site, entry: Entry, spec: Config, record: Record) -> None:
        self.site = site
        self.entry = entry
        self.spec = spec
        self.record = record
        self.cgroup: Cgroup | None = None
        self.task_fds: list[int] = []  # exec: v1 `tasks` files of the container's groups
        self.join_fd: int | None = None  # exec: the unified group
        self.fds: dict[int, int] = {}  # the init's number: our descriptor
        self.mapped: dict[Any, int] = {}  # user namespaces of id-mapped mounts, by their maps
        self.pid = 0
        self.pidfd = -1
        self.init_exe = [0, 0]  # st_dev, st_ino of the init's memfd
        self.container_pid = 0  # exec: the init of the container that is joined
        self.container_pidfd = -1
        self.spawned: list[Callable[[], None]] = []  # what is put back once the init is there
        self.channel: Any = None
        self.run_hooks: Callable[[], None] = lambda: None
        self.lent = (
            -1
        )  # a descriptor the init opened where only it could, for the step it waits at next
        self.complaints: list[str] = []  # what could not be undone, in words
        self.said = 0  # the number that came with the init's last word
        self.listener = -1  # of a seccomp filter, where the init sends it itself
        self.pipes: dict[int, int] = {}  # our ends, by the descriptor the program has the other of
        self._undo: list[Callable[[], None]] = []
        self._ends: list[Callable[[], None]] = []

    def give(self, number: int, fd: int) -> None:
        """The init will find `fd`, which is ours to close, under `number`."""
        self.fds[number] = fd

    def note(self, holding: dict[str, Any]) -> None:
        """Writes down what is about to outlive this process, before it exists."""
        self.entry.note(holding)

    def push(self, undo: Callable[[], None]) -> None:
        """Something was made; `undo` unmakes it should the creation fail."""
        self._undo.append(undo)

    def at_end(self, close: Callable[[], None]) -> None:
        """`close` is called once the creation has succeeded or was undone, whichever comes."""
        self._ends.append(close)

    def _end_all(self) -> None:
        self._close_mapped()
        while self._ends:
            self._ends.pop()()

    def after_spawn(self, restore: Callable[[], None]) -> None:
        """The init inherits what this process is for the moment; `restore` makes us what we were."""
        self.spawned.append(restore)

    @property
    def cgroup_fd(self) -> int:
        """The unified group the init is cloned into; -1 for none."""
        fd = self.cgroup.unified_fd if self.cgroup is not None else self.join_fd
        return -1 if fd is None else fd

    def write_id_maps(self, uids: list[IDMapping], gids: list[IDMapping]) -> None:
        """Of the new user namespace the init is in."""
        from pyruntime.runtime import idmaps

        idmaps.write(self.pid, uids, gids)

    def compare_id_maps(self, uids: list[IDMapping], gids: list[IDMapping]) -> None:
        """Of the user namespace the init has joined."""
        from pyruntime.runtime import idmaps

        idmaps.compare(self.pid, uids, gids)

    def mapped_namespace(self, uids: list[IDMapping], gids: list[IDMapping], pointer: str) -> int:
        """A user namespace with these maps, ours to close; mounts with the same maps share one."""
        from pyruntime.runtime import mapping_namespace

        key = mapping_namespace.key(uids, gids)
        if key not in self.mapped:
            exposed = self.site.in_user_namespace
            self.mapped[key] = mapping_namespace.make(uids, gids, pointer, dumpable=exposed)
        return self.mapped[key]

    def keep_listener(self, fd: int) -> None:
        """The init has sent the listener of its filter, and now asks us to pass it on."""
        self.listener = fd

    def hand_over_listener(self, path: str, metadata: str | None) -> None:
        """To the agent at `path`; the init said under which number it has it, if it did not send it."""
        from pyruntime.runtime import seccomp_agent

        seccomp_agent.hand_over(self, path, metadata)

    def ordered_fds(self) -> list[int]:
        """All handed descriptors in the order of their numbers, which have no gaps."""
        first = self.site.first_fd
        return [self.fds[first + index] for index in range(FIXED + len(self.site.handed))]

    def close_pipes(self) -> None:
        """Our ends, where nobody is to serve them."""
        while self.pipes:
            posix.close(self.pipes.popitem()[1])

    def close_handed(self) -> None:
        """After the spawn the init has its copies."""
        fds, self.fds = {*self.fds.values(), *self.mapped.values()}, {}
        self.mapped.clear()
        for fd in fds:
            posix.close(fd)
        if self.cgroup is not None:
            self.cgroup.close()
        joins, self.task_fds = self.task_fds, []
        if self.join_fd is not None:
            joins.append(self.join_fd)
            self.join_fd = None
        for fd in joins:
            posix.close(fd)

    def roll_back(self) -> None:
        self.close_pipes()
        while self._undo:
            self._undo.pop()()
        self._end_all()

    def _close_mapped(self) -> None:
        while self.mapped:
            posix.close(self.mapped.popitem()[1])

    def keep(self) -> None:
        """The creation succeeded: nothing is undone any more."""
        self._undo.clear()
        self._end_all()
