"""Id maps written from outside: a real child in a new user namespace, by root and by an ordinary user.

runtime/idmaps.py is called directly, in a process that has become the user in question; the kernel's own view of the
child is the judge. Files over /etc are bound in the private mount namespace of the test process.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pyruntime.errors import StepError
from pyruntime.runtime import idmaps
from tests.lib import kernel

USER, GROUP = 48123, 48124
NAME = "mapper"


def mapping(inside: int, outside: int, size: int) -> dict[str, Any]:
    return {"containerID": inside, "hostID": outside, "size": size}


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Callable[[str, str], None]]:
    """Makes USER known, with these lines in /etc/subuid and /etc/subgid."""
    bound: list[str] = []

    def make(subuid: str, subgid: str) -> None:
        passwd = Path("/etc/passwd").read_text() + f"{NAME}:x:{USER}:{GROUP}::/:/bin/sh\n"
        for path, text in (("passwd", passwd), ("subuid", subuid), ("subgid", subgid)):
            source = tmp_path / path
            source.write_text(text)
            source.chmod(0o644)
            kernel.mount(str(source), f"/etc/{path}", flags=kernel.MS_BIND)
            bound.append(f"/etc/{path}")

    yield make
    for path in reversed(bound):
        kernel.umount(path)


class Result:
    """What the kernel shows of the child's namespace, or the refusal."""

    def __init__(self, text: str) -> None:
        self.uid, self.gid, self.setgroups, self.error, self.hint = text.split("\0")


def attempt(
    uids: list[dict[str, Any]], gids: list[dict[str, Any]], *, user: int = 0, group: int = 0
) -> Result:
    """In a process that became that user: a child in a new user namespace, and its maps written."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.close(reading)
            os.write(writing, _become_and_write(uids, gids, user, group).encode())
            status = 0
        finally:
            os._exit(status)
    os.close(writing)
    data = b""
    while part := os.read(reading, 1 << 16):
        data += part
    os.close(reading)
    assert os.waitpid(pid, 0)[1] == 0, "the writer broke"
    return Result(data.decode())


def _become_and_write(
    uids: list[dict[str, Any]], gids: list[dict[str, Any]], user: int, group: int
) -> str:
    if user:
        os.setgroups([])
        os.setresgid(group, group, group)
        os.setresuid(user, user, user)
    child, stop = _child()
    error = hint = ""
    try:
        idmaps.write(child, uids, gids)
    except StepError as problem:
        error, hint = problem.message, problem.hint or ""
    seen = [
        " ".join(Path(f"/proc/{child}/{name}").read_text().split())
        for name in ("uid_map", "gid_map", "setgroups")
    ]
    os.close(stop)
    os.waitpid(child, 0)
    return "\0".join((*seen, error, hint))


def _child() -> tuple[int, int]:
    """A child in a new user namespace that ends when the returned descriptor is closed."""
    ready, told = os.pipe()
    wait, stop = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(stop)
        kernel.libc.prctl(4, 1, 0, 0, 0)  # PR_SET_DUMPABLE, lost by the change of users
        kernel.unshare(kernel.CLONE_NEWUSER)
        os.write(told, b"x")
        os.read(wait, 1)
        os._exit(0)
    os.close(wait)
    os.close(told)
    assert os.read(ready, 1) == b"x", "no user namespace"
    os.close(ready)
    return pid, stop


def test_root_writes_any_map() -> None:
    result = attempt([mapping(0, 100000, 10), mapping(10, 0, 1)], [mapping(0, 200000, 65536)])
    assert result.error == ""
    assert result.uid == "0 100000 10 10 0 1"
    assert result.gid == "0 200000 65536"
    assert result.setgroups == "allow"


def test_user_maps_himself_and_setgroups_is_denied(account: Any) -> None:
    account("", "")
    result = attempt([mapping(0, USER, 1)], [mapping(0, GROUP, 1)], user=USER, group=GROUP)
    assert result.error == ""
    assert (result.uid, result.gid) == (f"0 {USER} 1", f"0 {GROUP} 1")
    assert result.setgroups == "deny"


@pytest.mark.parametrize("owner", [NAME, str(USER)])
def test_user_maps_his_ranges(account: Any, owner: str) -> None:
    account(f"{owner}:300000:1000\n{owner}:500000:1000\n", f"{owner}:400000:65536\n")
    result = attempt(
        [mapping(0, USER, 1), mapping(1, 300000, 1000), mapping(1001, 500000, 10)],
        [mapping(0, GROUP, 1), mapping(1, 400000, 65536)],
        user=USER,
        group=GROUP,
    )
    assert result.error == "", result.hint
    assert result.uid == f"0 {USER} 1 1 300000 1000 1001 500000 10"
    assert result.gid == f"0 {GROUP} 1 1 400000 65536"


def test_map_of_another_users_ids_is_refused(account: Any) -> None:
    account(f"{NAME}:300000:1000\n", f"{NAME}:400000:65536\n")
    result = attempt([mapping(0, 300000, 1001)], [mapping(0, 400000, 5)], user=USER, group=GROUP)
    assert "/linux/uidMappings" in result.error
    assert "newuidmap" in result.error and "not allowed" in result.error
    assert "300000 to 301000" in result.hint and "300000 to 300999" in result.hint
    assert result.uid == ""


def test_user_without_ranges_is_told_so(account: Any) -> None:
    account("somebody:300000:1000\n", "")
    result = attempt([mapping(0, 300000, 1000)], [mapping(0, GROUP, 1)], user=USER, group=GROUP)
    assert result.hint == f"/etc/subuid has no range for {NAME}: {NAME}:100000:65536 would be one"


def test_a_map_that_is_too_long_to_be_written() -> None:
    """340 lines are allowed, but all of them in one write of less than a page."""
    rows = [mapping(4000000000 + 2 * index, 3000000000 + 2 * index, 1) for index in range(340)]
    result = attempt(rows, [mapping(0, 0, 1)])
    assert result.error == "write the uid map (/linux/uidMappings): invalid argument"
    assert "less than" in result.hint
