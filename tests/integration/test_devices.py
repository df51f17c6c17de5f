"""/dev: the default nodes, linux.devices, and what the device cgroup lets through."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from tests.lib.box import refused, report, run
from tests.lib.bundle import Bundle
from tests.lib.facts import Facts

pytestmark = pytest.mark.covers("linux.devices", "linux.resources.devices")

DEFAULT = {
    "null": (1, 3),
    "zero": (1, 5),
    "full": (1, 7),
    "random": (1, 8),
    "urandom": (1, 9),
    "tty": (5, 0),
}
LINKS = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
    "ptmx": "pts/ptmx",
}
FUSE = {"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229}


def test_default_nodes(bundle: Bundle) -> None:
    dev = report(bundle).dev
    for name, numbers in DEFAULT.items():
        node = dev[name]
        assert (node["type"], node["major"], node["minor"]) == ("char", *numbers), name
        assert (node["mode"], node["uid"], node["gid"]) == (0o666, 0, 0), name


def test_links(bundle: Bundle) -> None:
    dev = report(bundle).dev
    assert {name: dev[name]["link"] for name in LINKS} == LINKS


def test_nothing_else_is_in_dev(bundle: Bundle) -> None:
    assert set(report(bundle).dev) - {"core"} == {*DEFAULT, *LINKS, "pts"}


def test_default_nodes_work(bundle: Bundle) -> None:
    words: list[str] = []
    for name in ("null", "zero", "full", "random", "urandom"):
        words += ["open", f"/dev/{name}", "rw", "--"]
    lines = run(bundle.inside(*words, "open", "/dev/ptmx", "rw")).lines
    assert [line["errno"] for line in lines] == [""] * 6


def test_a_readonly_dev_is_still_populated(bundle: Bundle) -> None:
    bundle.set("mounts.1.options", ["nosuid", "mode=755", "ro"]).inside("report", "--", "trywrite")
    outcome = run(bundle)
    assert set(DEFAULT) <= set(outcome.facts.dev)
    assert outcome.lines[1]["mounts"]["/dev"] == "EROFS"


def test_a_dev_bound_from_the_host_is_left_alone(bundle: Bundle) -> None:
    mounts = [
        mount for mount in bundle.get("mounts") if not mount["destination"].startswith("/dev")
    ]
    bundle.set("mounts", mounts).bind("/dev", "/dev", "ro")
    assert report(bundle).mount("/dev").kind == "devtmpfs"


@pytest.mark.parametrize(
    ("entry", "seen"),
    [
        (
            {"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229},
            ("char", 10, 229, 0o666, 0, 0),
        ),
        (
            {
                "path": "/dev/sub/disk",
                "type": "b",
                "major": 7,
                "minor": 3,
                "fileMode": 0o640,
                "uid": 5,
                "gid": 6,
            },
            ("block", 7, 3, 0o640, 5, 6),
        ),
        (
            {"path": "/dev/old", "type": "u", "major": 1, "minor": 3, "fileMode": 0o600},
            ("char", 1, 3, 0o600, 0, 0),
        ),
        ({"path": "/dev/pipe", "type": "p", "fileMode": 0o666}, ("fifo", 0, 0, 0o666, 0, 0)),
        # Podman's fileMode carries the type bits too: 020600 octal.
        (
            {"path": "/dev/x", "type": "c", "major": 1, "minor": 5, "fileMode": 8576},
            ("char", 1, 5, 0o600, 0, 0),
        ),
        # Outside /dev as well.
        ({"path": "/data/null", "type": "c", "major": 1, "minor": 3}, ("char", 1, 3, 0o666, 0, 0)),
    ],
    ids=lambda value: value.get("path") if isinstance(value, dict) else None,
)
def test_devices(bundle: Bundle, entry: dict[str, object], seen: tuple[object, ...]) -> None:
    outcome = run(bundle.set("linux.devices", [entry]).inside("stat", str(entry["path"])))
    line = outcome.lines[0]
    members = ("type", "major", "minor", "mode", "uid", "gid")
    assert tuple(line[member] for member in members) == seen


@pytest.mark.parametrize("kind", ["root", "user namespace"])
def test_a_bind_over_a_device_stays(
    request: pytest.FixtureRequest, kind: str, tmp_path: Path
) -> None:
    """`-v /dev/urandom:/dev/random` is widely used; a file may stand there as well."""
    bundle: Bundle = request.getfixturevalue("bundle" if kind == "root" else "mapped")
    (tmp_path / "file").write_text("file")
    tmp_path.chmod(0o755)
    bundle.bind("/dev/urandom", "/dev/random").bind("/dev/zero", "/dev/null")
    bundle.bind(tmp_path / "file", "/dev/full").set("linux.devices", [FUSE])
    bundle.bind("/dev/null", "/dev/fuse").inside("report", "--", "cat", "/dev/full")
    outcome = run(bundle)
    dev = outcome.facts.dev
    minors = {name: dev[name].get("minor") for name in ("random", "null", "fuse", "zero")}
    assert minors == {"random": 9, "null": 5, "fuse": 3, "zero": 5}
    assert outcome.lines[1]["data"] == "file"


ASKED = {
    "path": "/dev/zero2",
    "type": "c",
    "major": 1,
    "minor": 5,
    "fileMode": 0o640,
    "uid": 3,
    "gid": 4,
}
PTMX = {
    "path": "/dev/ptmx",
    "type": "c",
    "major": 5,
    "minor": 2,
    "fileMode": 0o666,
    "uid": 0,
    "gid": 0,
}


def test_in_a_user_namespace_they_are_as_asked_for(mapped: Bundle) -> None:
    """What the namespace may not make, root of the host makes for it: at any path, with mode and owner."""
    mapped.set("linux.devices", [ASKED, PTMX, {**ASKED, "path": "/data/node"}])
    mapped.inside("stat", "/dev/zero2", "--", "stat", "/data/node", "--", "report")
    outcome = run(mapped)
    for line in outcome.lines[:2]:
        members = [line[name] for name in ("type", "major", "minor", "mode", "uid", "gid")]
        assert members == ["char", 1, 5, 0o640, 3, 4]
    dev = Facts(outcome.lines[2]).dev
    assert dev["ptmx"]["link"] == "pts/ptmx"
    null = dev["null"]
    assert (null["major"], null["minor"], null["mode"], null["uid"]) == (1, 3, 0o666, 0)
    for path in ("/dev/zero2", "/data/node", "/dev/null"):
        assert {"nosuid", "noexec"} <= Facts(outcome.lines[2]).mount(path).options


def test_in_a_user_namespace_they_work(mapped: Bundle) -> None:
    words: list[str] = []
    for name in ("null", "zero", "full", "random", "urandom"):
        words += ["open", f"/dev/{name}", "rw", "--"]
    lines = run(mapped.inside(*words, "open", "/dev/ptmx", "rw")).lines
    assert [line["errno"] for line in lines] == [""] * 6


def test_many_devices(bundle: Bundle) -> None:
    """Privileged podman sends about a hundred."""
    entries = [{"path": f"/dev/many{n}", "type": "c", "major": 4, "minor": n} for n in range(100)]
    dev = report(bundle.set("linux.devices", entries)).dev
    assert sum(name.startswith("many") for name in dev) == 100


def test_a_default_device_may_be_listed(bundle: Bundle) -> None:
    entry = {
        "path": "/dev/null",
        "type": "c",
        "major": 1,
        "minor": 3,
        "fileMode": 0o666,
        "uid": 0,
        "gid": 0,
    }
    rule = {"allow": True, "type": "c", "major": 1, "minor": 3, "access": "rwm"}
    bundle.set("linux.devices", [entry]).set("linux.resources.devices", [rule])
    assert report(bundle).dev["null"]["minor"] == 3


@pytest.mark.parametrize(
    "entry",
    [
        {"path": "/dev/x", "type": "q", "major": 1, "minor": 3},
        {"path": "/dev/x", "type": "c"},
        {"type": "c", "major": 1, "minor": 3},
    ],
)
def test_a_wrong_entry_is_refused(bundle: Bundle, entry: dict[str, object]) -> None:
    refused(bundle.set("linux.devices", [entry]))


@pytest.mark.parametrize("kind", ["file", "directory", "other device", "link"])
def test_what_is_not_the_device_is_an_error(bundle: Bundle, kind: str) -> None:
    """config-linux.md: a file at `path` that does not match. Outside of /dev, which is a fresh tmpfs."""
    place = bundle.dir("data").rootfs / "data/x"
    if kind == "file":
        place.write_text("precious")
    elif kind == "directory":
        place.mkdir()
    elif kind == "link":
        place.symlink_to("/dev/null")
    else:
        os.mknod(place, 0o600 | stat.S_IFCHR, os.makedev(1, 5))
    before = place.lstat()
    entry = {"path": "/data/x", "type": "c", "major": 1, "minor": 3}
    message = refused(bundle.set("linux.devices", [entry]))
    assert "/data/x" in message and "file exists" in message
    assert place.lstat() == before


def test_the_same_device_may_be_there_already(bundle: Bundle) -> None:
    place = bundle.dir("data").rootfs / "data/x"
    os.mknod(place, 0o600 | stat.S_IFCHR, os.makedev(1, 3))
    entry = {"path": "/data/x", "type": "c", "major": 1, "minor": 3}
    outcome = run(bundle.set("linux.devices", [entry]).inside("stat", "/data/x"))
    assert outcome.lines[0]["minor"] == 3


def test_two_devices_at_one_path_are_refused(bundle: Bundle) -> None:
    entries = [
        {"path": path, "type": "c", "major": 1, "minor": minor}
        for path, minor in (("/dev/x", 3), ("/dev//x", 5))
    ]
    assert "/linux/devices/1/path" in refused(bundle.set("linux.devices", entries))


def tried(
    bundle: Bundle, rules: list[dict[str, object]] | None, words: str
) -> list[tuple[str, str]]:
    if rules is not None:
        bundle.set("linux.resources.devices", rules)
    lines = run(bundle.privileged().mount("/tmp", "tmpfs", "tmpfs").inside(*words.split())).lines
    return [(line["stage"], line["errno"]) for line in lines]


DENY = {"allow": False, "access": "rwm"}


def test_rules_deny_all_then_allow_some(bundle: Bundle) -> None:
    allow = {"allow": True, "type": "c", "major": 10, "minor": 229, "access": "rwm"}
    read = {"allow": True, "type": "b", "major": 7, "minor": 0, "access": "rm"}
    words = "device /tmp/a c 10 229 r -- device /tmp/b b 7 0 w -- device /tmp/c c 1 1 r -- device /tmp/d c 1 3 w"
    words += " -- device /tmp/e c 10 228 r -- device /tmp/f b 10 229 r -- device /tmp/g c 11 229 r"
    seen = tried(bundle, [DENY, allow, read], words)
    assert seen[0] in (
        ("open", ""),
        ("open", "ENODEV"),
        ("open", "ENXIO"),
    )  # let through; the driver may be absent
    assert seen[1] == ("open", "EPERM")
    assert seen[2] == ("open", "EPERM")
    assert seen[3] == ("open", "")
    assert seen[4:] == [("open", "EPERM")] * 3, "another number, another type"


@pytest.mark.parametrize("rules", [None, [], [DENY]], ids=["absent", "empty", "deny"])
def test_memory_and_disks_are_out_of_reach(
    bundle: Bundle, rules: list[dict[str, object]] | None
) -> None:
    """R-18: also with an empty or a missing list. mknod is one of the standard permissions, opening is not."""
    seen = tried(
        bundle,
        rules,
        "device /tmp/a c 1 1 r -- device /tmp/b b 254 0 r -- device /tmp/c c 10 200 r",
    )
    assert seen[0] == ("open", "EPERM") and seen[1] == ("open", "EPERM")


def test_an_empty_access_is_refused(bundle: Bundle) -> None:
    refused(
        bundle.set(
            "linux.resources.devices",
            [{"allow": True, "type": "c", "major": 1, "minor": 1, "access": ""}],
        )
    )
