"""mounts[].options: every option of the spec's table, read back from mountinfo; and the recursive ones."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lib import kernel
from tests.lib.box import refused, report, run
from tests.lib.bundle import Bundle

pytestmark = pytest.mark.covers("mounts.options")

# option -> (what mountinfo must show, what it must not show), on a tmpfs that would else be rw,relatime
FLAGS: dict[str, tuple[set[str], set[str]]] = {
    "ro": ({"ro"}, {"rw"}),
    "rw": ({"rw"}, {"ro"}),
    "nosuid": ({"nosuid"}, set()),
    "suid": (set(), {"nosuid"}),
    "nodev": ({"nodev"}, set()),
    "dev": (set(), {"nodev"}),
    "noexec": ({"noexec"}, set()),
    "exec": (set(), {"noexec"}),
    "noatime": ({"noatime"}, {"relatime"}),
    "atime": (set(), {"noatime"}),
    "relatime": ({"relatime"}, {"noatime"}),
    "norelatime": (set(), {"noatime"}),
    "strictatime": (set(), {"noatime", "relatime"}),
    "nostrictatime": ({"relatime"}, {"noatime"}),
    "nodiratime": ({"nodiratime"}, set()),
    "diratime": (set(), {"nodiratime"}),
    "nosymfollow": ({"nosymfollow"}, set()),
    "symfollow": (set(), {"nosymfollow"}),
    "defaults": ({"rw", "relatime"}, {"nosuid", "noexec", "nodev"}),
    "": ({"rw", "relatime"}, {"nosuid", "noexec", "nodev"}),
}
SUPER: dict[str, tuple[set[str], set[str]]] = {
    "sync": ({"sync"}, set()),
    "async": (set(), {"sync"}),
    "dirsync": ({"dirsync"}, set()),
    "lazytime": ({"lazytime"}, set()),
    "nolazytime": (set(), {"lazytime"}),
    "mand": ({"mand"}, set()),
    "nomand": (set(), {"mand"}),
}
SILENT = ["silent", "loud", "iversion", "noiversion"]


@pytest.mark.parametrize("option", FLAGS)
def test_flags_of_the_mount(bundle: Bundle, option: str) -> None:
    present, absent = FLAGS[option]
    options = report(bundle.mount("/m", "tmpfs", "tmpfs", option)).mount("/m").options
    assert present <= options and not absent & options, options


@pytest.mark.parametrize("option", SUPER)
def test_flags_of_the_file_system(bundle: Bundle, option: str) -> None:
    present, absent = SUPER[option]
    options = report(bundle.mount("/m", "tmpfs", "tmpfs", option)).mount("/m").super_options
    assert present <= options and not absent & options, options


@pytest.mark.parametrize("option", SILENT)
def test_options_that_leave_no_trace(bundle: Bundle, option: str) -> None:
    """And do not keep others from leaving theirs."""
    words = (option, "sync", "nosuid", "size=1m")
    mount = report(bundle.mount("/m", "tmpfs", "name", *words)).mount("/m")
    assert (mount.kind, mount.source) == ("tmpfs", "name")
    assert "nosuid" in mount.options and {"sync", "size=1024k"} <= mount.super_options


@pytest.mark.parametrize("word", ["sync", "dirsync", "lazytime", "mand"])
def test_flags_of_the_file_system_by_the_other_way(bundle: Bundle, word: str) -> None:
    """What fsconfig(2) has no word for makes all of it go by mount(2)."""
    assert (
        word in report(bundle.mount("/m", "tmpfs", "t", word, "silent")).mount("/m").super_options
    )


@pytest.mark.parametrize(
    ("options", "present", "absent"),
    [
        (["ro", "rw"], {"rw"}, {"ro"}),
        (["nosuid", "suid"], set(), {"nosuid"}),
        (["noatime", "strictatime"], set(), {"relatime"}),
        (
            ["nosuid", "noexec", "nodev", "ro", "noatime"],
            {"nosuid", "noexec", "nodev", "ro", "noatime"},
            set(),
        ),
    ],
)
def test_the_last_of_two_opposites_wins(
    bundle: Bundle, options: list[str], present: set[str], absent: set[str]
) -> None:
    seen = report(bundle.mount("/m", "tmpfs", "tmpfs", *options)).mount("/m").options
    assert present <= seen and not absent & seen, seen


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Path]:
    """A tmpfs with another one mounted below it."""
    top = tmp_path / "tree"
    top.mkdir()
    kernel.mount("top", str(top), "tmpfs")
    (top / "sub").mkdir()
    kernel.mount("sub", str(top / "sub"), "tmpfs")
    yield top
    kernel.umount(str(top))


BIND_FLAGS = ["ro", "nosuid", "nodev", "noexec", "noatime", "nodiratime", "nosymfollow"]


@pytest.mark.parametrize("option", BIND_FLAGS)
def test_a_bind_takes_flags(bundle: Bundle, tree: Path, option: str) -> None:
    """Plain options change the upper mount alone, whatever is bound recursively."""
    seen = report(bundle.bind(tree, "/m", option))
    assert option in seen.mount("/m").options
    assert option not in seen.mount("/m/sub").options


@pytest.mark.parametrize("option", BIND_FLAGS)
def test_recursive_options_reach_what_is_below(bundle: Bundle, tree: Path, option: str) -> None:
    seen = report(bundle.bind(tree, "/m", f"r{option}"))
    assert option in seen.mount("/m").options
    assert option in seen.mount("/m/sub").options


CLEARING = {
    "rrw": "ro",
    "rsuid": "nosuid",
    "rdev": "nodev",
    "rexec": "noexec",
    "rdiratime": "nodiratime",
}


@pytest.mark.parametrize("option", CLEARING)
def test_recursive_options_that_clear(bundle: Bundle, tree: Path, option: str) -> None:
    seen = report(bundle.bind(tree, "/m", CLEARING[option], option))
    assert CLEARING[option] not in seen.mount("/m").options
    assert CLEARING[option] not in seen.mount("/m/sub").options


@pytest.mark.parametrize(
    "option", ["rrelatime", "rnorelatime", "rstrictatime", "rnostrictatime", "ratime"]
)
def test_recursive_access_times(bundle: Bundle, tree: Path, option: str) -> None:
    seen = report(bundle.bind(tree, "/m", option))
    for point in ("/m", "/m/sub"):
        assert "noatime" not in seen.mount(point).options
        assert ("relatime" in seen.mount(point).options) == (option != "rstrictatime"), option


def test_a_readonly_bind_refuses_writes(bundle: Bundle, tree: Path) -> None:
    tried = run(bundle.bind(tree, "/m", "ro").bind(tree, "/r", "rro").inside("trywrite")).lines[0][
        "mounts"
    ]
    assert tried["/m"] == "EROFS" and tried["/m/sub"] == ""
    assert tried["/r"] == "EROFS" and tried["/r/sub"] == "EROFS"


def test_flags_by_effect(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "tools").mkdir()
    shutil.copy2(bundle.rootfs / "inside", tmp_path / "tools/inside")
    bundle.privileged().bind(tmp_path / "tools", "/x", "noexec").bind(tmp_path / "tools", "/y")
    bundle.mount("/d", "tmpfs", "tmpfs", "nodev").mount("/ok", "tmpfs", "tmpfs", "dev")
    words = "device /d/null c 1 3 -- device /ok/null c 1 3 -- tryexec /x/inside exit 0 -- tryexec /y/inside exit 0"
    lines = run(bundle.inside(*words.split())).lines
    assert (lines[0]["stage"], lines[0]["errno"]) == ("open", "EACCES")
    assert lines[1]["errno"] == ""
    assert [line["status"] for line in lines if line["cmd"] == "tryexec"] == [99, 0]


def test_options_of_a_file_system_do_not_belong_on_a_bind(bundle: Bundle, tree: Path) -> None:
    """A word nobody knows may be a misspelt flag; a value is mount(2)'s data, which it ignores for a bind."""
    refused(bundle.bind(tree, "/m", "nosiud"))


def test_data_of_a_file_system_does_nothing_on_a_bind(bundle: Bundle, tree: Path) -> None:
    seen = report(bundle.bind(tree, "/m", "ro", "mode=700", "size=1m"))
    assert "ro" in seen.mount("/m").options
    assert not {"mode=700", "size=1m", "size=1024k"} & seen.mount("/m").super_options


@pytest.mark.parametrize("option", ["a\x00b", "mode=755,size=1\x00"])
def test_a_null_byte_is_refused(bundle: Bundle, option: str) -> None:
    refused(bundle.mount("/m", "tmpfs", "tmpfs", option))


def test_a_comma_in_an_option_makes_no_second_option(bundle: Bundle) -> None:
    """R-43: text is not split again. `size=1m,suid` is a wrong size, or at most what it says."""
    outcome = run(bundle.mount("/m", "tmpfs", "tmpfs", "nosuid", "size=1m,suid"))
    if outcome.code == 0:
        assert "nosuid" in outcome.seen.mount("/m").options
