"""The wire: a bus that has written its answers before it is asked."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jeepney import HeaderFields, Message, MessageType, Parser
from jeepney.wrappers import new_header

from pyruntime import errors
from pyruntime.cgroup.systemd import bus as wire
from pyruntime.cgroup.systemd import names, service
from pyruntime.cgroup.systemd.bus import Bus, Refused

ACCEPTED = b"DATA\r\nOK 0123456789abcdef\r\n"
JOB = "/org/freedesktop/systemd1/job/7"
SYSTEMD = ":1.3"
UNIT = names.unit(None, "web", user=False)


def message(kind: MessageType, fields: dict[Any, Any], signature: str, *body: Any) -> bytes:
    header = new_header(kind)
    header.fields.update(fields)
    if signature:
        header.fields[HeaderFields.signature] = signature
    return bytes(Message(header, body).serialise(serial=1))


class Server:
    """The other end; `answers` go out at once, in the order of the calls they are for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ours, self.theirs = socket.socketpair()
        self.theirs.setblocking(False)
        self.serial = 1
        self.patch = monkeypatch
        self.greeting = ACCEPTED
        self.data = b""
        self.answer()  # Hello

    def answer(self, signature: str = "", *body: Any) -> Server:
        fields = {HeaderFields.reply_serial: self.serial, HeaderFields.sender: SYSTEMD}
        self.data += message(MessageType.method_return, fields, signature, *body)
        self.serial += 1
        return self

    def refuse(self, name: str, text: str) -> Server:
        fields = {HeaderFields.reply_serial: self.serial, HeaderFields.error_name: name}
        self.data += message(MessageType.error, fields, "s", text)
        self.serial += 1
        return self

    def job_ends(self, result: str, job: str = JOB, sender: str = SYSTEMD) -> Server:
        fields = {
            HeaderFields.sender: sender,
            HeaderFields.path: wire.MANAGER.object_path,
            HeaderFields.interface: wire.MANAGER.interface,
            HeaderFields.member: "JobRemoved",
        }
        body = (7, job, UNIT.name, result)
        self.data += message(MessageType.signal, fields, "uoss", *body)
        return self

    def connect(self) -> Bus:
        self.ours.sendall(self.greeting + self.data)
        self.patch.setattr(Bus, "_connect", lambda *_: (self.theirs, True))
        return Bus([], "systemd")

    def calls(self) -> list[tuple[str, Any]]:
        """(method, arguments) of everything that was asked."""
        data = self.ours.recv(1 << 16)
        assert data.startswith(wire.GREETING)
        parser = Parser()
        found = parser.feed(data[len(wire.GREETING) :])
        return [(each.header.fields[HeaderFields.member], each.body) for each in found]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    made = Server(monkeypatch)
    yield made
    made.ours.close()
    made.theirs.close()


def test_a_unit_is_started(server: Server) -> None:
    server.answer().answer()  # AddMatch, Subscribe
    server.job_ends("failed", "/org/freedesktop/systemd1/job/6")
    server.job_ends("done").answer("o", JOB)  # the end of a job may come before its name
    service.start(server.connect(), UNIT, [("PIDs", ("au", [7])), ("Delegate", ("b", True))])
    hello, match, subscribe, (method, body) = server.calls()
    assert [hello[0], match[0], subscribe[0]] == ["Hello", "AddMatch", "Subscribe"]
    assert method == "StartTransientUnit"
    wanted = [("PIDs", ("au", [7])), ("Delegate", ("b", True))]
    assert body == ("pyruntime-web.scope", "replace", wanted, [])


def test_a_failed_unit_of_that_name_is_reset(server: Server) -> None:
    server.answer().answer().refuse(service.EXISTS, "Unit exists.")
    server.answer()  # ResetFailedUnit
    server.answer("o", JOB).job_ends("done")
    service.start(server.connect(), UNIT, [])
    assert [method for method, _ in server.calls()][3:] == [
        "StartTransientUnit",
        "ResetFailedUnit",
        "StartTransientUnit",
    ]


def test_the_end_of_a_job_is_believed_of_systemd_alone(server: Server) -> None:
    server.answer().answer().answer("o", JOB)
    server.job_ends("failed", sender=":1.99").job_ends("done")
    service.start(server.connect(), UNIT, [])


def test_a_unit_of_somebody_else_is_an_error(server: Server) -> None:
    server.answer().answer().refuse(service.EXISTS, "Unit exists.")
    server.refuse(service.GONE, "not loaded").refuse(service.EXISTS, "Unit exists.")
    with pytest.raises(Refused, match=r"start unit pyruntime-web.scope .*: systemd: Unit exists$"):
        service.start(server.connect(), UNIT, [])


@pytest.mark.parametrize("result", ["failed", "timeout", "canceled"])
def test_a_job_that_fails(server: Server, result: str) -> None:
    server.answer().answer().answer("o", JOB).job_ends(result)
    server.answer()  # ResetFailedUnit
    with pytest.raises(errors.StepError, match=f"systemd: {result}$"):
        service.start(server.connect(), UNIT, [])


def test_a_unit_is_stopped(server: Server) -> None:
    server.answer("v", ("s", "ours")).answer().answer()
    server.answer("o", JOB).job_ends("done").refuse(service.GONE, "not loaded")
    service.stop(server.connect(), UNIT.name, "ours")
    methods = [method for method, _ in server.calls()]
    assert methods == [
        "Hello",
        "Get",
        "AddMatch",
        "Subscribe",
        "StopUnit",
        "ResetFailedUnit",
    ]


def test_the_unit_of_another_is_not_stopped(server: Server) -> None:
    server.answer("v", ("s", UNIT.name))  # what systemd says of a unit that is not there
    service.stop(server.connect(), UNIT.name, "ours")
    assert [method for method, _ in server.calls()] == ["Hello", "Get"]


def test_a_unit_that_ends_meanwhile(server: Server) -> None:
    server.answer("v", ("s", "ours")).answer().answer().refuse(service.GONE, "not loaded")
    server.refuse(service.GONE, "not loaded")
    service.stop(server.connect(), UNIT.name, "ours")


def test_a_change_is_over_when_the_next_question_is_answered(server: Server) -> None:
    server.answer().answer("v", ("s", "252.39-1~deb12u1"))
    service.change(server.connect(), UNIT.name, [("TasksMax", ("t", 7))])
    _, (method, body), (next_method, _) = server.calls()
    assert (method, next_method) == ("SetUnitProperties", "Get")
    assert body == (UNIT.name, True, [("TasksMax", ("t", 7))])


@pytest.mark.parametrize(
    ("text", "number"),
    [("252.39-1~deb12u1", 252), ("v255.4", 255), ("249 (249.11)", 249), ("x", 0)],
)
def test_versions(server: Server, text: str, number: int) -> None:
    server.answer("v", ("s", text))
    assert service.version(server.connect()) == number


@pytest.mark.parametrize(
    ("path", "prefix"), [("/", ""), ("", ""), ("/user.slice/u.service", "/user.slice/u.service")]
)
def test_its_own_group(server: Server, path: str, prefix: str) -> None:
    server.answer("v", ("s", path))
    assert service.control_group(server.connect()) == prefix


@pytest.mark.parametrize("greeting", [b"REJECTED EXTERNAL\r\n", b"ERROR\r\n", b"x" * 20000])
def test_a_bus_that_does_not_know_us(server: Server, greeting: bytes) -> None:
    server.greeting, server.data = greeting, b""
    with pytest.raises(errors.StepError, match=r"talk to systemd .*: it does not take us"):
        server.connect()


def test_a_silent_bus(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "PATIENCE_S", 0.01)
    server.greeting, server.data = b"", b""
    with pytest.raises(errors.StepError, match=r"talk to systemd .*: no answer within 0 seconds"):
        server.connect()


def test_a_job_without_an_end(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.answer().answer().answer("o", JOB)
    bus = server.connect()
    monkeypatch.setattr(wire, "PATIENCE_S", 0.01)
    with pytest.raises(errors.StepError, match="no answer within"):
        service.start(bus, UNIT, [])


def test_a_bus_that_hangs_up(server: Server) -> None:
    bus = server.connect()
    server.ours.close()
    with pytest.raises(errors.StepError, match=r"talk to systemd .*: (it hung up|broken pipe)"):
        service.version(bus)


def test_a_bus_that_talks_nonsense(server: Server) -> None:
    server.data += b"l\xff\xff\xff" + b"\x01\0\0\0" * 3
    bus = server.connect()
    server.ours.sendall(b"\xff" * 64)
    with pytest.raises(errors.StepError, match="what is no message of D-Bus"):
        service.version(bus)


def test_a_value_that_d_bus_does_not_take(server: Server) -> None:
    server.answer().answer()
    with pytest.raises(errors.StepError, match="start unit"):
        service.start(server.connect(), UNIT, [("Name", ("o", "no path"))])


def test_nobody_to_talk_to(tmp_path: Path) -> None:
    paths = [(f"{tmp_path}/bus", True), (f"{tmp_path}/private", False)]
    with pytest.raises(errors.UnsupportedError) as caught:
        Bus(paths, "systemd of user 7")
    words = "no such file or directory"
    assert caught.value.message == (
        f"cannot reach systemd of user 7: {tmp_path}/bus: {words}, {tmp_path}/private: {words}"
    )
    assert caught.value.hint


def test_the_sockets_of_a_user(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[Any] = []
    monkeypatch.setattr(service, "Bus", lambda paths, whose: tried.extend([*paths, whose]))
    monkeypatch.setattr(service.posix, "geteuid", lambda: 0)
    uid_map = b"         0       1000          1\n         1     100000      65536\n"
    monkeypatch.setattr(service.detect, "read_proc", lambda _: uid_map)
    monkeypatch.setattr(service.posix, "environ", {b"XDG_RUNTIME_DIR": b"/x"})
    service.connect(user=True)
    assert tried[0] == ("/x/bus", True) and tried[-1] == "systemd of user 1000"
    assert ("/run/user/1000/bus", True) in tried
    del tried[:]
    monkeypatch.setattr(service.posix, "environ", {})
    service.connect(user=True)
    assert tried[0] == ("/run/user/1000/bus", True)
    del tried[:]
    service.connect(user=False)
    assert tried == [*service.SYSTEM, "systemd"]
