"""Mounts as data: what each option becomes, on which side, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from pyruntime.errors import UnsupportedError
from pyruntime.features import mount_options
from pyruntime.kernel.native import lib
from pyruntime.plan import moments
from pyruntime.plan.step import DIRECTORY, MAKE_DIRECTORY, MAKE_LIKE, NO_SYMLINKS
from tests.lib.plans import Plan, findings, planned, spec, without_namespace, words

FLAG, STRING = 0, 1  # fsconfig(2)
ATIME = lib.MOUNT_ATTR__ATIME

# option: (set, clear), by the header's numbers
ATTRIBUTES = {
    "ro": (1, 0), "rw": (0, 1), "nosuid": (2, 0), "suid": (0, 2), "nodev": (4, 0), "dev": (0, 4),
    "noexec": (8, 0), "exec": (0, 8), "nosymfollow": (0x200000, 0), "symfollow": (0, 0x200000),
    "nodiratime": (0x80, 0), "diratime": (0, 0x80), "noatime": (0x10, 0x70), "atime": (0, 0x70),
    "relatime": (0, 0x70), "norelatime": (0, 0x70), "strictatime": (0x20, 0x70), "nostrictatime": (0, 0x70),
}  # fmt: skip
PROPAGATION = {"shared": 1 << 20, "slave": 1 << 19, "private": 1 << 18, "unbindable": 1 << 17}
RECURSIVE = 0x8000


def mounted(*options: str, kind: str = "ext4", where: str = "/d", **more: Any) -> Plan:
    entry = {"destination": where, "type": kind, "source": "src", "options": list(options), **more}
    return planned(spec(mounts=[entry]))


def bound(*options: str, **more: Any) -> Plan:
    return mounted("bind", *options, **more)


def attributes(plan: Plan) -> list[tuple[int, ...]]:
    """(flags, set, clear, propagation) of every mount_setattr."""
    calls = plan.named("/mounts/0", "mount_setattr")
    return [(call[2] & ~lib.AT_EMPTY_PATH, *call[3][:3]) for call in calls]


def test_the_table_of_attributes() -> None:
    assert mount_options.ATTRIBUTES == ATTRIBUTES


# ro, nosuid, nodev, noexec, nosymfollow; the access times and nodiratime.
EVERY, TIMES = 0x20000F, 0xF0


def test_a_bind_takes_no_data_but_says_so() -> None:
    """mount(2) ignores it (config.md, Linux mount options); a word nobody knows is a misspelt flag, see test_rules."""
    plan = bound("ro", "mode=755", "size=1k")
    assert plan.site.warnings == [
        "/mounts/0/options: a bind mount takes no file system data: mode=755,size=1k"
    ]
    assert attributes(plan) == [(0, 1, EVERY & ~1, 0)]
    assert findings(
        spec(mounts=[{"destination": "/d", "source": "s", "options": ["bind", "a=b"]}])
    ) == {}  # fmt: skip


@pytest.mark.parametrize("word", ATTRIBUTES)
def test_attributes_of_a_whole_tree(word: str) -> None:
    assert attributes(bound("r" + word)) == [(RECURSIVE, *ATTRIBUTES[word], 0)]


@pytest.mark.parametrize("recursive", ["", "r"])
@pytest.mark.parametrize("word", ATTRIBUTES)
def test_attributes_of_a_new_file_system(word: str, recursive: str) -> None:
    """Nothing is below it yet: recursive options are plain ones."""
    plan = mounted(recursive + word)
    assert plan.named("/mounts/0", "fsmount")[0][2] == ATTRIBUTES[word][0]
    assert attributes(plan) == []


def test_the_later_of_plain_and_recursive_times() -> None:
    assert mounted("noatime", "rstrictatime").named("/mounts/0", "fsmount")[0][2] == 0x20
    assert attributes(bound("ro", "rrw")) == [(0, 1, EVERY & ~1, 0), (RECURSIVE, 0, 1, 0)]


@pytest.mark.parametrize("word", PROPAGATION)
@pytest.mark.parametrize("recursive", [False, True])
def test_propagation(word: str, recursive: bool) -> None:
    option = "r" * recursive + word
    wanted = [(RECURSIVE * recursive, 0, 0, PROPAGATION[word])]
    assert attributes(bound(option)) == wanted
    assert attributes(mounted(option)) == wanted


def test_the_last_of_opposites_wins() -> None:
    assert attributes(bound("ro", "rw")) == [(0, 0, EVERY, 0)]
    assert attributes(bound("rw", "ro")) == [(0, 1, EVERY & ~1, 0)]


def settings(plan: Plan) -> list[tuple[Any, ...]]:
    return [call[1:] for call in plan.named("/mounts/0", "fsconfig")][1:-1]


@pytest.mark.parametrize(
    ("word", "wanted"),
    [
        ("size=64m", (STRING, "size", "64m")),
        ("x=a=b", (STRING, "x", "a=b")),
        ("empty=", (STRING, "empty", "")),
        ("newinstance", (FLAG, "newinstance")),
        ("sync", (FLAG, "sync")),
        ("dirsync", (FLAG, "dirsync")),
        ("lazytime", (FLAG, "lazytime")),
        ("lowerdir=/a:/b\\,c", (STRING, "lowerdir", "/a:/b\\,c")),
        ('context="u:r:t:s0:c1,c2"', (STRING, "context", '"u:r:t:s0:c1,c2"')),
    ],
)
def test_data_of_a_file_system(word: str, wanted: tuple[Any, ...]) -> None:
    assert settings(mounted(word)) == [wanted]


def test_words_without_a_meaning_leave_nothing() -> None:
    assert settings(mounted("defaults", "", "loud", "noiversion")) == []


def test_read_only_is_also_the_file_systems() -> None:
    assert settings(mounted("ro")) == [(FLAG, "ro")]


def test_the_source_is_the_type_unless_given() -> None:
    first = mounted(kind="tmpfs", source=None).named("/mounts/0", "fsconfig")[0]
    assert first[1:] == (STRING, "source", "tmpfs")


@pytest.mark.parametrize("length", [250, 251, 300, 5000])
def test_what_fsconfig_cannot_carry(length: int) -> None:
    """A string of 256 bytes, its NUL included, is too long for it: then mount(2) on the target's descriptor."""
    word = "k=" + "v" * (length - 2)
    plan = mounted("ro", word, where="/a/b")
    if length < 256:
        assert not plan.named("/mounts/0", "mount")
    else:
        assert plan.named("/mounts/0", "mount") == [("src", ".", "ext4", lib.MS_RDONLY, word)]
        assert attributes(plan)[0][1] == 1, "read-only by the attribute"


@pytest.mark.parametrize(
    ("options", "flags"),
    [
        (("iversion",), 1 << 23),
        (("silent",), 1 << 15),
        (("silent", "sync", "dirsync", "lazytime", "mand"), 1 << 15 | 16 | 128 | 1 << 25 | 64),
        (("silent", "sync", "async", "mand", "nomand"), 1 << 15),
        (("silent", "ro"), 1 << 15 | 1),
    ],
)
def test_what_only_mount2_knows(options: tuple[str, ...], flags: int) -> None:
    assert mounted(*options).named("/mounts/0", "mount") == [("src", ".", "ext4", flags, 0)]


@pytest.mark.parametrize("options", [("iversion", "noiversion"), ("silent", "loud"), ("loud",)])
def test_what_was_taken_back_needs_no_mount2(options: tuple[str, ...]) -> None:
    assert not mounted(*options).named("/mounts/0", "mount")


def test_a_tmpfs_by_mount2_is_like_any_other() -> None:
    """It takes its target's mode, is filled from it, and turns read-only late."""
    plan = mounted("silent", "tmpcopyup", "ro", "rshared", kind="tmpfs")
    assert plan.named("/mounts/0", "mount")[0][3] == 1 << 15
    assert plan.named("/mounts/0", "fchmodat") and plan.named("/mounts/0", "COPY")
    assert plan.calls("/mounts/0", moments.LATE_READONLY)[0][4] == (1, 0, 0, 0)
    assert (RECURSIVE, 0, 0, PROPAGATION["shared"]) in attributes(plan)


def test_a_long_source_goes_by_mount2() -> None:
    assert mounted(source="//server/" + "x" * 250).named("/mounts/0", "mount")


def test_a_read_only_tmpfs_turns_so_late() -> None:
    plan = mounted("ro", kind="tmpfs")
    assert plan.named("/mounts/0", "fsmount")[0][2] == 0
    assert [key for _, key, _ in settings(plan)] == ["mode"]
    late = plan.calls("/mounts/0", moments.LATE_READONLY)
    assert late[0][0] == "mount_setattr" and late[0][4] == (1, 0, 0, 0)


def test_dev_turns_read_only_late_whatever_it_is() -> None:
    assert mounted("ro", where="/dev").calls("/mounts/0", moments.LATE_READONLY)
    assert not mounted("ro", where="/d").calls("/mounts/0", moments.LATE_READONLY)


def test_a_tmpfs_takes_the_mode_of_its_target() -> None:
    assert [key for _, key, _ in settings(mounted(kind="tmpfs"))] == ["mode"]
    assert settings(mounted("mode=755", kind="tmpfs")) == [(STRING, "mode", "755")]
    assert mounted("iversion", kind="tmpfs").named("/mounts/0", "fchmodat")


def target(plan: Plan) -> tuple[Any, ...]:
    """(path, how) of the resolved target."""
    call = plan.named("/mounts/0", "RESOLVE")[-2]
    return (call[1], call[2])


def test_targets() -> None:
    assert target(mounted()) == ("/d", MAKE_DIRECTORY | DIRECTORY)
    assert target(bound()) == ("/d", MAKE_LIKE)
    assert target(mounted(kind="proc", where="/proc")) == (
        "/proc",
        MAKE_DIRECTORY | DIRECTORY | NO_SYMLINKS,
    )
    assert target(mounted(kind="sysfs", where="/sys"))[1] & NO_SYMLINKS


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("d", "/d"),
        ("//d//e/", "/d/e"),
        ("/../../d", "/d"),
        ("/d/./e/..", "/d"),
        ("/d/../../e", "/e"),
    ],
)
def test_targets_are_tidied(written: str, meant: str) -> None:
    assert target(mounted(where=written))[0] == meant


def test_a_bind_is_opened_on_the_host() -> None:
    plan = bound(source="rel/x")
    source = plan.at(moments.SOURCES)
    assert [step.text for step in source if step.pointer == "/mounts/0"] == ["open `/b/rel/x`"]
    moved = plan.named("/mounts/0", "move_mount")[0]
    assert isinstance(moved[0], int), "attached by the descriptor that was handed over"


def test_a_remount_changes_attributes_only() -> None:
    plan = mounted("remount", "ro", "nosuid")
    assert attributes(plan) == [(0, 3, 0, 0)]
    assert not plan.named("/mounts/0", "fsopen", "fspick", "move_mount")


def test_a_remount_changes_what_it_names() -> None:
    plan = mounted("remount", "size=5m", "lazytime", "rw", "rnosuid", "slave")
    assert plan.named("/mounts/0", "fspick")
    assert settings_after_pick(plan) == [(FLAG, "lazytime"), (STRING, "size", "5m")]
    assert attributes(plan) == [(0, 0, 1, 0), (RECURSIVE, 2, 0, 0), (0, 0, 0, PROPAGATION["slave"])]


def settings_after_pick(plan: Plan) -> list[tuple[Any, ...]]:
    return [call[1:] for call in plan.named("/mounts/0", "fsconfig")][:-1]


def test_a_remount_of_a_bind_is_a_remount() -> None:
    """mount(8): `bind,remount` changes the flags of what is mounted there, and nothing is bound."""
    plan = bound("remount", "ro", "sync")
    assert attributes(plan) == [(0, 1, 0, 0)]
    assert not plan.named("/mounts/0", "fspick", "open_tree", "move_mount")
    assert "/mounts/0" not in plan.site.handed


def test_every_mount_is_checked_at_the_end() -> None:
    places = ["/a", "/b", "/a/c"]
    plan = planned(spec(mounts=[{"destination": place, "type": "tmpfs"} for place in places]))
    checked = {step.pointer for step in plan.at(moments.CHECK)}
    assert {"/mounts/1", "/mounts/2"} <= checked


@pytest.mark.parametrize("path", ["/procfs", "/process", "/d", "/sys"])
def test_a_target_that_lies_on_procfs_is_refused_at_run_time(path: str) -> None:
    assert mounted(where=path).named("/mounts/0", "fstatfs")
    assert bound(where=path).named("/mounts/0", "fstatfs")


def test_lxcfs_may_cover_its_files() -> None:
    assert not bound(where="/proc/meminfo").named("/mounts/0", "fstatfs")
    assert findings(spec(mounts=[entry("/proc/meminfo", options=["bind"])])) == {}


def entry(where: str, **more: Any) -> dict[str, Any]:
    return {"destination": where, "type": "tmpfs", "source": "s", **more}


@pytest.mark.parametrize(
    ("mount", "place"),
    [
        (entry("/"), "/destination"),
        (entry("/.."), "/destination"),
        (entry(""), "/destination"),
        (entry("/proc"), "/destination"),
        (entry("/proc/sys"), "/destination"),
        (entry("/proc/../proc/1"), "/destination"),
        (entry("/proc/self/exe", options=["bind"]), "/destination"),
        (entry("//proc//kcore", options=["rbind"]), "/destination"),
        (entry("/d", options=["bind", "nosiud"]), "/options"),
        (entry("/d", options=["bind", "tmpcopyup"]), "/options"),
        (entry("/d", type="ext4", options=["tmpcopyup"]), "/options"),
        (entry("/d", type=None), "/type"),
        (entry("/d", options=["remount", "iversion"]), "/options"),
        (entry("/d", options=["remount", "bind", "size=1m"]), "/options"),
        (entry("/d", options=["bind", "idmap"]), "/options"),
        (entry("/d\0x"), ""),
        (entry("/d", options=["a\0b"]), ""),
        (entry("/d", source="a\0b"), ""),
    ],
)
def test_rules(mount: dict[str, Any], place: str) -> None:
    assert f"/mounts/0{place}" in findings(spec(mounts=[mount]))


@pytest.mark.parametrize(
    "mount",
    [
        entry("/proc", type="proc"),
        entry("/proc", options=["rbind"]),
        entry("/processes"),
        entry("/d", type=None, options=["bind"]),
        entry("/d", options=["remount", "ro"], type=None),
        entry("/d", options=["remount", "size=1m"]),
    ],
)
def test_what_is_allowed(mount: dict[str, Any]) -> None:
    assert findings(spec(mounts=[mount])) == {}


def test_too_many() -> None:
    assert findings(spec(mounts=[entry("/d")] * 4097)) == {"/mounts": "more than 4096 mounts"}


@pytest.mark.parametrize(("written", "meant"), [("d/e", "/d/e"), ("../d", "/d"), ("/d", "")])
def test_a_relative_destination_is_warned_of(written: str, meant: str) -> None:
    warnings = mounted(where=written).site.warnings
    assert len(warnings) == bool(meant)
    if meant:
        assert warnings[0].startswith("/mounts/0/destination: ")
        assert warnings[0].endswith(f"taken as `{meant}`")


def test_the_root_must_stay_on_top() -> None:
    """A destination may be a link to /: one check for all mounts, before the others."""
    first = mounted().at(moments.CHECK)[0]
    assert first.pointer == "/mounts" and words(first.ops[2])[:3] == ("openat2", 7, "..")
    assert not planned(spec()).at(moments.CHECK)


def test_mounts_without_a_namespace_need_the_right_to_mount() -> None:
    document = spec(mounts=[entry("/d")], linux__namespaces=without_namespace("mount"))
    assert planned(document).at(moments.MOUNT)
    with pytest.raises(UnsupportedError, match="CAP_SYS_ADMIN"):
        planned(document, privileged=False)


def test_every_known_option_is_reported() -> None:
    names = set(mount_options.names())
    assert {
        "ro",
        "rro",
        "rbind",
        "rshared",
        "runbindable",
        "nosymfollow",
        "rnosymfollow",
        "remount",
    } <= names
    assert {"idmap", "ridmap", "tmpcopyup", "silent", "loud", "iversion", "mand"} <= names
    # Those of the table in config.md, each once; what a file system knows itself is not among them.
    assert len(names) == len(mount_options.names()) == 63


def test_cgroup_mounts() -> None:
    """One mount for each hierarchy in a tmpfs; anew in a cgroup namespace, else a bind of the own group."""
    mount = {
        "destination": "/sys/fs/cgroup",
        "type": "cgroup",
        "source": "cgroup",
        "options": ["ro"],
    }
    plan = planned(spec(mounts=[mount]))
    sources = [call[1] for call in plan.named("/mounts/0", "open_tree")]
    assert "/sys/fs/cgroup/memory/web" in sources
    assert [call[0] for call in plan.named("/mounts/0", "symlinkat")] == ["cpu,cpuacct"] * 2
    kinds = [*spec()["linux"]["namespaces"], {"type": "cgroup"}]
    own = planned(spec(mounts=[mount], linux__namespaces=kinds))
    assert not own.named("/mounts/0", "open_tree")
    assert [call[0] for call in own.named("/mounts/0", "fsopen")] == ["tmpfs"] + ["cgroup"] * 3
    unified = planned(spec(mounts=[mount], linux__namespaces=kinds), v2=True)
    assert unified.named("/mounts/0", "fsopen")[0][0] == "cgroup2"
