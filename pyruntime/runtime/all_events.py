"""`events --all`: what happens to every container of a state root, told as it happens.

inotify tells of names in the state root and of new records in a container's directory (they are put in place by rename),
the pidfd of its end, its groups of what they announce (cgroup/notifications.py). Nothing is asked at intervals. What is told is
what is found when there is time to look: a container that was made and deleted within that moment is not told of.
"""

from __future__ import annotations

import errno
import posix
import select

from pyruntime import errors
from pyruntime.cgroup import driver, notifications
from pyruntime.kernel.inotify import Inotify
from pyruntime.kernel.native import lib
from pyruntime.runtime import exit_status, identity, interlude, signals, status
from pyruntime.runtime.poller import LONGEST_S, Watch
from pyruntime.runtime.record import timestamp
from pyruntime.runtime.store import Store, is_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from pyruntime.cgroup.group import Cgroup
    from pyruntime.cgroup.notifications import Notice, Trigger
    from pyruntime.lib.log import Log
    from pyruntime.plan.record import Record
    from pyruntime.runtime.store import Entry

    Say = Callable[[dict[str, Any]], None]

NOT_YET, CREATED, STARTED, EXITED = range(4)
REACHED = {"creating": NOT_YET, "created": CREATED, "starting": CREATED, "running": STARTED}


def watch(root: str, triggers: Sequence[Trigger], say: Say, listener_fd: int, log: Log) -> None:
    """Until nobody listens any more. The state root is made if missing: its containers are still to come."""
    for trigger in triggers:
        trigger.check()
    store = Store(root, create=True)
    with Watch(many=True) as waiting:
        crowd = Crowd(store, waiting, triggers, say, log)
        try:
            waiting.add_listener(listener_fd, crowd.end)
            crowd.begin()
            while not crowd.over:
                waiting.wait(LONGEST_S)
        finally:
            crowd.close()


class Crowd:
    """The members by id, and by the number of the watch on their directory."""

    __slots__ = (
        "store",
        "watch",
        "triggers",
        "log",
        "inotify",
        "members",
        "by_watch",
        "over",
        "above",
        "_say",
    )

    def __init__(
        self, store: Store, watch: Watch, triggers: Sequence[Trigger], say: Say, log: Log
    ) -> None:
        self.store = store
        self.watch = watch
        self.triggers = triggers
        self.log = log
        self.inotify = Inotify()
        self.members: dict[str, Member] = {}
        self.by_watch: dict[int, Member] = {}
        self.over = False
        self.above = -1
        self._say = say

    def begin(self) -> None:
        """Tells who is there."""
        mask = lib.IN_CREATE | lib.IN_MOVED_FROM | lib.IN_DELETE
        self.inotify.add(self.store.fd, mask)
        self._watch_above()
        self._check_root()
        self.watch.add(self.inotify.fd, select.EPOLLIN, self._read_inotify)
        for container_id in self.store.ids():
            self._enter(container_id, is_new=False)

    def end(self) -> None:
        self.over = True

    def _watch_above(self) -> None:
        """inotify reports the deletion of a directory that we hold open only after we close it, so its parent is watched."""
        above = posix.open(
            "..", posix.O_PATH | posix.O_DIRECTORY | posix.O_CLOEXEC, dir_fd=self.store.fd
        )
        try:
            self.above = self.inotify.add(above, lib.IN_MOVED_FROM | lib.IN_DELETE)
        except errors.KernelError as error:
            if (
                error.errno != errno.EACCES
            ):  # not for us to read: that the state root goes is not noticed then
                raise
        finally:
            posix.close(above)

    def _check_root(self) -> None:
        try:
            found = posix.stat(self.store.path).st_ino
        except FileNotFoundError:
            found = 0
        if found != posix.fstat(self.store.fd).st_ino:
            raise errors.StepError(f"the state directory `{self.store.path}` was removed")

    def close(self) -> None:
        self.inotify.close()
        for member in self.members.values():
            member.close()

    def say(self, kind: str, container_id: str, data: dict[str, Any]) -> None:
        self._say({"type": kind, "id": container_id, "time": timestamp(), "data": data})

    def _read_inotify(self) -> None:
        for number, mask, name in self.inotify.read():
            if mask & lib.IN_Q_OVERFLOW:
                self._look_again()
            elif number == self.above:
                self._check_root()
            elif number in self.by_watch:
                if (mask & lib.IN_MOVED_TO and name == "state.json") or not name:
                    self.by_watch[number].refresh(is_new=True)
            elif is_id(name):
                if mask & lib.IN_CREATE:
                    self._enter(name, is_new=True)
                else:
                    self._leave(name)

    def _look_again(self) -> None:
        """Some of the news was lost: what is true now is told."""
        for name in [*self.members]:
            self._leave(name)
        for name in self.store.ids():
            self._enter(name, is_new=True)
        for member in self.members.values():
            member.refresh(is_new=True)

    def _enter(self, container_id: str, *, is_new: bool) -> None:
        if container_id in self.members:
            return
        try:
            entry = self.store.open(container_id)
        except errors.NoSuchContainer:
            return  # gone again
        except errors.ContainerError as error:
            if isinstance(error.__cause__, NotADirectoryError):
                return
            self.log.warning(f"{error.message}: nothing is told of it")
            return
        member = Member(self, entry)
        self.members[container_id] = member
        # The watch first: what is written after this look is told.
        self.by_watch[self.inotify.add(entry.fd, lib.IN_MOVED_TO)] = member
        member.refresh(is_new=is_new)

    def _leave(self, container_id: str) -> None:
        member = self.members.get(container_id)
        if member is None or member.is_there():
            return
        del self.members[container_id]
        self.by_watch = {number: row for number, row in self.by_watch.items() if row is not member}
        member.leave()


class Member:
    """One container: what of it was told, and what is waited for."""

    __slots__ = (
        "crowd", "entry", "record", "reached", "init", "notices", "has_ended", "wait_status",
    )  # fmt: skip

    def __init__(self, crowd: Crowd, entry: Entry) -> None:
        self.crowd = crowd
        self.entry = entry
        self.record: Record
        self.reached = NOT_YET
        self.init = -1
        self.notices: list[Notice] = []
        self.has_ended = False
        self.wait_status: int | None = None

    def is_there(self) -> bool:
        """Whether the name is this very directory's still: the news of its end may be of an earlier one."""
        try:
            named = posix.stat(self.entry.id, dir_fd=self.crowd.store.fd, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return named.st_ino == posix.fstat(self.entry.fd).st_ino

    def refresh(self, *, is_new: bool) -> None:
        """Looks at the record, and does what follows from it."""
        self._look(is_new=is_new)
        if self.has_ended and self.reached < EXITED:
            self._conclude()
        elif self.init < 0 and CREATED <= self.reached < EXITED:
            self._attend()

    def _look(self, *, is_new: bool) -> None:
        """Tells what was reached since the last look."""
        try:
            self.record = self.entry.read_record()
        except errors.NoSuchContainer:
            return  # nothing is written yet, or all is gone: there will be news of both
        except errors.StateError as error:
            self.crowd.log.warning(error.message)
            return
        before, self.reached = self.reached, max(self.reached, REACHED[self.record["status"]])
        now = {"pid": self.record["pid"]}
        if not is_new:
            now_status = status.status(self.record, self.entry)
            self.say("found", {"status": now_status} | now)
            if now_status == "stopped":
                self.reached = EXITED
            return
        if before < CREATED <= self.reached:
            self.say("created", now | {"bundle": self.record["bundle"]})
        if before < STARTED <= self.reached:
            self.say("started", now)

    def _attend(self) -> None:
        """Waits for the end and for what the groups announce. A container may have ended by now."""
        self.init = signals.open_process(self.record)
        if self.init < 0 or not identity.is_of(self.init, self.record):
            self.has_ended = True  # waited for already, and the number perhaps another's
            self._conclude()
            return
        if self.record.get("cgroup"):
            self._listen()
        self.crowd.watch.add(self.init, select.EPOLLIN, self._end)

    def _listen(self) -> None:
        """What cannot be listened to is said, and the rest is told all the same."""
        opening: list[Callable[[Cgroup], Notice | None]] = [
            notifications.out_of_memory,
            notifications.processes,
            *(
                lambda groups, it=trigger: notifications.pressure(groups, it)
                for trigger in self.crowd.triggers
            ),
        ]
        for opened in opening:
            try:
                notice = opened(driver.from_record(self.record["cgroup"]))
            except (OSError, errors.PyruntimeError) as error:
                self.crowd.log.warning(f"listen to container {self.entry.id}: {error}")
                continue
            if notice is not None:
                self.notices.append(notice)
                self.crowd.watch.add(notice.fd, notice.mask, lambda it=notice: self._hear(it))  # type: ignore[misc]

    def _hear(self, notice: Notice) -> None:
        news = notice.read()
        if news is None:
            self._drop(notice)
        elif news:
            if notifications.is_out_of_memory(notice):
                self.say("oom", news)
            if notice.kind != "oom":
                self.say(notice.kind, news)

    def _drop(self, notice: Notice) -> None:
        self.notices.remove(notice)
        self.crowd.watch.drop(notice.fd)
        notice.close()

    def _end(self) -> None:
        """The init has ended. What its groups announced before comes first."""
        for notice in [*self.notices]:
            if notice.kind != "pressure":
                self._hear(notice)
        self.crowd.watch.drop(self.init)
        record = self.record
        self.has_ended = True
        self.wait_status = exit_status.wait_status(self.init, record["pid"], record["startTime"])
        self.refresh(is_new=True)

    def _conclude(self) -> None:
        """A program may end before whoever starts it has written down that it runs, which is under the lock. The
        lock goes when the directory is closed: of that there will be news."""
        if self.reached < STARTED:
            self.crowd.inotify.add(self.entry.fd, lib.IN_MOVED_TO | lib.IN_CLOSE_NOWRITE)
            if self.entry.is_locked_by_another() or interlude.is_on(self.entry):
                return
            self._look(is_new=True)
            self.crowd.inotify.add(self.entry.fd, lib.IN_MOVED_TO)
        self._exited()

    def _exited(self) -> None:
        self.reached = EXITED
        code, signal = exit_status.code_and_signal(self.wait_status)
        self.say("exited", {"pid": self.record["pid"], "code": code, "signal": signal})
        self._stop_listening()

    def leave(self) -> None:
        """The directory has lost its name. The end is told first, which may not have been read yet."""
        if not self.has_ended and self.init >= 0 and _is_ready(self.init):
            self._end()
        if self.has_ended and self.reached < EXITED:
            self._exited()
        if self.reached > NOT_YET:
            self.say("deleted", {})
        if not self.has_ended and self.init >= 0:
            self.crowd.watch.drop(self.init)
        self.close()

    def close(self) -> None:
        self._stop_listening()
        self.entry.close()

    def _stop_listening(self) -> None:
        for notice in [*self.notices]:
            self._drop(notice)
        if self.init >= 0:
            posix.close(self.init)
            self.init = -1

    def say(self, kind: str, data: dict[str, Any]) -> None:
        self.crowd.say(kind, self.entry.id, data)


def _is_ready(fd: int) -> bool:
    """poll(2): select(2) knows no descriptor above 1023, and a crowd has many."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(0))
