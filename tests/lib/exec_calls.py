"""Processes put into a running container by `exec`: attached, in the background of the test, and detached.

    with running(bundle) as box:
        assert report(box, "--user", "7").uid == [7] * 3

The container's own program waits meanwhile (`inside pause`).
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.lib import facts
from tests.lib.box import PATIENCE, Box, Outcome, Stream, gone, pump
from tests.lib.bundle import Bundle

_numbers = itertools.count(1)


@contextlib.contextmanager
def running(bundle: Bundle, *flags: str, **options: Any) -> Iterator[Box]:
    """A container whose program waits; `flags` are those of create."""
    with Box(bundle.inside("pause"), **options) as box:
        box.create(*flags)
        box.start()
        box.expect("pause")
        yield box


def attached(box: Box, *words: str) -> Outcome:
    """`exec` with these flags, the id and the command in `words`, where `ID` stands for the id."""
    return box.call("exec", *[box.id if word == "ID" else word for word in words])


def inside(box: Box, *words: str, flags: tuple[str, ...] = ()) -> Outcome:
    """Runs the reporter's commands."""
    return attached(box, *flags, "ID", "/inside", *words)


def report(box: Box, *flags: str) -> facts.Facts:
    """What the reporter sees when it is put into the container with these flags."""
    outcome = inside(box, "report", flags=flags)
    assert outcome.code == 0, str(outcome)
    return outcome.facts


def refused(box: Box, *words: str) -> str:
    """The words of an exec that must fail with 255, say why in one sentence, and change nothing."""
    before = box.status
    outcome = attached(box, *words)
    assert outcome.code == 255, f"exec was expected to fail with 255: {outcome}"
    assert outcome.out == "", str(outcome)
    assert "exec failed: " in outcome.err and "Traceback" not in outcome.message, str(outcome)
    assert outcome.errors and outcome.errors[-1].startswith("exec failed: "), str(outcome)
    assert box.status == before
    return outcome.message


def process_file(box: Box, process: Mapping[str, Any] | str) -> str:
    """A file for --process, with these contents."""
    path = box.scratch / f"process-{next(_numbers)}.json"
    path.write_text(process if isinstance(process, str) else json.dumps(process))
    return str(path)


class Background:
    """An attached exec that runs while the test goes on."""

    def __init__(self, box: Box, *words: str, stdin: int = subprocess.DEVNULL) -> None:
        self.box = box
        box.log.unlink(missing_ok=True)
        self.words = ["exec", *[box.id if word == "ID" else word for word in words]]
        before, box.stdin = box.stdin, stdin
        try:
            self.process, self.out, self.err = box.spawn(*box.globals, *self.words)
        finally:
            box.stdin = before

    def expect(self, command: str, **members: Any) -> dict[str, Any]:
        return _expect(self.out, self.err, command, members)

    def send(self, number: int) -> None:
        self.process.send_signal(number)

    def wait(self) -> Outcome:
        return self.box.finish(self.process, self.out, self.err, self.words)

    def __enter__(self) -> Background:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class Detached:
    """A process of `exec --detach`: ours to wait for, as it is an engine's."""

    def __init__(self, box: Box, *words: str) -> None:
        self.pid_file = Path(box.scratch) / f"exec-{next(_numbers)}.pid"
        self.outcome = attached(box, "--detach", "--pid-file", str(self.pid_file), *words)
        assert self.outcome.code == 0, str(self.outcome)
        self.text = self.pid_file.read_text()
        self.pid = int(self.text)
        self.pidfd = os.pidfd_open(self.pid)
        self.code: int | None = None

    @property
    def out(self) -> Stream:
        return self.outcome._out

    def expect(self, command: str, **members: Any) -> dict[str, Any]:
        return _expect(self.out, self.outcome._err, command, members)

    def wait(self) -> int:
        """The exit status as a shell would say it."""
        streams = [self.out, self.outcome._err]
        assert pump(streams, lambda: gone(self.pidfd), self.pidfd, PATIENCE), "it is still there"
        for stream in streams:
            stream.drain()
        result = os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED)
        assert result is not None
        code = result.si_status if result.si_code == os.CLD_EXITED else 128 + result.si_status
        self.code = code
        return code

    def __enter__(self) -> Detached:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.code is None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
            self.wait()
        os.close(self.pidfd)


def _expect(out: Stream, err: Stream, command: str, members: Mapping[str, Any]) -> dict[str, Any]:
    """The first line of that command (and with those members), waiting for it if need be."""

    def found() -> list[dict[str, Any]]:
        whole = out.text[: out.text.rfind("\n") + 1]
        wanted = {"cmd": command, **members}
        return [line for line in facts.parse_lines(whole) if wanted.items() <= line.items()]

    pump([out, err], lambda: bool(found()) or (out.ended and err.ended), None, PATIENCE)
    assert found(), f"no `{command}` in the output: {out.text!r} {err.text!r}"
    return found()[0]
