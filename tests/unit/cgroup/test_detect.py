"""detect: layouts from the two files of /proc, as hosts of every kind show them."""

from __future__ import annotations

import pytest

from pyruntime import errors
from pyruntime.cgroup import detect, driver

HEAD = b"23 1 0:22 / / rw - ext4 /dev/root rw\n31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"


def v1(number: int, where: str, options: str, root: str = "/", kind: str = "cgroup") -> bytes:
    return f"{number} 31 0:{number} {root} {where} rw,relatime - {kind} {kind} {options}\n".encode()


V1 = (
    HEAD
    + v1(40, "/sys/fs/cgroup/systemd", "rw,xattr,name=systemd")
    + v1(41, "/sys/fs/cgroup/cpu,cpuacct", "rw,cpu,cpuacct")
    + v1(42, "/sys/fs/cgroup/memory", "rw,memory")
    + v1(43, "/sys/fs/cgroup/devices", "rw,devices")
)
OWN = b"5:devices:/\n4:memory:/user/one\n3:cpu,cpuacct:/\n1:name=systemd:/\n0::/user\n"
UNIFIED = v1(44, "/sys/fs/cgroup/unified", "rw", kind="cgroup2")


def names(layout: detect.Layout) -> list[str]:
    return [row.name for row in layout.hierarchies]


def test_v1() -> None:
    layout = detect.layout(V1, OWN)
    assert layout.mode == "v1"
    assert names(layout) == ["name=systemd", "cpu,cpuacct", "memory", "devices"]
    assert layout.hierarchies[1].controllers == ("cpu", "cpuacct")
    memory = layout.controller("memory")
    assert memory is not None
    assert (memory.mountpoint, memory.own_path) == ("/sys/fs/cgroup/memory", "/user/one")
    assert memory.device == 42
    assert layout.controller("pids") is None


def test_hybrid() -> None:
    layout = detect.layout(V1 + UNIFIED, OWN)
    assert layout.mode == "hybrid"
    assert names(layout)[-1] == ""
    assert layout.hierarchies[-1].unified
    assert layout.hierarchies[-1].own_path == "/user"
    assert layout.hierarchies[-1].title == "unified"


def test_a_carriage_return_in_a_name() -> None:
    """What follows it is no line: the source of any user's mount would hide all others."""
    forged = b"50 23 0:50 / /home/one/a\rb rw - fuse.x /sys/fs/cgroup rw\n"
    assert names(detect.layout(V1 + forged, OWN)) == names(detect.layout(V1, OWN))
    layout = detect.layout(V1, OWN + b"0::/a\r4:memory:/b\n")
    memory = layout.controller("memory")
    assert memory is not None and memory.own_path == "/user/one"


def test_the_directory_name_says_nothing() -> None:
    odd = HEAD + v1(42, "/sys/fs/cgroup/a", "rw,memory") + v1(43, "/sys/fs/cgroup/memory", "rw,cpu")
    layout = detect.layout(odd, b"2:cpu:/\n1:memory:/\n")
    assert [(row.name, row.mountpoint) for row in layout.hierarchies] == [
        ("memory", "/sys/fs/cgroup/a"),
        ("cpu", "/sys/fs/cgroup/memory"),
    ]


def test_v2() -> None:
    only = b"31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n"
    layout = detect.layout(only, b"0::/user.slice\n")
    assert layout.mode == "v2"
    assert names(layout) == [""]


def test_v2_beside_a_named_hierarchy_of_somebody() -> None:
    both = b"31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n" + v1(
        50, "/run/x", "rw,name=elogind"
    )
    assert detect.layout(both, b"1:name=elogind:/\n0::/\n").mode == "v2"


def test_a_cgroup2_mount_elsewhere_is_not_ours() -> None:
    other = v1(44, "/run/cilium/cgroupv2", "rw", kind="cgroup2")
    assert detect.layout(V1 + other, OWN).mode == "v1"


def test_none_at_all() -> None:
    layout = detect.layout(HEAD, OWN)
    assert (layout.mode, layout.hierarchies) == ("none", [])
    with pytest.raises(errors.UnsupportedError, match="no cgroup file system"):
        driver.prepare(layout, None, "x", {}, lambda _: None)


def test_a_hidden_mount_does_not_count() -> None:
    over = b"90 31 0:90 / /sys/fs/cgroup/unified rw - tmpfs tmpfs rw\n"
    assert detect.layout(V1 + UNIFIED + over, OWN).mode == "v1"


def test_everything_hidden_and_mounted_anew() -> None:
    again = b"90 23 0:90 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n" + v1(
        91, "/sys/fs/cgroup/memory", "rw,memory"
    )
    layout = detect.layout(V1 + again, OWN)
    assert [(row.name, row.device) for row in layout.hierarchies] == [("memory", 91)]


def test_a_neighbour_with_the_same_beginning_is_not_hidden() -> None:
    over = b"90 31 0:90 / /sys/fs/cgroup/mem rw - tmpfs tmpfs rw\n"
    assert "memory" in names(detect.layout(V1 + over, OWN))


def test_the_usual_place_wins_over_a_second_mount() -> None:
    twice = HEAD + v1(42, "/mnt/memory", "rw,memory") + v1(42, "/sys/fs/cgroup/memory", "rw,memory")
    layout = detect.layout(twice, b"1:memory:/\n")
    assert [row.mountpoint for row in layout.hierarchies] == ["/sys/fs/cgroup/memory"]


def test_only_known_hierarchies_are_joined() -> None:
    more = V1 + v1(60, "/sys/fs/cgroup/mine", "rw,name=mine")
    layout = detect.layout(more, OWN + b"9:name=mine:/\n")
    assert "name=mine" in names(layout)
    assert "name=mine" not in [row.name for row in layout.joined()]
    assert "name=systemd" in [row.name for row in layout.joined()]


def test_octal_escapes() -> None:
    odd = HEAD + v1(42, "/sys/fs/cgroup/me\\040mo\\134ry", "rw,memory")
    layout = detect.layout(odd, b"1:memory:/\n")
    assert layout.hierarchies[0].mountpoint == "/sys/fs/cgroup/me mo\\ry"


def test_a_name_that_is_not_utf_8_survives() -> None:
    odd = HEAD + b"42 31 0:42 /\xff /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    assert detect.layout(odd, b"1:memory:/\xff\n").hierarchies[0].own_path == "/\udcff"


@pytest.mark.parametrize(
    ("root", "path", "seen"),
    [
        ("/", "/", "/"),
        ("/", "/a/b", "/a/b"),
        ("/docker/x", "/docker/x", "/"),
        ("/docker/x", "/docker/x/y", "/y"),
        ("/docker/x", "/docker/xy", None),
        ("/docker/x", "/", None),
        ("/", "/../elsewhere", None),
    ],
)
def test_beneath(root: str, path: str, seen: str | None) -> None:
    assert detect.beneath(root, path) == seen


def test_what_a_container_is_shown() -> None:
    layout = detect.layout(V1 + UNIFIED, OWN)
    relative = {"cpu,cpuacct": "/web", "memory": "/user/one/web"}
    assert detect.mounts(layout, relative) == [
        ("systemd", "/sys/fs/cgroup/systemd", []),
        ("cpu,cpuacct", "/sys/fs/cgroup/cpu,cpuacct/web", ["cpu", "cpuacct"]),
        ("memory", "/sys/fs/cgroup/memory/user/one/web", []),
        ("devices", "/sys/fs/cgroup/devices", []),
    ]
    assert detect.mount_data(layout, "systemd") == "name=systemd"
    assert detect.mount_data(layout, "cpu,cpuacct") == "cpu,cpuacct"
    with pytest.raises(KeyError):
        detect.mount_data(layout, "unified")


def test_this_host() -> None:
    layout = detect.layout()
    assert layout.mode in ("v1", "hybrid", "v2")
    assert detect.mounted()
