"""tmpcopyup: a tmpfs that begins with what the image has at its place (config.md, Linux mount options; R-23)."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path
from typing import Any

import pytest

from tests.lib.box import Box, refused, run
from tests.lib.bundle import Bundle
from tests.lib.namespaces import SUBORDINATE
from tests.lib.ordinary_user import Person, PersonBox, own, rootless
from tests.lib.patience import since

pytestmark = pytest.mark.covers("mounts.options")

# CAP_NET_RAW in the permitted set, effective: struct vfs_cap_data, revision 2.
CAPABILITY = bytes.fromhex("0100000200200000000000000000000000000000")


def fill(bundle: Bundle) -> Path:
    bundle.file("data/file", "from the image", 0o640).file("data/sub/deep", "too")
    bundle.link("data/link", "file").file("data/tool", "x", 0o4755)
    bundle.dir("data", 0o1775)
    return bundle.rootfs / "data"


def copied(bundle: Bundle, *options: str) -> Bundle:
    return bundle.mount("/data", "tmpfs", "tmpfs", "tmpcopyup", *options)


def look(*names: str) -> list[str]:
    return " -- ".join(f"stat /data{name}" for name in names).split()


def modes(lines: list[dict[str, Any]]) -> list[tuple[int, int, int]]:
    return [(line["mode"], line["uid"], line["gid"]) for line in lines if line["cmd"] == "stat"]


def test_contents(bundle: Bundle) -> None:
    fill(bundle)
    words = "cat /data/file -- cat /data/sub/deep -- cat /data/link -- write /data/file new"
    lines = run(copied(bundle).inside(*words.split())).lines
    assert [line["data"] for line in lines[:3]] == ["from the image", "too", "from the image"]
    assert lines[3]["errno"] == ""
    assert (bundle.rootfs / "data/file").read_text() == "from the image"


def test_modes_owners_and_links(bundle: Bundle) -> None:
    top = fill(bundle)
    os.chown(top / "file", 5, 6)
    os.lchown(top / "link", 7, 8)
    outcome = run(copied(bundle).inside(*look("/file", "/link", "/tool")))
    file, link, tool = outcome.lines
    assert modes([file, tool]) == [(0o640, 5, 6), (0o4755, 0, 0)]
    assert (link["type"], link["link"], link["uid"], link["gid"]) == ("link", "file", 7, 8)


def test_the_directory_itself(bundle: Bundle) -> None:
    os.chown(fill(bundle), 11, 12)
    (bundle.rootfs / "data").chmod(0o1775)
    assert modes(run(copied(bundle).inside(*look(""))).lines) == [(0o1775, 11, 12)]


def test_what_the_options_say_of_it_comes_first(bundle: Bundle) -> None:
    os.chown(fill(bundle), 11, 12)
    copied(bundle, "mode=711", "uid=3", "gid=4")
    lines = run(bundle.inside(*look("", "/file"))).lines
    assert modes(lines) == [(0o711, 3, 4), (0o640, 0, 0)]


def test_capabilities_of_files(bundle: Bundle) -> None:
    """Extended attributes come along: a `ping` of the image can still ping."""
    top = fill(bundle)
    os.setxattr(top / "file", "security.capability", CAPABILITY)
    bundle.inside("pause")
    with Box(copied(bundle)) as box:
        box.create()
        inside = Path(f"/proc/{box.pid}/root/data/file")
        assert os.getxattr(inside, "security.capability") == CAPABILITY


def test_what_is_left_out_and_that_nothing_is_opened(bundle: Bundle) -> None:
    top = fill(bundle)
    os.mknod(top / "zero", 0o666 | stat.S_IFCHR, os.makedev(1, 5))
    os.mkfifo(top / "fifo")
    (top / "out").symlink_to("/etc/shadow")
    lines = run(copied(bundle).inside("ls", "/data")).lines
    entries = lines[0]["entries"]
    assert set(entries) == {"file", "sub", "link", "tool", "out"}
    assert entries["out"]["link"] == "/etc/shadow"


def test_a_sparse_file(bundle: Bundle) -> None:
    """What takes no room in the image takes none here, and no time."""
    top = fill(bundle)
    os.truncate(top / "file", 1 << 33)
    with Box(copied(bundle, "size=1m").inside(*look("/file")), patience=5) as box:
        assert box.run(check=True).lines[0]["size"] == 1 << 33


def test_more_than_there_is_room(bundle: Bundle) -> None:
    (fill(bundle) / "big").write_bytes(b"x" * (2 << 20))
    number = len(bundle.get("mounts"))
    words = refused(copied(bundle, "size=1m"))
    assert f"(/mounts/{number}): big: no space left on device" in words


def test_where_the_image_has_nothing(bundle: Bundle) -> None:
    assert run(copied(bundle).inside("ls", "/data")).lines[0]["entries"] == {}


@pytest.mark.parametrize("options", [("ro",), ("rro",), ("silent",), ("silent", "ro", "mode=1775")])
def test_beside_other_options(bundle: Bundle, options: tuple[str, ...]) -> None:
    """Read-only only when it is full; and the same by mount(2)."""
    fill(bundle)
    words = (*look("", "/file"), "--", "write", "/data/file", "x")
    lines = run(copied(bundle, *options).inside(*words)).lines
    assert modes(lines) == [(0o1775, 0, 0), (0o640, 0, 0)]
    assert lines[2]["errno"] == ("EROFS" if options != ("silent",) else "")


def test_what_an_earlier_mount_has_there(bundle: Bundle, tmp_path: Path) -> None:
    """Not the image's directory but what the tmpfs covers."""
    (tmp_path / "volume").mkdir()
    (tmp_path / "volume/other").write_text("volume's")
    fill(bundle)
    bundle.bind(tmp_path / "volume", "/data", "ro")
    assert set(run(copied(bundle).inside("ls", "/data")).lines[0]["entries"]) == {"other"}


def test_in_a_user_namespace(mapped: Bundle) -> None:
    first = SUBORDINATE[0].host
    top = fill(mapped)
    own(mapped.rootfs, first)
    os.chown(top / "file", first + 5, first + 6)
    os.chown(top / "sub", first + 5, first + 6)
    (top / "sub").chmod(0o700)
    lines = run(copied(mapped).inside(*look("", "/file", "/sub", "/sub/deep"))).lines
    assert modes(lines[:3]) == [(0o1775, 0, 0), (0o640, 5, 6), (0o700, 5, 6)]
    assert lines[3]["errno"] in ("", "EACCES")


def test_of_an_ordinary_user(person: Person) -> None:
    """What belongs to a subordinate id is not the user's to read; the container's root may."""
    bundle = copied(person.bundle())
    top = fill(bundle)
    rootless(bundle.inside(*look("/file", "/sub", "/link")), person, person.maps)
    for name in ("file", "sub", "sub/deep"):
        os.chown(top / name, person.first + 5, person.first + 5)
    (top / "sub").chmod(0o700)
    with PersonBox(bundle, person) as box:
        lines = box.run(check=True).lines
    assert modes(lines[:2]) == [(0o640, 6, 6), (0o700, 6, 6)]


@pytest.mark.slow
def test_many_files(bundle: Bundle) -> None:
    top = fill(bundle)
    for number in range(5000):
        (top / f"sub/{number}").write_text("x")
    with Box(copied(bundle).inside("ls", "/data/sub"), patience=20) as box:
        begun = time.monotonic()
        lines = box.run(check=True).lines
        assert since(begun) < 5
    assert len(lines[0]["entries"]) == 5001
