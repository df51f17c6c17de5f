"""A seccomp agent: takes the listeners of filters over a socket and answers what they are notified of.

with Agent(tmp_path / "agent", {146: {"errno": 95}}) as agent:
    …
    assert agent.hello().state["pid"] == …

A process of its own, as an agent is: `python agent.py SOCKET ANSWERS`, which prints what happens as lines of JSON.
An answer is {"errno": n}, {"value": n} or {"ignore": true}; every other call goes on. Numbers: <linux/seccomp.h>.
"""

from __future__ import annotations

import array
import errno
import fcntl
import json
import os
import select
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any

NOTIF_RECV, NOTIF_SEND = 0xC0502100, 0xC0182101
NOTIFICATION = struct.Struct("<QIIiIQ6Q")
RESPONSE = struct.Struct("<QqiI")
CONTINUE = 1
DEFAULT_PATIENCE_S = 15.0


def say(**members: Any) -> None:
    print(json.dumps(members), flush=True)


def take(connection: socket.socket) -> list[int]:
    """The message, as soon as it is whole: not every runtime closes the connection. Descriptors count only in its
    first part."""
    connection.settimeout(DEFAULT_PATIENCE_S)
    data, control, _, _ = connection.recvmsg(1 << 16, socket.CMSG_SPACE(64))
    fds = array.array("i")
    for _, _, payload in control:
        fds.frombytes(payload)
    later = 0
    while not is_whole(data):
        more, control, _, _ = connection.recvmsg(1 << 16, socket.CMSG_SPACE(64))
        later += len(control)
        data += more
    kinds = [os.readlink(f"/proc/self/fd/{fd}") for fd in fds]
    say(message=json.loads(data), fds=kinds, later=later)
    return list(fds)


def is_whole(data: bytes) -> bool:
    try:
        return bool(json.loads(data))
    except ValueError:
        return False


def answer(listener: int, answers: dict[str, dict[str, int]]) -> None:
    buffer = bytearray(NOTIFICATION.size)
    try:
        fcntl.ioctl(listener, NOTIF_RECV, buffer)
        number, pid, _, call, _, _, *arguments = NOTIFICATION.unpack(buffer)
        said = answers.get(str(call), {"continue": 1})
        say(call=call, pid=pid, arguments=arguments)
        if "ignore" in said:
            return
        flags = CONTINUE if "continue" in said else 0
        reply = RESPONSE.pack(number, said.get("value", 0), -said.get("errno", 0), flags)
        fcntl.ioctl(listener, NOTIF_SEND, bytearray(reply))
    except OSError as error:
        if error.errno != errno.ENOENT:  # who asked is gone
            raise


def serve(path: str, answers: dict[str, dict[str, int]]) -> None:
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    server.bind(path)
    os.chmod(path, 0o777)
    server.listen(5)
    poll = select.poll()
    poll.register(server, select.POLLIN)
    poll.register(0, select.POLLIN)  # whoever started us closes it to end us
    say(listening=path)
    connections: dict[int, socket.socket] = {}
    while True:
        for fd, events in poll.poll():
            if fd == 0:
                return
            if fd == server.fileno():
                connection, _ = server.accept()
                connections[connection.fileno()] = connection
                for new in (connection.fileno(), *take(connection)):
                    poll.register(new, select.POLLIN)
            elif fd in connections:
                data = connections[fd].recv(1 << 16)
                poll.unregister(fd)
                connections.pop(fd).close()
                say(closed=len(data))  # 0 unless something came after the message
            elif events & select.POLLIN:
                answer(fd, answers)
            else:  # no process has the filter any more
                poll.unregister(fd)
                os.close(fd)
                say(ended=True)


class Hello:
    """The container process state as it came, and what came with it."""

    def __init__(self, line: dict[str, Any]) -> None:
        self.message: dict[str, Any] = line["message"]
        self.fds: list[str] = line["fds"]
        self.later: int = line["later"]


class Agent:
    def __init__(
        self,
        path: Path,
        answers: dict[int, dict[str, int]] | None = None,
        *,
        patience_s: float = DEFAULT_PATIENCE_S,
    ) -> None:
        self.path, self.answers, self.patience_s = path, answers or {}, patience_s
        self.seen: list[dict[str, Any]] = []
        self.rest = b""

    def __enter__(self) -> Agent:
        self.process = subprocess.Popen(
            [sys.executable, "-I", __file__, str(self.path), json.dumps(self.answers)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.next("listening")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()

    def end(self) -> None:
        """Also in the middle of everything."""
        assert self.process.stdin and self.process.stdout
        self.process.stdin.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def next(self, kind: str) -> dict[str, Any]:
        """The next line that tells of this kind of thing."""
        deadline = time.monotonic() + self.patience_s
        while True:
            for index, line in enumerate(self.seen):
                if kind in line:
                    return self.seen.pop(index)
            self.read(deadline)

    def read(self, deadline: float) -> None:
        assert self.process.stdout
        left = deadline - time.monotonic()
        ready = select.select([self.process.stdout], [], [], max(left, 0))[0]
        assert ready, f"the agent says nothing; before: {self.seen}"
        data = os.read(self.process.stdout.fileno(), 1 << 16)
        assert data, f"the agent has ended; before: {self.seen}"
        *lines, self.rest = (self.rest + data).split(b"\n")
        self.seen += [json.loads(line) for line in lines]

    def hello(self) -> Hello:
        return Hello(self.next("message"))

    def calls(self) -> list[int]:
        """The numbers of the system calls it was asked about so far, in order."""
        assert self.process.stdout
        while select.select([self.process.stdout], [], [], 0)[0]:
            self.read(time.monotonic() + self.patience_s)
        return [line["call"] for line in self.seen if "call" in line]


if __name__ == "__main__":
    serve(sys.argv[1], json.loads(sys.argv[2]))
