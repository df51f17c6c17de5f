"""Options of binds that take something away again, options by what they do, and remounts (config.md, Linux mount
options; R-12)."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lib import kernel, programs
from tests.lib.box import Box, refused, report, run
from tests.lib.bundle import Bundle
from tests.lib.facts import Mount
from tests.lib.ordinary_user import Person, PersonBox, rootless

pytestmark = pytest.mark.covers("mounts.options")

MS_RDONLY, MS_NOSYMFOLLOW, MS_NOATIME, MS_NODIRATIME = 1, 256, 1024, 2048
ALL = (
    MS_RDONLY | kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC
    | MS_NOSYMFOLLOW | MS_NOATIME | MS_NODIRATIME
)  # fmt: skip
WORDS = {"ro", "nosuid", "nodev", "noexec", "nosymfollow", "noatime", "nodiratime"}
# What takes which of them away.
OPPOSITES = {
    "rw": "ro", "suid": "nosuid", "dev": "nodev", "exec": "noexec", "symfollow": "nosymfollow",
    "diratime": "nodiratime", "atime": "noatime", "relatime": "noatime", "norelatime": "noatime",
    "strictatime": "noatime", "nostrictatime": "noatime",
}  # fmt: skip


def guard(place: Path, flags: int = ALL) -> None:
    kernel.mount("", str(place), flags=flags | kernel.MS_BIND | kernel.MS_REMOUNT)


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Path]:
    """A mount with every restricting flag, and another like it below."""
    top = tmp_path / "guarded"
    top.mkdir()
    kernel.mount("top", str(top), "tmpfs")
    (top / "sub").mkdir()
    kernel.mount("sub", str(top / "sub"), "tmpfs")
    guard(top / "sub")
    guard(top)
    yield top
    kernel.umount(str(top))


def restrictions(mount: Mount) -> set[str]:
    return WORDS & mount.options


def test_without_options_all_of_them_stay(bundle: Bundle, guarded: Path) -> None:
    seen = report(bundle.bind(guarded, "/m"))
    assert restrictions(seen.mount("/m")) == restrictions(seen.mount("/m/sub")) == WORDS


def test_the_others_go_where_one_is_named(bundle: Bundle, guarded: Path) -> None:
    """As from runc: a volume asked for with `ro` runs programs, whatever its source forbids; times stay."""
    guard(guarded, kernel.MS_NOSUID | kernel.MS_NOEXEC | MS_NOATIME)
    seen = report(bundle.bind(guarded, "/m", "ro"))
    assert restrictions(seen.mount("/m")) == {"ro", "noatime"}
    assert restrictions(seen.mount("/m/sub")) == WORDS


TIMES = {"noatime", "nodiratime"}


@pytest.mark.parametrize("option", OPPOSITES)
def test_the_opposite_of_one(bundle: Bundle, guarded: Path, option: str) -> None:
    """Of the upper mount, and of nothing below. What only clears a flag of access times leaves them."""
    seen = report(bundle.bind(guarded, "/m", option))
    changed = option in ("relatime", "strictatime")
    assert restrictions(seen.mount("/m")) == (set() if changed else TIMES)
    assert restrictions(seen.mount("/m/sub")) == WORDS
    assert ("relatime" in seen.mount("/m").options) == (option == "relatime")


def test_a_directory_no_program_may_run_in(bundle: Bundle, tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    volume.mkdir()
    kernel.mount("v", str(volume), "tmpfs", flags=kernel.MS_NOEXEC)
    try:
        shutil.copy2(bundle.rootfs / "inside", volume / "tool")
        assert run(bundle.bind(volume, "/m", "ro").args("/m/tool", "exit", "3")).code == 3
    finally:
        kernel.umount(str(volume))


@pytest.mark.parametrize("option", OPPOSITES)
def test_the_recursive_opposite_takes_one_away_everywhere(
    bundle: Bundle, guarded: Path, option: str
) -> None:
    seen = report(bundle.bind(guarded, "/m", f"r{option}"))
    for place in ("/m", "/m/sub"):
        assert restrictions(seen.mount(place)) == WORDS - {OPPOSITES[option]}


def test_all_at_once(bundle: Bundle, guarded: Path) -> None:
    words = ("rrw", "rsuid", "rdev", "rexec", "rsymfollow", "rdiratime", "rrelatime")
    seen = report(bundle.bind(guarded, "/m", *words))
    assert restrictions(seen.mount("/m")) == restrictions(seen.mount("/m/sub")) == set()


def test_plain_and_recursive_mixed(bundle: Bundle, guarded: Path) -> None:
    """The recursive ones come after the plain ones."""
    seen = report(bundle.bind(guarded, "/m", "rrw", "ro", "rexec", "noexec", "rstrictatime"))
    assert restrictions(seen.mount("/m")) == {"nodiratime"}
    assert restrictions(seen.mount("/m/sub")) == WORDS - {"ro", "noexec", "noatime"}


# By effect


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Path]:
    """A directory with another mount in it; both hold the same things."""
    top = tmp_path / "tree"
    top.mkdir()
    kernel.mount("top", str(top), "tmpfs")
    (top / "sub").mkdir()
    kernel.mount("sub", str(top / "sub"), "tmpfs")
    for place in (top, top / "sub"):
        (place / "file").write_text("text")
        (place / "link").symlink_to("file")
        (place / "inner").mkdir()
    yield top
    kernel.umount(str(top))


HERE, BELOW = "/m", "/m/sub"


@pytest.mark.parametrize(
    ("options", "here", "below"),
    [((), "", ""), (("nosymfollow",), "ELOOP", ""), (("rnosymfollow",), "ELOOP", "ELOOP"),
     (("rnosymfollow", "rsymfollow"), "", "")],
)  # fmt: skip
def test_links(bundle: Bundle, tree: Path, options: tuple[str, ...], here: str, below: str) -> None:
    bundle.bind(tree, "/m", *options).inside("cat", "/m/link", "--", "cat", "/m/sub/link")
    assert [line["errno"] for line in run(bundle).lines] == [here, below]


@pytest.mark.parametrize(
    ("options", "here", "below"),
    [((), 0, 0), (("nosuid",), 1000, 0), (("rnosuid",), 1000, 1000), (("rnosuid", "rsuid"), 0, 0)],
)
def test_set_uid_programs(
    bundle: Bundle, tree: Path, options: tuple[str, ...], here: int, below: int
) -> None:
    for place in (tree, tree / "sub"):
        shutil.copy2(bundle.rootfs / "inside", place / "tool")
        (place / "tool").chmod(0o4755)
    bundle.set("process.noNewPrivileges", False).set("process.user", {"uid": 1000, "gid": 1000})
    bundle.capabilities("CAP_SETUID", "CAP_SETGID").bind(tree, "/m", *options)
    lines = run(bundle.inside(*"tryexec /m/tool ids -- tryexec /m/sub/tool ids".split())).lines
    seen = [line["uid"][1] for line in lines if line["cmd"] == "ids"]
    # The first program gets the rest of our words, too, and says what it can say between the two.
    assert [seen[0], seen[-1]] == [here, below]


@pytest.mark.parametrize(
    ("options", "here", "below"),
    [((), 0, 0), (("noexec",), 99, 0), (("rnoexec",), 99, 99), (("rnoexec", "rexec"), 0, 0)],
)
def test_programs(
    bundle: Bundle, tree: Path, options: tuple[str, ...], here: int, below: int
) -> None:
    for place in (tree, tree / "sub"):
        shutil.copy2(bundle.rootfs / "inside", place / "tool")
    bundle.bind(tree, "/m", *options)
    lines = run(
        bundle.inside(*"tryexec /m/tool exit 0 -- tryexec /m/sub/tool exit 0".split())
    ).lines
    assert [line["status"] for line in lines if line["cmd"] == "tryexec"] == [here, below]


@pytest.mark.parametrize(
    ("options", "here", "below"),
    [((), "", ""), (("nodev",), "EACCES", ""), (("rnodev",), "EACCES", "EACCES"),
     (("rnodev", "rdev"), "", "")],
)  # fmt: skip
def test_devices(
    bundle: Bundle, tree: Path, options: tuple[str, ...], here: str, below: str
) -> None:
    bundle.privileged().bind(tree, "/m", *options)
    words = "device /m/null c 1 3 -- device /m/sub/null c 1 3".split()
    assert [line["errno"] for line in run(bundle.inside(*words)).lines] == [here, below]


@pytest.mark.parametrize(
    ("options", "here", "below"),
    [((), "", ""), (("ro",), "EROFS", ""), (("rro",), "EROFS", "EROFS"), (("rro", "rrw"), "", ""),
     (("ro", "rrw"), "", "")],
)  # fmt: skip
def test_writes(
    bundle: Bundle, tree: Path, options: tuple[str, ...], here: str, below: str
) -> None:
    tried = run(bundle.bind(tree, "/m", *options).inside("trywrite")).lines[0]["mounts"]
    assert (tried[HERE], tried[BELOW]) == (here, below)


NOW = time.time()
FRESH, STALE = (NOW + 3600, NOW - 120), (NOW - 120, NOW - 60)
"""(read, changed): after the last read nothing changed, not even these times; or something did, which relatime wants
to know of."""


def reads(
    bundle: Bundle, tree: Path, options: tuple[str, ...], times: tuple[float, float]
) -> list[bool]:
    """Whether reading told on: the file here, the directory here, the file and the directory below."""
    places = [tree / "file", tree / "inner", tree / "sub/file", tree / "sub/inner"]
    for place in places:
        os.utime(place, times)
    words = "cat /m/file -- ls /m/inner -- cat /m/sub/file -- ls /m/sub/inner".split()
    assert run(bundle.bind(tree, "/m", *options).inside(*words)).code == 0
    return [abs(place.stat().st_atime - times[0]) > 1 for place in places]


ALWAYS, NEVER, FILES = [True, True], [False, False], [True, False]


@pytest.mark.parametrize(
    ("options", "times", "here", "below"),
    [
        (("strictatime",), FRESH, ALWAYS, NEVER),
        (("noatime",), STALE, NEVER, ALWAYS),
        (("nodiratime",), STALE, FILES, ALWAYS),
        (("strictatime", "nodiratime"), FRESH, FILES, NEVER),
        (("relatime",), FRESH, NEVER, NEVER),
        (("relatime",), STALE, ALWAYS, ALWAYS),
        (("nostrictatime",), FRESH, NEVER, NEVER),
        (("rstrictatime",), FRESH, ALWAYS, ALWAYS),
        (("rnoatime",), STALE, NEVER, NEVER),
        (("rnoatime", "ratime"), STALE, ALWAYS, ALWAYS),
        (("rnodiratime",), STALE, FILES, FILES),
        (("rnodiratime", "rdiratime"), STALE, ALWAYS, ALWAYS),
        (("rnoatime", "rrelatime"), STALE, ALWAYS, ALWAYS),
        (("rstrictatime", "rnostrictatime"), FRESH, NEVER, NEVER),
        (("rstrictatime", "rnorelatime"), STALE, ALWAYS, ALWAYS),
        (("rnoatime", "rnodiratime", "rro"), STALE, NEVER, NEVER),
        (("noatime", "rstrictatime"), FRESH, ALWAYS, ALWAYS),
    ],
)
def test_access_times(
    bundle: Bundle,
    tree: Path,
    options: tuple[str, ...],
    times: tuple[float, float],
    here: list[bool],
    below: list[bool],
) -> None:
    assert reads(bundle, tree, options, times) == [*here, *below]


# Remounts


def remount(bundle: Bundle, destination: str, *options: str) -> Bundle:
    return bundle.add("mounts", {"destination": destination, "options": ["remount", *options]})


def test_a_remount_changes_the_mount(bundle: Bundle) -> None:
    bundle.mount("/m", "tmpfs", "t", "nosuid", "noexec").mount("/m/below", "tmpfs", "t")
    seen = report(remount(bundle, "/m", "ro", "exec", "noatime"))
    assert restrictions(seen.mount("/m")) == {"ro", "nosuid", "noatime"}
    assert restrictions(seen.mount("/m/below")) == set()


def test_a_remount_changes_the_file_system(bundle: Bundle) -> None:
    bundle.mount("/m", "tmpfs", "t", "nosuid", "size=1m", "sync")
    mount = report(remount(bundle, "/m", "size=2m", "lazytime", "async")).mount("/m")
    assert {"size=2048k", "lazytime"} <= mount.super_options and "sync" not in mount.super_options
    assert restrictions(mount) == {"nosuid"}


def test_a_remount_of_what_is_bound_leaves_the_host_alone(bundle: Bundle, tree: Path) -> None:
    """The file system stays writable for everybody else."""
    remount(bundle.bind(tree, "/m"), "/m", "ro")
    tried = run(bundle.inside("trywrite")).lines[0]["mounts"]
    assert (tried[HERE], tried[BELOW]) == ("EROFS", "")
    (tree / "new").write_text("")


def test_bind_remount(bundle: Bundle, tree: Path) -> None:
    """As mount(8) has it: `bind,remount` binds nothing."""
    bundle.bind(tree, "/m").add(
        "mounts", {"destination": "/m", "source": "/etc", "options": ["bind", "remount", "ro"]}
    )
    seen = report(bundle)
    assert [mount.source for mount in seen.mounts if mount.point == "/m"] == ["top"]
    assert "ro" in seen.mount("/m").options


def test_a_recursive_remount(bundle: Bundle, tree: Path) -> None:
    seen = report(remount(bundle.bind(tree, "/m"), "/m", "rro", "rnosuid", "rshared"))
    for place in (HERE, BELOW):
        assert restrictions(seen.mount(place)) == {"ro", "nosuid"}
        assert seen.mount(place).propagation == {"shared"}


def test_a_remount_by_an_ordinary_user(person: Person) -> None:
    bundle = remount(person.bundle().mount("/m", "tmpfs", "t", "size=1m"), "/m", "ro", "size=2m")
    with PersonBox(rootless(bundle, person, person.maps), person) as box:
        mount = box.run(check=True).facts.mount("/m")
    assert "ro" in mount.options and "size=2048k" in mount.super_options


@pytest.mark.parametrize(
    ("destination", "options", "words"),
    [
        ("/tmp", ("ro",), "invalid argument"),
        ("/not/there", ("ro",), "no such file or directory"),
        ("/dev", ("nonsense=1",), "invalid argument"),
        ("/dev", ("iversion",), "iversion"),
    ],
)
def test_remounts_that_cannot_be(
    bundle: Bundle, destination: str, options: tuple[str, ...], words: str
) -> None:
    said = refused(remount(bundle, destination, *options))
    assert words in said
    assert "/mounts/3" in said or programs.runtime_name() != "pyruntime"


def test_a_container_that_was_made_is_found_by_exec(bundle: Bundle) -> None:
    """What exec sees are the same flags."""
    remount(bundle.mount("/m", "tmpfs", "t"), "/m", "ro").inside("pause")
    with Box(bundle) as box:
        box.create()
        box.start()
        box.expect("pause")
        lines = box.call("exec", box.id, "/inside", "trywrite", check=True).lines
        assert lines[0]["mounts"]["/m"] == "EROFS"
