"""pyruntime/runtime/store.py: names, owners, links, locks, damaged and foreign records (R-33, R-34, R-48, R-51)."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from pyruntime import errors
from pyruntime.runtime import holdings, store
from pyruntime.runtime.store import Store
from tests.unit.runtime.fakes import FakeContainer

GOOD = ["a", "A-z_0.9+x", "0", "_", "-", "..a", "a.", ".a", "x" * 255]
BAD = [
    ".", "..", "a/b", "../x", "/x", "a b", "a\n", "\n", "a\0", "é", "\u0661", "a:b", "x" * 256, "a*", "~a", "a\udcff",
]  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_good_ids(tmp_path: Path, name: str) -> None:
    made = Store(str(tmp_path / "root"), create=True)
    entry = made.create(name)
    assert made.ids() == [name]
    assert entry.path == f"{tmp_path}/root/{name}"
    entry.remove()
    assert made.ids() == []


@pytest.mark.parametrize("name", BAD)
def test_bad_ids(tmp_path: Path, name: str) -> None:
    made = Store(str(tmp_path / "root"), create=True)
    for verb in (made.create, made.open):
        with pytest.raises(errors.ContainerError, match="invalid container ID format"):
            verb(name)
    assert list((tmp_path / "root").iterdir()) == []


def test_an_empty_id(tmp_path: Path) -> None:
    with pytest.raises(errors.ContainerError, match="container id cannot be empty"):
        Store(str(tmp_path)).open("")


def test_the_second_create_is_refused(container: FakeContainer) -> None:
    with pytest.raises(errors.ContainerExists):
        container.store.create("web")


@pytest.mark.parametrize("plant", ["link", "file"])
def test_what_is_no_directory_is_not_taken_over(tmp_path: Path, plant: str) -> None:
    made = Store(str(tmp_path / "root"), create=True)
    path = tmp_path / "root" / "web"
    path.symlink_to("/etc") if plant == "link" else path.touch()
    with pytest.raises(errors.ContainerExists):
        made.create("web")
    with pytest.raises(errors.PyruntimeError, match="not a directory"):
        made.open("web")


def test_a_missing_root_is_an_empty_one(tmp_path: Path) -> None:
    empty = Store(str(tmp_path / "missing"))
    assert empty.ids() == []
    with pytest.raises(errors.NoSuchContainer):
        empty.open("web")
    assert not (tmp_path / "missing").exists()


@pytest.mark.parametrize("mask", [0, 0o077, 0o777])
def test_everything_is_private_whatever_the_umask(tmp_path: Path, mask: int) -> None:
    root = tmp_path / "deep" / "er" / "root"
    before = os.umask(mask)
    try:
        fake = FakeContainer(root)
        fake.write()
        fake.entry.note({"kind": "cgroup"})
        fake.entry.save_config(b"{}")
        for fd in fake.entry.make_fifos():
            os.close(fd)
    finally:
        os.umask(before)
    for path in [root, root.parent, *root.rglob("*")]:
        mode = path.stat().st_mode
        assert stat.S_IMODE(mode) == (0o700 if stat.S_ISDIR(mode) else 0o600), path
    fake.end()


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702, 0o1777])
def test_a_root_others_may_write_to_is_refused(tmp_path: Path, mode: int) -> None:
    tmp_path.chmod(mode)
    for create in (False, True):
        with pytest.raises(errors.UsageError, match="others than its user") as caught:
            Store(str(tmp_path), create=create)
        assert caught.value.hint


@pytest.mark.parametrize("mode", [0o700, 0o711, 0o755])
def test_a_root_others_may_read_is_not(tmp_path: Path, mode: int) -> None:
    tmp_path.chmod(mode)
    Store(str(tmp_path), create=True)


def test_a_root_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    for create in (False, True):
        with pytest.raises(errors.PyruntimeError, match="not a directory"):
            Store(str(tmp_path / "link"), create=create)


@pytest.mark.parametrize("path", ["/", "//", "/.", "/..", "."])
def test_the_hosts_root_is_refused(path: str) -> None:
    with pytest.raises(errors.UsageError):
        Store(path)


def test_a_root_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(errors.StepError, match="not a directory"):
        Store(str(tmp_path / "file" / "root"), create=True)


@pytest.mark.parametrize("where", ["{}/dangling/root", "{}/dangling/a/root", "/proc/root"])
def test_a_root_below_what_leads_nowhere(tmp_path: Path, where: str) -> None:
    (tmp_path / "dangling").symlink_to(tmp_path / "gone")
    path = where.format(tmp_path)
    with pytest.raises(errors.StepError, match="no such file or directory") as caught:
        Store(path, create=True)
    assert f"`{path}`" in str(caught.value)
    assert not (tmp_path / "gone").exists()


def test_a_deep_root(tmp_path: Path) -> None:
    deep = f"{tmp_path}{'/d' * 1500}"
    try:
        assert Store(deep, create=True).path == deep
    finally:
        os.removedirs(deep)  # deeper than who tidies up can go


@pytest.mark.parametrize(
    ("uid", "env", "nested", "expected"),
    [
        (0, {}, False, "/run/pyruntime"),
        (0, {b"XDG_RUNTIME_DIR": b"/x"}, False, "/run/pyruntime"),
        (0, {b"XDG_RUNTIME_DIR": b"/x", b"USER": b"me"}, False, "/run/pyruntime"),
        (0, {b"XDG_RUNTIME_DIR": b"/x"}, True, "/x/pyruntime"),
        (0, {b"XDG_RUNTIME_DIR": b"/x", b"USER": b"me"}, True, "/x/pyruntime"),
        (0, {b"XDG_RUNTIME_DIR": b"/x", b"USER": b"root"}, True, "/run/pyruntime"),
        (1000, {b"XDG_RUNTIME_DIR": b"/x"}, False, "/x/pyruntime"),
        (1000, {b"XDG_RUNTIME_DIR": b""}, False, "/run/pyruntime"),
        (1000, {b"XDG_RUNTIME_DIR": b"x/y"}, False, "/run/pyruntime"),
        (1000, {}, False, "/run/pyruntime"),
    ],
)
def test_the_default_root(
    monkeypatch: pytest.MonkeyPatch, uid: int, env: dict[bytes, bytes], nested: bool, expected: str
) -> None:
    """As runc's: podman calls with XDG_RUNTIME_DIR set and empty."""
    monkeypatch.setattr("posix.geteuid", lambda: uid)
    monkeypatch.setattr("posix.getuid", lambda: uid)
    monkeypatch.setattr("posix.environ", env)
    monkeypatch.setattr(store.proc, "in_user_namespace", lambda: nested)
    assert store.default_root() == expected


@pytest.mark.parametrize(("which", "real"), [("getuid", 1001), ("getgid", os.getegid() + 1)])
def test_set_uid_the_environment_is_somebody_elses(
    monkeypatch: pytest.MonkeyPatch, which: str, real: int
) -> None:
    monkeypatch.setattr("posix.geteuid", lambda: 1000)
    monkeypatch.setattr("posix.getuid", lambda: 1000)
    monkeypatch.setattr("posix.environ", {b"XDG_RUNTIME_DIR": b"/x"})
    monkeypatch.setattr(f"posix.{which}", lambda: real)
    assert store.default_root() == "/run/pyruntime"


def beneath_xdg(monkeypatch: pytest.MonkeyPatch, directory: Path) -> None:
    monkeypatch.setattr(store, "default_root", lambda: f"{directory}/pyruntime")


@pytest.mark.parametrize("mode", [0o700, 0o755])
def test_the_default_root_is_private_and_sticky(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int
) -> None:
    beneath_xdg(monkeypatch, tmp_path)
    (tmp_path / "pyruntime").mkdir(mode)
    Store("", create=True)
    assert stat.S_IMODE((tmp_path / "pyruntime").stat().st_mode) == 0o1700


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o720])
def test_a_runtime_directory_others_may_write_to_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int
) -> None:
    beneath_xdg(monkeypatch, tmp_path)
    tmp_path.chmod(mode)
    (tmp_path / "pyruntime").mkdir(0o700)
    for create in (False, True):
        with pytest.raises(errors.UsageError, match="XDG_RUNTIME_DIR") as caught:
            Store("", create=create)
        assert caught.value.hint


def test_a_record_comes_back(container: FakeContainer) -> None:
    container.write(status="created", pid=12345, annotations={"a": "ü", "b": '"\\\n'})
    assert container.entry.read_record() == container.record
    assert sorted(os.listdir(container.root / "web")) == ["state.json"]


def test_no_record_is_no_container(container: FakeContainer) -> None:
    with pytest.raises(errors.NoSuchContainer):
        container.entry.read_record()


def damaged(container: FakeContainer, data: bytes) -> errors.StateError:
    (container.root / "web" / "state.json").write_bytes(data)
    with pytest.raises(errors.StateError) as caught:
        container.entry.read_record()
    return caught.value


@pytest.mark.parametrize("data", [b"", b"null", b"[]", b"1", b'"x"', b"{", b"\xff", b"\0" * 64])
def test_garbage(container: FakeContainer, data: bytes) -> None:
    error = damaged(container, data)
    assert not error.foreign and f"{container.root}/web/state.json is damaged" in error.message


def test_every_truncation(container: FakeContainer) -> None:
    data = json.dumps(container.record).encode()
    for length in range(0, len(data), 7):
        damaged(container, data[:length])


WRONG: list[tuple[str, Any]] = [
    ("pid", -1), ("pid", 1), ("pid", 1 << 22), ("pid", "5"), ("pid", True), ("pid", 5.5), ("pid", None),
    ("startTime", "x"), ("bootId", 5), ("status", "paused"), ("status", ""), ("status", []), ("id", "other"),
    ("id", None), ("annotations", []), ("bundle", 1), ("pidNamespace", 1), ("initExe", {}), ("uid", "root"),
    ("clockOffset", "0"), ("pidfdInode", None), ("startedAfter", 1.5), ("cgroup", 5), ("cgroup", {}), ("cgroup", []),
    ("cgroup", {"mode": "v1", "groups": []}), ("cgroup", {"mode": "v1", "groups": {"x": "abc"}}),
    ("cgroup", {"groups": {}}), ("cgroup", {"mode": "v1", "groups": {"x": ["/a", "/b", "1"]}}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value"), WRONG, ids=[f"{name}={value!r}" for name, value in WRONG]
)
def test_a_wrong_field(container: FakeContainer, name: str, value: object) -> None:
    assert not damaged(container, json.dumps({**container.record, name: value}).encode()).foreign


@pytest.mark.parametrize(
    "record",
    [
        {"format": 2},
        {"format": 0, "id": "web"},
        {"id": "web", "init_process_pid": 5, "config": {}},
        {"pid": 5, "bundle": "/b", "rootfs": "/r", "created": "", "scope": None},
        {},
    ],
    ids=["newer", "older", "runc", "crun", "empty"],
)
def test_foreign_state(container: FakeContainer, record: dict[str, Any]) -> None:
    assert damaged(container, json.dumps(record).encode()).foreign


def test_an_endless_record(container: FakeContainer) -> None:
    with (container.root / "web" / "state.json").open("wb") as file:
        file.truncate(1 << 30)
    with pytest.raises(errors.PyruntimeError):
        container.entry.read_record()


def test_a_record_that_is_a_link(container: FakeContainer, tmp_path: Path) -> None:
    (tmp_path / "planted").write_text(json.dumps(container.record))
    (container.root / "web" / "state.json").symlink_to(tmp_path / "planted")
    with pytest.raises(errors.PyruntimeError):
        container.entry.read_record()


def test_holdings_come_back_newest_first(container: FakeContainer) -> None:
    assert holdings.read(container.entry) == []
    container.entry.note({"kind": "a", "path": "x\ny"})
    container.entry.note({"kind": "b"})
    assert holdings.read(container.entry) == [
        {"kind": "b", "id": "web"},
        {"kind": "a", "path": "x\ny", "id": "web"},
    ]


def test_a_torn_holding_was_never_acted_upon(container: FakeContainer) -> None:
    container.entry.note({"kind": "a"})
    with (container.root / "web" / "holdings").open("ab") as file:
        file.write(b'{"kind": "b", "pa')
    assert holdings.read(container.entry) == [{"kind": "a", "id": "web"}]


@pytest.mark.parametrize("line", [b"{", b"1", b"", b"\xff", b'{"id": "db"}', b"{}"])
def test_a_garbled_holding(container: FakeContainer, line: bytes) -> None:
    (container.root / "web" / "holdings").write_bytes(line + b"\n" + b'{"kind": "a"}\n')
    with pytest.raises(errors.StateError, match="holdings is damaged: line 1"):
        holdings.read(container.entry)


def test_config_and_steps(container: FakeContainer) -> None:
    assert container.entry.steps() == {}
    container.entry.save_steps({"7": ["run it", "/hooks/startContainer/0"]})
    assert container.entry.steps() == {"7": ["run it", "/hooks/startContainer/0"]}
    container.entry.save_config(b'{"hooks": {"poststart": []} }')
    assert container.entry.config() == {"hooks": {"poststart": []}}
    assert container.entry.has_hooks("poststart") and not container.entry.has_hooks("poststop")


def test_hooks_whose_key_is_written_with_escapes(container: FakeContainer) -> None:
    container.entry.save_config(b'{"hooks": {"post\\u0073top": []}}')
    assert container.entry.has_hooks("poststop")


@pytest.mark.parametrize("data", [b"", b"{", b"\x80", b"[]", b"null"])
@pytest.mark.parametrize("name", ["config", "steps"])
def test_damaged_config_and_steps(container: FakeContainer, name: str, data: bytes) -> None:
    (container.root / "web" / f"{name}.json").write_bytes(data)
    with pytest.raises(errors.StateError, match=rf"{name}\.json is damaged: "):
        getattr(container.entry, name)()


def test_a_record_without_a_format_beside_our_holdings(container: FakeContainer) -> None:
    """Then it is no other program's: `delete --force` may act."""
    container.entry.note({"kind": "a"})
    assert not damaged(container, b"{}").foreign
    assert damaged(container, b'{"format": 2}').foreign
