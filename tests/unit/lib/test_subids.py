"""/etc/subuid and /etc/subgid: whose ranges, and what is no line of theirs."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyruntime.lib import subids

DATA = b"""web:100000:65536
1000:200000:10
other:300000:10
web:400000:1

# a remark
web:x:1
web:1:2:3
web:+5:1
web:5:0
web:4294967290:5
web:4294967290:6
web:99999999999:1
web:500000:1"""


def test_ranges_by_name_and_number() -> None:
    assert subids.parse(DATA, [b"1000", b"web"]) == [
        (100000, 65536),
        (200000, 10),
        (400000, 1),
        (4294967290, 5),
        (500000, 1),
    ]
    assert subids.parse(DATA, [b"1001"]) == []


def test_several_names_of_a_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    passwd = tmp_path / "passwd"
    passwd.write_text(
        "root:x:0:0::/:\nweb:x:48123:5::/:\nbroken\n:x:48123:5::/:\nweb2:x:48123:5::/:\n"
    )
    subuid = tmp_path / "subuid"
    subuid.write_bytes(b"web2:7:8\n")
    link = tmp_path / "link"
    link.symlink_to(subuid)
    monkeypatch.setattr(subids, "PASSWD", str(passwd))
    monkeypatch.setattr(subids, "FILES", {"uid": str(link), "gid": str(tmp_path / "missing")})
    assert subids.owners(48123) == [b"48123", b"web", b"web2"]
    assert subids.user_name(48123) == "web"
    assert subids.user_name(48124) == ""
    assert subids.ranges("uid", 48123) == [(7, 8)]
    assert subids.ranges("gid", 48123) == []


def test_a_machine_without_passwd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subids, "PASSWD", "/nowhere/passwd")
    assert subids.owners(7) == [b"7"]
