"""`stats`: the numbers of many containers, again and again.

A container is looked up once and then known by its pidfd, which tells of its end; at each sample only its groups are
read, and its network devices where they are its own. The state root is listed each time: that is how new ones are found.
"""

from __future__ import annotations

import posix
import select
import time

from pyruntime import errors
from pyruntime.cgroup import driver
from pyruntime.cgroup.quick_stats import Glance, Mounts
from pyruntime.lib.files import read_file
from pyruntime.runtime import signals, status
from pyruntime.runtime.poller import Watch
from pyruntime.runtime.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from pyruntime.lib.log import Log
    from pyruntime.plan.record import Record

NET_DEV_BYTES = 1 << 20
LOOPBACK = b"lo"


class Sampler:
    """Of the containers named, or of all. `over`: none of those named is left, or nobody listens any more."""

    __slots__ = ("store", "ids", "log", "over", "_watch", "_mounts", "_rows", "_dismissed")

    def __init__(self, root: str, ids: Sequence[str], listener_fd: int, log: Log) -> None:
        self.store = Store(root)
        self.ids = list(dict.fromkeys(ids))  # one named twice is one
        self.log = log
        self.over = False
        self._watch = Watch(many=True)
        self._mounts = Mounts()
        self._rows: dict[str, Row] = {}
        self._dismissed: dict[str, tuple[int, int]] = {}
        self._watch.add_listener(listener_fd, self._end)
        for container_id in self.ids:
            if not self._enter(container_id):
                raise errors.WrongStatus(
                    container_id, f"container with id {container_id} is not running"
                )

    def __enter__(self) -> Sampler:
        return self

    def __exit__(self, *_: object) -> None:
        for row in self._rows.values():
            posix.close(row.init)
        self._mounts.__exit__()
        self._watch.__exit__()

    def wait(self, seconds: float) -> None:
        """Until then, or until it is over."""
        due = time.monotonic() + seconds
        while not self.over and (left := due - time.monotonic()) > 0:
            self._watch.wait(left)

    def sample(self) -> list[dict[str, Any]]:
        """One row a container, by id; ended ones are left out."""
        self._watch.wait(0)
        if not self.ids:
            self._look_for_new()
        return [
            self._rows[name].read() for name in self.ids or sorted(self._rows) if name in self._rows
        ]

    def _look_for_new(self) -> None:
        for name in self.store.ids():
            if name not in self._rows:
                self._consider(name)

    def _consider(self, name: str) -> None:
        """One that was not running is asked again when its record is another."""
        try:
            facts = posix.stat(f"{name}/state.json", dir_fd=self.store.fd)
        except FileNotFoundError:
            return
        seen = (facts.st_ino, facts.st_mtime_ns)
        if self._dismissed.get(name) == seen:
            return
        self._dismissed.pop(name, None)
        try:
            if not self._enter(name):
                self._dismissed[name] = seen
        except errors.NoSuchContainer:
            return
        except errors.PyruntimeError as error:
            self._dismissed[name] = seen
            self.log.warning(f"load container {name}: {error.message}")

    def _enter(self, name: str) -> bool:
        """Whether it has an init that runs."""
        entry = self.store.open(name)
        try:
            record = entry.read_record()
            if status.status(record, entry) == "stopped":
                return False
        finally:
            entry.close()
        try:
            init = signals.open_init(record)
        except errors.WrongStatus:
            return False
        row = Row(record, init, self._mounts)
        self._rows[name] = row
        self._watch.add(init, select.EPOLLIN, lambda: self._leave(name))
        return True

    def _leave(self, name: str) -> None:
        row = self._rows.pop(name)
        self._watch.drop(row.init)
        posix.close(row.init)
        if self.ids and not self._rows:
            self.over = True

    def _end(self) -> None:
        self.over = True


class Row:
    """One container that runs. Its pid is its own as long as the pidfd has not told of its end."""

    __slots__ = ("name", "pid", "init", "_glance", "_has_network", "_before")

    def __init__(self, record: Record, init: int, mounts: Mounts) -> None:
        self.name: str = record["id"]
        self.pid: int = record["pid"]
        self.init = init
        kept = record.get("cgroup")
        self._glance = None if kept is None else Glance(driver.from_record(kept), mounts)
        self._has_network = _network_of(self.pid) != _network_of("self")
        self._before: tuple[int, int] | None = None

    def read(self) -> dict[str, Any]:
        now = time.monotonic_ns()  # the processor's file is the first that is read
        found = {} if self._glance is None else self._glance.read()
        used = found.get("cpu")
        percent = None
        if used is not None:
            if self._before is not None and now > self._before[0]:
                percent = round((used - self._before[1]) * 100 / (now - self._before[0]), 2)
            self._before = (now, used)
        read, written = found.get("io") or (None, None)
        received, sent = self._network()
        return {
            "id": self.name,
            "pid": self.pid,
            "cpu": {"percent": percent, "total": used, "pressure": found.get("cpu_pressure")},
            "memory": {
                "usage": found.get("memory"),
                "limit": found.get("memory_limit"),
                "pressure": found.get("memory_pressure"),
            },
            "pids": {"current": found.get("pids"), "limit": found.get("pids_limit")},
            "io": {"read": read, "written": written, "pressure": found.get("io_pressure")},
            "network": {"received": received, "sent": sent},
        }

    def _network(self) -> tuple[int | None, int | None]:
        """Bytes over all devices but the loopback one. Those of the host's network would not be the container's."""
        if not self._has_network:
            return None, None
        try:
            text = read_file(f"/proc/{self.pid}/net/dev", NET_DEV_BYTES)
        except OSError:
            return None, None  # it ends at this moment
        received = sent = 0
        for line in text.splitlines()[2:]:
            name, _, rest = line.partition(b":")
            if name.strip() != LOOPBACK:
                fields = rest.split()
                received += int(fields[0])
                sent += int(fields[8])
        return received, sent


def _network_of(pid: int | str) -> int:
    """The inode of its network namespace; 0 where we may not look or it has ended."""
    try:
        return posix.stat(f"/proc/{pid}/ns/net").st_ino
    except OSError:
        return 0
