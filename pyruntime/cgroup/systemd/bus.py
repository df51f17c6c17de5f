"""Calls to a service manager over D-Bus, with jeepney's messages on a plain socket; no call lasts longer than PATIENCE_S.

Imported after a hand-over only (`presence.reach`). The bus knows who we are from the socket: no name of a user is sent,
so that it does not matter by which number a user namespace calls us. Where there is no bus, systemd's own socket answers.
"""

from __future__ import annotations

import select
import socket
import struct
import time
from typing import Any

from jeepney import DBusAddress, HeaderFields, MessageType, Parser, new_method_call

from pyruntime import errors

PATIENCE_S = 30.0
NAME = "org.freedesktop.systemd1"
MANAGER = DBusAddress("/org/freedesktop/systemd1", NAME, f"{NAME}.Manager")
DAEMON = DBusAddress("/org/freedesktop/DBus", "org.freedesktop.DBus", "org.freedesktop.DBus")
JOBS = f"type='signal',sender='{NAME}',interface='{NAME}.Manager',member='JobRemoved'"
# All at once and without an identity, as sd-bus does; the answers are read afterwards.
GREETING = b"\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n"
LONGEST_ANSWER = 16384
UNREADABLE = (ValueError, KeyError, IndexError, TypeError, AssertionError, struct.error)


class Refused(errors.StepError):
    """systemd said no; `name` is D-Bus's for the error."""

    def __init__(self, what: str, name: str, text: str) -> None:
        super().__init__(what, "/linux/cgroupsPath", why=f"systemd: {text or name}")
        self.name = name


class Bus:
    """A connection; `what` in its methods is what was being done, for the sentence if it fails."""

    def __init__(self, paths: list[tuple[str, bool]], whose: str) -> None:
        """`paths`: sockets to try, and whether a bus listens there (or systemd itself)."""
        self.whose = whose
        self.parser = Parser()
        self.serial = 0
        self.peer: str | None = ""  # systemd's own name, as the bus gives it to what systemd sends
        self.removed: dict[str, str] = {}  # jobs that have ended, and how
        self.subscribed = False
        self.socket, self.has_daemon = self._connect(paths)
        try:
            deadline = time.monotonic() + PATIENCE_S
            self._greet(deadline)
            if self.has_daemon:
                self.call(DAEMON, "Hello", what="talk to the bus")
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self.socket.close()

    def _connect(self, paths: list[tuple[str, bool]]) -> tuple[socket.socket, bool]:
        failure = errors.UnsupportedError(f"cannot reach {self.whose}")
        for path, has_daemon in paths:
            made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
            made.settimeout(PATIENCE_S)  # where its queue is full
            try:
                made.connect(path)
                made.setblocking(False)
                return made, has_daemon
            except OSError as error:
                made.close()
                why = errors.strerror(error.errno) if error.errno else "it does not answer"
                failure.message += f"{',' if ':' in failure.message else ':'} {path}: {why}"
        failure.hint = (
            "an ordinary user has one in a session, or after `loginctl enable-linger`; "
            "--cgroup-manager cgroupfs needs none"
        )
        raise failure

    def _greet(self, deadline: float) -> None:
        self._send(GREETING, deadline)
        data = b""
        while data.count(b"\r\n") < 2 and not data.startswith((b"REJECTED", b"ERROR")):
            data += self._receive(deadline)
            if len(data) > LONGEST_ANSWER:
                break
        answer, _, rest = data.partition(b"\r\n")
        accepted, _, rest = rest.partition(b"\r\n")
        if answer.strip() != b"DATA" or not accepted.startswith(b"OK"):
            raise errors.StepError(
                f"talk to {self.whose}",
                "/linux/cgroupsPath",
                why="it does not take us for who we are",
            )
        self._take(rest)

    def call(
        self, address: Any, method: str, signature: str = "", *body: Any, what: str
    ) -> tuple[Any, ...]:
        """The values it answers with; Refused."""
        deadline = time.monotonic() + PATIENCE_S
        self.serial += 1
        try:
            message = new_method_call(address, method, signature or None, body)
            data = message.serialise(serial=self.serial)
        except UNREADABLE as error:
            raise errors.StepError(what, "/linux/cgroupsPath", why=str(error)) from error
        self._send(data, deadline)
        while True:
            reply = self._next(deadline)
            fields = reply.header.fields
            if fields.get(HeaderFields.reply_serial) != self.serial:
                continue
            if address.bus_name == NAME:
                self.peer = fields.get(HeaderFields.sender)
            if reply.header.message_type is MessageType.error:
                text = reply.body[0] if reply.body and isinstance(reply.body[0], str) else ""
                name = str(fields.get(HeaderFields.error_name, ""))
                raise Refused(what, name, text.rstrip("."))
            body_: tuple[Any, ...] = reply.body
            return body_

    def get(self, path: str, interface: str, name: str, *, what: str) -> Any:
        """A property."""
        address = DBusAddress(path, NAME, "org.freedesktop.DBus.Properties")
        ((_, value),) = self.call(address, "Get", "ss", f"{NAME}.{interface}", name, what=what)
        return value

    def run_job(self, method: str, signature: str, *body: Any, what: str) -> str:
        """Calls a method that makes a job and waits for its end: `done`, `failed`, `timeout` …"""
        if not self.subscribed:
            if self.has_daemon:
                self.call(DAEMON, "AddMatch", "s", JOBS, what=what)
            self.call(MANAGER, "Subscribe", what=what)
            self.subscribed = True
        (job,) = self.call(MANAGER, method, signature, *body, what=what)
        deadline = time.monotonic() + PATIENCE_S
        while job not in self.removed:
            self._next(deadline)
        return self.removed.pop(job)

    def _next(self, deadline: float) -> Any:
        while True:
            message = self._parsed()
            if message is not None:
                self._note_job(message)
                return message
            self._take(self._receive(deadline))

    def _take(self, data: bytes) -> None:
        if data:
            self.parser.add_data(data)

    def _parsed(self) -> Any:
        try:
            return self.parser.get_next_message()
        except UNREADABLE as error:
            raise errors.StepError(
                f"{self.whose} sent what is no message of D-Bus", "/linux/cgroupsPath"
            ) from error

    def _note_job(self, message: Any) -> None:
        """Only from systemd: anybody on the bus may send us a signal."""
        fields, body = message.header.fields, message.body
        if (
            message.header.message_type is MessageType.signal
            and fields.get(HeaderFields.sender) == self.peer
            and fields.get(HeaderFields.member) == "JobRemoved"
            and len(body) == 4
        ):
            self.removed[str(body[1])] = str(body[3])

    def _send(self, data: bytes, deadline: float) -> None:
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[self.socket.send(rest, socket.MSG_NOSIGNAL) :]
            except BlockingIOError:
                self._wait(select.POLLOUT, deadline)
            except OSError as error:
                raise self._broken(errors.strerror(error.errno or 0)) from error

    def _receive(self, deadline: float) -> bytes:
        while True:
            self._wait(select.POLLIN, deadline)
            try:
                data = self.socket.recv(65536)
            except BlockingIOError:
                continue
            except OSError as error:
                raise self._broken(errors.strerror(error.errno or 0)) from error
            if not data:
                raise self._broken("it hung up")
            return data

    def _wait(self, event: int, deadline: float) -> None:
        poll = select.poll()
        poll.register(self.socket, event)
        left = deadline - time.monotonic()
        if left <= 0 or not poll.poll(left * 1000):
            raise self._broken(f"no answer within {PATIENCE_S:.0f} seconds")

    def _broken(self, why: str) -> errors.StepError:
        return errors.StepError(f"talk to {self.whose}", "/linux/cgroupsPath", why=why)
