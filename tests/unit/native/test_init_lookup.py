"""HOME from the image's passwd, and the program from its PATH: both files are the image's, so neither is trusted."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pyruntime.kernel.native import lib
from pyruntime.plan.step import EXEC, HOME, LOOKUP, Buffer, Pointers, builtin, sys
from tests.lib.tape_runner import HANDED, REPORT, failure, play

ENOENT, EACCES, ENOTDIR, EISDIR, ENAMETOOLONG, EBADMSG = 2, 13, 20, 21, 36, 74
SIZE = 256


def home(passwd: int, uid: int = 1000, size: int = SIZE, before: bytes = b"/") -> bytes:
    """What HOME would be; `before` when nothing fits."""
    reader, writer = os.pipe()
    room = Buffer(before.ljust(SIZE, b"\0"))
    ops = [builtin(HOME, HANDED, uid, room, size), sys(lib.NR_write, HANDED + 1, room, SIZE)]
    try:
        code, message = play(ops, fds=[passwd, writer])
        assert message is None, (code, message)
        return os.read(reader, SIZE).split(b"\0")[0]
    finally:
        os.close(reader)
        os.close(writer)


def home_in(tmp_path: Path, text: bytes, **options: int) -> bytes:
    file = tmp_path / "passwd"
    file.write_bytes(text)
    fd = os.open(file, os.O_RDONLY)
    try:
        return home(fd, **options)
    finally:
        os.close(fd)


WEB = b"web:x:1000:1000::/home/web:/bin/sh\n"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (WEB, b"/home/web"),
        (WEB.rstrip(), b"/home/web"),
        (b"root:x:0:0::/root:\n" + WEB, b"/home/web"),
        (WEB + b"two:x:1000:1000::/two:\n", b"/home/web"),
        (b"web:x:1000:1000::/home/web\n", b"/home/web"),
        (b"web:x:01000:1000::/zero:\n", b"/zero"),
        (b"", b"/"),
        (b"\n\n\n", b"/"),
        (b"web:x:1000\n", b"/"),
        (b"web:x:1000:1000:\n", b"/"),
        (b"web:x:1000:1000:::\n", b"/"),
        (b"web:x:1000:1000::home:\n" + WEB, b"/home/web"),
        (b"web:x:1000x:1000::/no:\n" + WEB, b"/home/web"),
        (b"web:x:-1000:1000::/no:\nweb:x::::/no:\nweb:x: 1000:::/no:\n", b"/"),
        (b"web:x:18446744073709552616:1000::/no:\nweb:x:4294968296:::/no:\n", b"/"),
        (b"we\0b:x:1000:1000::/no:\n" + WEB, b"/home/web"),
        (b"#" * 5000 + b"\n" + WEB, b"/home/web"),
        (b"web:x:1000:1000::/" + b"l" * 2000 + b":\n", b"/"),
        (bytes(range(1, 256)) * 40 + b"\n" + WEB, b"/home/web"),
        (b":" * 1000 + b"\n" + WEB, b"/home/web"),
    ],
)
def test_home(tmp_path: Path, text: bytes, wanted: bytes) -> None:
    assert home_in(tmp_path, text) == wanted


@pytest.mark.parametrize("cut", range(4090, 4102))
def test_a_line_across_two_reads(tmp_path: Path, cut: int) -> None:
    assert (
        home_in(tmp_path, (b"#" * 99 + b"\n") * (cut // 100) + b"#" * (cut % 100) + b"\n" + WEB)
        == b"/home/web"
    )


@pytest.mark.parametrize("uid", [0, 2147483647, 4294967295])
def test_other_users(tmp_path: Path, uid: int) -> None:
    assert home_in(tmp_path, b"u:x:%d:0::/u:\n" % uid, uid=uid) == b"/u"


def test_a_home_that_does_not_fit_is_passed_over(tmp_path: Path) -> None:
    assert home_in(tmp_path, WEB, size=10) == b"/home/web"
    assert home_in(tmp_path, WEB, size=9) == b"/"


def test_a_huge_file_is_read_in_part(tmp_path: Path) -> None:
    assert home_in(tmp_path, b"#\n" * 600_000 + WEB) == b"/home/web"
    with (tmp_path / "passwd").open("wb") as file:
        file.truncate(65 << 20)  # mostly a hole
        file.seek(0, os.SEEK_END)
        file.write(b"\n" + WEB)
    fd = os.open(tmp_path / "passwd", os.O_RDONLY)
    try:
        assert home(fd) == b"/"
    finally:
        os.close(fd)


def test_only_a_regular_file_is_read(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for path, flags in (
        (fifo, os.O_RDWR),
        (Path("/dev/zero"), os.O_RDONLY),
        (tmp_path, os.O_RDONLY),
    ):
        fd = os.open(path, flags | os.O_NONBLOCK)
        try:
            assert home(fd) == b"/"
        finally:
            os.close(fd)


def test_no_file_at_all() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    assert home(writer) == b"/"
    os.close(writer)


# The program


def looked_up(name: str, path: str, cwd: Path, size: int = SIZE) -> bytes | int:
    reader, writer = os.pipe()
    room = Buffer(SIZE)
    ops = [
        sys(lib.NR_chdir, str(cwd)),
        builtin(LOOKUP, name, path, room, size),
        sys(lib.NR_write, HANDED, room, SIZE),
    ]
    try:
        _, message = play(ops, fds=[writer])
        if message is not None:
            assert message.step == 1
            return message.number
        return os.read(reader, SIZE).split(b"\0")[0]
    finally:
        os.close(reader)
        os.close(writer)


@pytest.fixture
def bins(tmp_path: Path) -> Path:
    for name, mode in (
        ("one/tool", 0o644),
        ("two/tool", 0o755),
        ("three/tool", 0o755),
        ("two/data", 0o644),
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
        (tmp_path / name).chmod(mode)
    (tmp_path / "one/sub").mkdir()
    (tmp_path / "two/dangling").symlink_to("gone")
    (tmp_path / "two/link").symlink_to("tool")
    (tmp_path / "two/loop").symlink_to("loop")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "path", "wanted"),
    [
        ("tool", "one:two:three", b"two/tool"),
        ("tool", "three:two", b"three/tool"),
        ("tool", "nowhere:/:two", b"two/tool"),
        ("link", "two", b"two/link"),
        ("dangling", "two", ENOENT),
        ("loop", "two", ENOENT),
        ("sub", "one", ENOENT),
        ("data", "two", ENOENT),
        ("tool", "two/tool:two", b"two/tool"),
        ("", "two", ENOENT),
        ("none", "one:two", ENOENT),
        ("two/tool", "/nowhere", b"two/tool"),
        ("./two/tool", "", b"./two/tool"),
        ("two/none", "two", ENOENT),
        ("two/data", "two", EACCES),
        ("one/sub", "", EISDIR),
        ("two/tool/x", "", ENOTDIR),
        ("/", "", EISDIR),
        ("tool", ":two", b"two/tool"),
        ("tool", "two:", b"two/tool"),
        ("tool", "x" * 300 + ":two", b"two/tool"),
        ("x" * 300, "two", ENAMETOOLONG),
        ("a/" + "x" * 300, "two", ENAMETOOLONG),
    ],
)
def test_look_up(bins: Path, name: str, path: str, wanted: bytes | int) -> None:
    assert looked_up(name, path, bins) == wanted


def test_the_room_is_enough_to_the_byte(bins: Path) -> None:
    assert looked_up("tool", "two", bins, size=9) == b"two/tool"
    assert looked_up("tool", "two", bins, size=8) == ENOENT


def test_buffers_are_needed() -> None:
    assert failure(builtin(LOOKUP, 5, "/bin", Buffer(64), 64))[1] == EBADMSG
    assert failure(builtin(LOOKUP, "sh", "/bin", 4096, 64))[1] == EBADMSG
    assert failure(builtin(LOOKUP, "sh", "/bin", Buffer(8), 1 << 40))[1] == EBADMSG
    assert failure(builtin(HOME, 0, 0, Buffer(8), 1 << 40))[1] == EBADMSG
    assert failure(builtin(HOME, 0, 0, 4096, 8))[1] == EBADMSG
    assert failure(builtin(EXEC, 0, 0, 0, REPORT, 0))[1] == EBADMSG
    texts = ("/bin/true", Pointers(("x", 0)), Pointers((0,)))
    assert failure(builtin(EXEC, *texts, REPORT, 4096))[1] == EBADMSG


def test_the_end_of_the_data_is_not_written_to() -> None:
    """Its last byte ends the last string, also where the name lies in the room and is overwritten.

    With it gone the init read on behind the tape: 2 bytes of name, 6 of PATH, the room at 8, 80 in all.
    """
    room = Buffer(64)
    assert failure(builtin(LOOKUP, "x", "/a:/b", room, 72))[1] == EBADMSG
    assert failure(builtin(LOOKUP, "x", "/a:/b", room, 71))[1] == ENOENT
    overlapping = Buffer(b"x" * 40 + bytes(24))
    assert failure(builtin(LOOKUP, overlapping, "/" * 40, overlapping, 104))[1] in (ENOENT, EBADMSG)
