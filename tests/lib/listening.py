"""A verb that goes on printing lines of JSON while a test does something: `events`, `stats`."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.lib.box import Box, Outcome, Stream, pump
from tests.lib.patience import deadline

Event = dict[str, Any]
LISTENING = ("eventfd", "memory.events")


def _listens(pid: int) -> bool:
    """An inotify descriptor counts once it watches something."""
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            link = os.readlink(f"/proc/{pid}/fd/{fd}")
            if "inotify" in link:
                return "inotify wd" in Path(f"/proc/{pid}/fdinfo/{fd}").read_text()
        except FileNotFoundError:
            continue
        if any(word in link for word in LISTENING):
            return True
    return False


class Listener:
    """`with Listener(box, "events", box.id) as events: events.expect("oom")`; killed at the end if it goes on."""

    def __init__(self, box: Box, *words: str) -> None:
        self.words = words
        self.box = box
        # A log of its own: the box's is emptied by each call.
        log = ["--log", str(box.scratch / "listener.json"), "--log-format", "json"]
        self.process: subprocess.Popen[bytes]
        self.out: Stream
        self.err: Stream
        self.process, self.out, self.err = box.spawn("--root", str(box.root), *log, *words)

    @property
    def events(self) -> list[Event]:
        text = self.out.text
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]

    def of(self, kind: str) -> list[Event]:
        return [event for event in self.events if event["type"] == kind]

    def until(self, done: Callable[[], bool]) -> None:
        pump([self.out], lambda: done() or self.out.ended, None, self.box.patience)
        assert done(), f"{self.words}: {self.out.text}\n{self.err.text}"

    def expect(self, kind: str, times: int = 1, of: str = "") -> Event:
        """The newest event of that type, once there are so many."""

        def found() -> list[Event]:
            return [event for event in self.of(kind) if not of or event["id"] == of]

        self.until(lambda: len(found()) >= times)
        return found()[-1]

    def ready(self) -> None:
        """Waits until it listens, which shows in its descriptors."""
        end = deadline(self.box.patience)
        while not _listens(self.process.pid):
            assert time.monotonic() < end and self.process.poll() is None, self.err.text
            select.select([], [], [], 0.01)

    def end(self) -> Outcome:
        """Waits until it ends by itself."""
        return self.box.finish(self.process, self.out, self.err, self.words)

    def __enter__(self) -> Listener:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()
