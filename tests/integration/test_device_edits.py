"""Device access that a hook has changed holds for the program, and after every change that does not speak of devices."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pyruntime.cgroup import driver, frozen
from pyruntime.cgroup.systemd.rewriting import Undone
from tests.lib import deviceedits
from tests.lib.box import Box, unique_id
from tests.lib.bundle import Bundle
from tests.lib.groups import V2, Maker, top
from tests.lib.units import DRIVERS, created_by

pytestmark = pytest.mark.covers("linux.resources.devices", "hooks.prestart", "hooks.createRuntime")
HOWS = {"replace": "", "attach": "EPERM"} if V2 else {"allow": "", "deny": "EPERM"}
NODES = {"": ("/dev/let-in", "w"), "EPERM": ("/dev/zero", "r")}
UPDATES = (
    ("--memory", "96m", "--memory-swap", "96m"),
    ("--cpu-share", "512"),
    ("--pids-limit", "44"),
)


def edited(bundle: Bundle, moment: str, how: str) -> Bundle:
    bundle.set("linux.resources.devices", [{"allow": False, "access": "rwm"}])
    bundle.set("linux.devices", [{"path": "/dev/let-in", "type": "c", "major": 1, "minor": 11}])
    return bundle.hook(moment, sys.executable, "-I", "-S", deviceedits.__file__, how)


def opened(box: Box, path: str, how: str) -> str:
    return str(box.call("exec", box.id, "/inside", "open", path, how).lines[0]["errno"])


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("moment", ["prestart", "createRuntime"])
@pytest.mark.parametrize("how", HOWS)
def test_a_hook(bundle: Bundle, driver: str, moment: str, how: str) -> None:
    said = HOWS[how]
    path, access = NODES[said]
    words = ["open", path, access, "--", "open", "/dev/null", "rw", "--", "pause"]
    with created_by(driver, edited(bundle, moment, how), *words) as box:
        box.start()
        box.expect("pause")
        assert [line["errno"] for line in box.lines] == [said, "", ""]
        for flags in UPDATES:
            box.call("update", *flags, box.id, check=True)
            assert opened(box, path, access) == said
            assert opened(box, "/dev/null", "rw") == ""


@pytest.mark.parametrize("driver", DRIVERS)
def test_no_moment_without_devices(bundle: Bundle, driver: str) -> None:
    """A program that opens one all the time is never refused while limits change."""
    bundle.shell(
        'echo \'{"cmd": "begun"}\'; while true >/dev/null; do :; done; echo \'{"cmd": "refused"}\''
    )
    with created_by(driver, bundle) as box:
        box.start()
        box.expect("begun")
        for number in range(10):
            box.call("update", "--pids-limit", str(40 + number), box.id, check=True)
        for stream in box.container_streams:
            stream.drain()
        assert [line["cmd"] for line in box.lines] == ["begun"]
        assert box.error_output == ""


# What systemd does to v1's file when a property of a unit changes, done by the test


KMSG = {"type": "c", "major": 1, "minor": 11}
ROWS: list[list[dict[str, Any]]] = [
    [{"allow": True, "access": "r", **KMSG}],
    [{"allow": True, "type": "c", "major": 1, "access": "rwm"}],
    [{"allow": True, "access": "rwm"}],
    [{"allow": True, "access": "rwm"}, {"allow": False, "access": "w", **KMSG}],
]


def written_anew(group: Path, rows: list[dict[str, Any]]) -> None:
    """As systemd does, which does not mind a refusal."""
    everything = rows[0] == {"allow": True, "access": "rwm"}
    for name, line in (
        ("allow" if everything else "deny", "a"),
        *(() if everything else (("allow", "c 1:3 rw"), ("allow", "c 7:* rwm"))),
    ):
        try:
            (group / f"devices.{name}").write_text(line)
        except OSError as error:
            assert error.errno == errno.EINVAL


@pytest.mark.skipif(V2, reason="v2 has no such file")
@pytest.mark.parametrize("below", [False, True], ids=["alone", "groups below"])
@pytest.mark.parametrize("edit", ["", "allow c 1:4 r", "deny c 1:5 rwm"])
@pytest.mark.parametrize("rows", ROWS)
def test_a_list_that_is_written_anew(
    maker: Maker, tmp_path: Path, rows: list[dict[str, Any]], edit: str, below: bool
) -> None:
    resources = {"devices": rows}
    cgroup = maker.prepare("/" + unique_id(), resources)
    group = Path(cgroup.paths[str(top("devices").name)])
    node = tmp_path / "kmsg"
    os.mknod(node, stat.S_IFCHR | 0o600, os.makedev(1, 11))
    if edit:
        name, _, line = edit.partition(" ")
        (group / f"devices.{name}").write_text(line)
    if below:
        (group / "below").mkdir()
    before = (group / "devices.list").read_text()
    answers = [opens(group, node, way) for way in "<>"]
    with Undone(cgroup, resources):
        assert frozen.is_frozen(driver.record(cgroup))
        written_anew(group, rows)
    assert not frozen.is_frozen(driver.record(cgroup))
    assert sorted((group / "devices.list").read_text().split("\n")) == sorted(before.split("\n"))
    assert [opens(group, node, way) for way in "<>"] == answers
    assert answers[1] == (len(rows) == 1 and rows[0].get("minor") is None)


def opens(group: Path, node: Path, way: str) -> bool:
    script = f"if true {way}'{node}'; then echo yes; else echo no; fi 2>/dev/null"
    done = subprocess.run(
        ["/bin/sh", "-c", 'echo 0 >"$1/cgroup.procs"; ' + script, "sh", str(group)],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout == "yes\n"
