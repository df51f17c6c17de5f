"""`events` of one container: what it uses, at intervals, and that its memory ran out, when it did.

Ends when the container's init does, which its pidfd tells; a container that disappears meanwhile is no failure (R-39).
"""

from __future__ import annotations

import posix
import select
import time

from pyruntime import errors
from pyruntime.cgroup import driver, notifications
from pyruntime.runtime import signals
from pyruntime.runtime.poller import Watch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pyruntime.plan.record import Record
    from pyruntime.runtime.container import Container

    Say = Callable[[dict[str, Any]], None]
    Shares = Callable[[], dict[str, Any]]


def once(container: Container, say: Say) -> None:
    """One line of statistics."""
    if container.status == "stopped":
        raise not_running(container)
    say(_stats(container.record, _shares(container)))


def stream(container: Container, interval_s: float, say: Say, listener_fd: int) -> None:
    """Until the container ends, or nobody listens any more."""
    if container.status == "stopped":
        raise not_running(container)
    record = container.record
    _groups(record)
    try:
        init = signals.open_init(record)
    except errors.WrongStatus:
        raise not_running(container) from None
    try:
        with Watch() as watch:
            Stream(record, _shares(container), watch, say).run(init, interval_s, listener_fd)
    finally:
        posix.close(init)


class Stream:
    __slots__ = ("record", "shares", "watch", "say", "over", "memory")

    def __init__(self, record: Record, shares: Shares, watch: Watch, say: Say) -> None:
        self.record = record
        self.shares = shares
        self.watch = watch
        self.say = say
        self.over = False
        self.memory = notifications.out_of_memory(driver.from_record(record["cgroup"]))

    def run(self, init: int, interval_s: float, listener_fd: int) -> None:
        memory = self.memory
        try:
            self.watch.add(init, select.EPOLLIN, self._end)
            self.watch.add_listener(listener_fd, self._end)
            if memory is not None:
                self.watch.add(memory.fd, memory.mask, self._tell)
            due = time.monotonic() + interval_s
            while not self.over:
                left = due - time.monotonic()
                if left > 0:
                    self.watch.wait(left)
                    continue
                self.say(_stats(self.record, self.shares))
                due = max(due + interval_s, time.monotonic())
                self.watch.wait(0)
            self._tell()  # the kernel announces before it kills
        finally:
            if memory is not None:
                memory.close()

    def _tell(self) -> None:
        if self.memory is None:
            return
        news = self.memory.read()
        if news is None:
            self.over = True
        elif news and notifications.is_out_of_memory(self.memory):
            self.say({"type": "oom", "id": self.record["id"]})

    def _end(self) -> None:
        self.over = True


def _shares(container: Container) -> Shares:
    """What tells of the container's resctrl group. Hardly any has one: a look at the bytes spares the parsing."""
    try:
        data = container.entry.config_bytes()
        if b'"intelRdt"' not in data and b"\\u" not in data:
            return dict
        config = container.entry.config()
    except FileNotFoundError:  # deleted at this moment
        return dict
    from pyruntime.features import intel_rdt

    return lambda: intel_rdt.stats(config, container.entry.id)


def _stats(record: Record, shares: Shares) -> dict[str, Any]:
    """Network interfaces are null from runc as well: it would count only those it had made itself."""
    used = driver.stats(_groups(record))
    used |= {"intel_rdt": shares(), "network_interfaces": None}
    return {"type": "stats", "id": record["id"], "data": used}


def _groups(record: Record) -> dict[str, Any]:
    groups: dict[str, Any] | None = record.get("cgroup")
    if groups is None:
        raise errors.UnsupportedError("a container without a cgroup of its own has no statistics")
    return groups


def not_running(container: Container) -> errors.WrongStatus:
    """The words of runc."""
    name = container.record["id"]
    return errors.WrongStatus(name, f"container with id {name} is not running")
