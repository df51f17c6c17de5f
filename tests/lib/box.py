"""A container for the time of a `with` block, driven through the runtime's command line.

    with Box(bundle) as box:
        box.create()
        box.start()
        assert box.wait() == 0
        assert box.facts.hostname == "web"

The box is what an engine is to a runtime: it gives the stdio, is the child subreaper the container's init is
re-parented to, and waits for the pid in the pid file. Nothing here sleeps: it polls pidfds and pipes. Leaving
the block always runs `delete --force`.
"""

from __future__ import annotations

import itertools
import json
import os
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from tests.lib import facts, kernel, programs
from tests.lib.bundle import Bundle
from tests.lib.patience import deadline as scaled_deadline

PATIENCE = 15.0
MARKER = f"pt{os.getpid()}x"
_numbers = itertools.count(1)


def unique_id() -> str:
    """An id that names this test process, so that what it leaves behind can be told from anybody else's."""
    return f"{MARKER}{next(_numbers)}"


class Stream:
    """The reading end of a pipe and everything read from it so far."""

    def __init__(self) -> None:
        self.fd, self.writer = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self.fd, False)
        self.data = bytearray()
        self.ended = False

    def close_writer(self) -> None:
        if self.writer >= 0:
            os.close(self.writer)
            self.writer = -1

    def drain(self) -> None:
        while not self.ended:
            try:
                got = os.read(self.fd, 1 << 16)
            except BlockingIOError:
                return
            self.ended = not got
            self.data += got

    def close(self) -> None:
        self.close_writer()
        if self.fd >= 0:
            os.close(self.fd)
            self.fd, self.ended = -1, True

    @property
    def text(self) -> str:
        return self.data.decode("utf-8", "surrogateescape")


def pump(
    streams: Sequence[Stream], done: Callable[[], bool], pidfd: int | None, patience: float
) -> bool:
    """Reads the streams until `done()`; wakes up for data and for the end of the process of `pidfd`."""
    deadline = scaled_deadline(patience)
    while True:
        for stream in streams:
            stream.drain()
        if done():
            return True
        left = deadline - time.monotonic()
        poll = select.poll()
        for stream in streams:
            if not stream.ended:
                poll.register(stream.fd, select.POLLIN)
        if pidfd is not None:
            poll.register(pidfd, select.POLLIN)
        if left <= 0 or not poll.poll(left * 1000):
            return False


def gone(pidfd: int) -> bool:
    return bool(select.select([pidfd], [], [], 0)[0])


class Outcome:
    """How one call of the runtime ended."""

    def __init__(
        self, code: int, out: Stream, err: Stream, log: Path, words: Sequence[str]
    ) -> None:
        self.code = code
        self.words = list(words)
        self._out, self._err = out, err
        self.log_text = log.read_text(errors="surrogateescape") if log.is_file() else ""

    @property
    def out(self) -> str:
        return self._out.text

    @property
    def err(self) -> str:
        return self._err.text

    @property
    def records(self) -> list[dict[str, Any]]:
        """The lines of a JSON log; a line that is not JSON is a failure."""
        return [json.loads(line) for line in self.log_text.splitlines()]

    @property
    def errors(self) -> list[str]:
        return [record["msg"] for record in self.records if record["level"] in ("error", "fatal")]

    @property
    def lines(self) -> list[dict[str, Any]]:
        return facts.parse_lines(self.out)

    @property
    def facts(self) -> facts.Facts:
        reports = [line for line in self.lines if line.get("cmd") == "report"]
        assert reports, f"no report in the output: {self}"
        return facts.Facts(reports[0])

    @property
    def message(self) -> str:
        """Everything that was said about a failure, wherever it was said."""
        return self.err + self.log_text

    def __str__(self) -> str:
        words = " ".join(self.words)
        return f"`{words}` ended with {self.code}\nout: {self.out}\nerr: {self.err}\nlog: {self.log_text}"

    __repr__ = __str__


class Box:
    """One container: its id, its private state root, its output, its init."""

    def __init__(
        self,
        bundle: Bundle,
        *,
        container_id: str | None = None,
        root: Path | None = None,
        env: Mapping[str, str] | None = None,
        prepare: Callable[[], None] | None = None,
        stdin: int | IO[bytes] = subprocess.DEVNULL,
        patience: float = PATIENCE,
        wrap: Sequence[str] = (),
    ) -> None:
        self.bundle = bundle
        self.id = container_id or unique_id()
        self.scratch = Path(tempfile.mkdtemp(prefix="box-", dir=bundle.directory))
        self.root = root or self.scratch / "root"
        self.env = env
        self.prepare = prepare
        self.stdin = stdin
        self.patience = patience
        self.wrap = wrap
        self.pid = 0
        self.pidfd: int | None = None
        self.code: int | None = None
        self.streams: list[Stream] = []
        self.stdout: Stream | None = None
        self.stderr: Stream | None = None

    # Calling the runtime

    def spawn(self, *words: str) -> tuple[subprocess.Popen[bytes], Stream, Stream]:
        """Starts the runtime with these words and fresh pipes; the caller waits for it."""
        out, err = Stream(), Stream()
        self.streams += [out, err]
        process = subprocess.Popen(
            [*self.wrap, *programs.runtime_command(), *words],
            stdin=self.stdin,
            stdout=out.writer,
            stderr=err.writer,
            env=self.env,
            preexec_fn=self.prepare,
            close_fds=False,  # ours are close-on-exec; what `prepare` opens is meant to leak
        )
        out.close_writer()
        err.close_writer()
        return process, out, err

    def finish(
        self, process: subprocess.Popen[bytes], out: Stream, err: Stream, words: Sequence[str]
    ) -> Outcome:
        pidfd = os.pidfd_open(process.pid)
        try:
            if not pump([out, err], lambda: gone(pidfd), pidfd, self.patience):
                process.kill()
                process.wait()
                raise AssertionError(f"`{' '.join(words)}` hung\nout: {out.text}\nerr: {err.text}")
        finally:
            os.close(pidfd)
        code = process.wait()
        out.drain()
        err.drain()
        return Outcome(code, out, err, self.log, words)

    @property
    def log(self) -> Path:
        return self.scratch / "log.json"

    @property
    def globals(self) -> list[str]:
        return ["--root", str(self.root), "--log", str(self.log), "--log-format", "json"]

    def call(self, *words: str, check: bool = False) -> Outcome:
        """One verb with the usual global options; the log holds this call's lines only."""
        self.log.unlink(missing_ok=True)
        outcome = self.bare(*self.globals, *words)
        assert not check or outcome.code == 0, str(outcome)
        return outcome

    def bare(self, *words: str) -> Outcome:
        """Exactly these words and nothing else."""
        process, out, err = self.spawn(*words)
        return self.finish(process, out, err, words)

    # Verbs

    def create(self, *flags: str, check: bool = True) -> Outcome:
        self.bundle.write(self.id)
        pid_file = self.scratch / "pid"
        where = ["--bundle", str(self.bundle.directory), "--pid-file", str(pid_file)]
        outcome = self.call("create", *where, *flags, self.id, check=check)
        self.stdout, self.stderr = outcome._out, outcome._err
        if outcome.code == 0:
            self.adopt(int(pid_file.read_text()))
        return outcome

    def adopt(self, pid: int) -> None:
        self.pid, self.pidfd, self.code = pid, os.pidfd_open(pid), None

    def start(self, check: bool = True) -> Outcome:
        return self.call("start", self.id, check=check)

    def run(self, *flags: str, check: bool = False) -> Outcome:
        """Foreground, unless the flags say --detach."""
        self.bundle.write(self.id)
        pid_file = self.scratch / "pid"
        where = ["--bundle", str(self.bundle.directory), "--pid-file", str(pid_file)]
        outcome = self.call("run", *where, *flags, self.id, check=check)
        self.stdout, self.stderr = outcome._out, outcome._err
        if "--detach" in flags and outcome.code == 0:
            self.adopt(int(pid_file.read_text()))
        return outcome

    def state(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.call("state", self.id, check=True).out)
        return document

    @property
    def status(self) -> str:
        return str(self.state()["status"])

    def kill(self, *words: str | int, check: bool = True) -> Outcome:
        return self.call("kill", self.id, *map(str, words), check=check)

    def delete(self, *flags: str, check: bool = True) -> Outcome:
        return self.call("delete", *flags, self.id, check=check)

    # Waiting and reading

    def wait(self, patience: float = PATIENCE) -> int:
        """The exit status of the container's init, as a shell would say it (128+n after a signal)."""
        if self.code is not None:
            return self.code
        assert self.pidfd is not None, "the container was never created"
        pidfd = self.pidfd
        assert pump(self.container_streams, lambda: gone(pidfd), pidfd, patience), (
            f"the container is still there after {patience} s; it said: {self.output}"
        )
        for stream in self.container_streams:
            stream.drain()
        self.code = self.reap()
        return self.code

    def ended(self, patience: float) -> bool:
        """Whether the init is gone, or goes within that time."""
        pidfd = self.pidfd
        return pidfd is None or pump([], lambda: gone(pidfd), pidfd, patience)

    def reap(self) -> int:
        assert self.pidfd is not None
        result = os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED)
        os.close(self.pidfd)
        self.pidfd = None
        assert result is not None
        return result.si_status if result.si_code == os.CLD_EXITED else 128 + result.si_status

    @property
    def container_streams(self) -> list[Stream]:
        return [stream for stream in (self.stdout, self.stderr) if stream is not None]

    @property
    def output(self) -> str:
        return self.stdout.text if self.stdout else ""

    @property
    def error_output(self) -> str:
        return self.stderr.text if self.stderr else ""

    @property
    def lines(self) -> list[dict[str, Any]]:
        return facts.parse_lines(self.output[: self.output.rfind("\n") + 1])

    @property
    def facts(self) -> facts.Facts:
        return facts.Facts(self.expect("report"))

    def expect(self, command: str, **members: Any) -> dict[str, Any]:
        """The first line of that command (and with those members), waiting for it if need be."""

        def found() -> list[dict[str, Any]]:
            wanted = {"cmd": command, **members}
            return [line for line in self.lines if wanted.items() <= line.items()]

        ended = lambda: bool(found()) or all(stream.ended for stream in self.container_streams)  # noqa: E731
        pump(self.container_streams, ended, None, PATIENCE)
        assert found(), f"no `{command}` in the output: {self.output!r} {self.error_output!r}"
        return found()[0]

    # The block

    def __enter__(self) -> Self:
        kernel.become_subreaper()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.prepare = None
        try:
            outcome = self.call("delete", "--force", self.id)
            survived = self.pidfd is not None and not self.ended(3.0 if outcome.code == 0 else 0.0)
            if self.pidfd is not None:
                if survived:
                    signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
                self.wait()
            assert outcome.code == 0 or problem, str(outcome)
            assert not survived or problem, "delete --force left the container's init alive"
        finally:
            for stream in self.streams:
                stream.close()
            if self.pidfd is not None:
                os.close(self.pidfd)


def run(bundle: Bundle, *flags: str, **options: Any) -> Outcome:
    """`run` in the foreground, everything undone afterwards."""
    with Box(bundle, **options) as box:
        return box.run(*flags)


def report(bundle: Bundle, *flags: str, **options: Any) -> facts.Facts:
    """What the reporter saw; the container must have ended with 0."""
    outcome = run(bundle, *flags, **options)
    assert outcome.code == 0, str(outcome)
    return outcome.facts


def refused(bundle: Bundle, **options: Any) -> str:
    """The words of a create that must fail with status 1 and leave no container."""
    with Box(bundle, **options) as box:
        outcome = box.create(check=False)
        assert outcome.code == 1, f"create was expected to fail with 1: {outcome}"
        assert "Traceback" not in outcome.message, str(outcome)
        assert outcome.err.strip(), "a failure without a word on stderr"
        state = box.call("state", box.id)
        assert state.code == 1, f"a failed create left a container: {state}"
        assert not (box.scratch / "pid").exists(), "a failed create left its pid file"
        return outcome.message
