"""R-05: no descriptor and no directory of the host reaches the container. CVE-2024-21626, CVE-2016-9962."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from tests.lib import hostile, leaks
from tests.lib.box import Box
from tests.lib.bundle import Bundle
from tests.lib.namespaces import SUBORDINATE, map_users
from tests.lib.ordinary_user import own
from tests.lib.tripwire import Tripwire


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    return hostile.build(tmp_path / "outside", {"file": "precious"})


def leak(outside: Path) -> None:
    """A careless engine: fifty directory descriptors of the host without close-on-exec."""
    fd = os.open(outside, os.O_RDONLY | os.O_DIRECTORY)
    for number in range(3, 53):
        os.dup2(fd, number)


NUMBERS = [3, 4, 5, 6, 7, 8, 9, 10, 12, 16, 30, 52]
PLACES = [f"/proc/self/fd/{number}" for number in NUMBERS] + [
    "/proc/self/cwd",
    "/proc/self/cwd/..",
    "/proc/self/root",
    "/proc/1/root",
    "/proc/1/cwd/../..",
    "/proc/thread-self/fd/7",
    "/proc/self/fd/7/../../..",
    "/proc/self/task/1/fd/8",
]


@pytest.mark.parametrize("cwd", PLACES)
def test_a_cwd_outside(bundle: Bundle, outside: Path, cwd: str) -> None:
    """Whatever it is refused or it is a directory of the container; getcwd never says (unreachable)."""
    host = {os.stat("/").st_ino, os.stat(outside).st_ino, os.stat(bundle.directory).st_ino}
    bundle.set("process.cwd", cwd).inside(
        "report", "--", "stat", ".", "--", "stat", "..", "--", "stat", "../.."
    )
    with Tripwire(outside), Box(bundle, prepare=lambda: leak(outside)) as box:
        outcome = box.run()
        assert outcome.code in (0, 1), str(outcome)
        if outcome.code == 0:
            assert outcome.facts.cwd.startswith("/"), outcome.facts.cwd
            seen = {
                line["ino"] for line in outcome.lines if line["cmd"] == "stat" and "ino" in line
            }
            assert not seen & host


@pytest.mark.parametrize("cwd", ["/link", "/link/x"])
@pytest.mark.parametrize("number", [3, 7, 8])
def test_a_cwd_outside_through_a_link_of_the_image(
    bundle: Bundle, outside: Path, number: int, cwd: str
) -> None:
    """The string in the config looks harmless."""
    bundle.link("link", f"/proc/self/fd/{number}").set("process.cwd", cwd).inside("report")
    with Tripwire(outside), Box(bundle, prepare=lambda: leak(outside)) as box:
        outcome = box.run()
        assert outcome.code == 1 or outcome.facts.cwd.startswith("/")


@pytest.mark.parametrize("number", NUMBERS)
def test_a_program_outside(bundle: Bundle, outside: Path, number: int) -> None:
    """args[0] through a descriptor: there is none to go through."""
    tool = outside / "tool"
    tool.write_text("#!/bin/sh\necho escaped\n")
    tool.chmod(0o755)
    with Box(bundle.args(f"/proc/self/fd/{number}/tool"), prepare=lambda: leak(outside)) as box:
        outcome = box.run()
        assert outcome.code != 0 and "escaped" not in outcome.out


def kinds(pid: int) -> dict[int, str]:
    """{number: what it is} of all descriptors of a process above stdio."""
    found = {}
    for name in os.listdir(f"/proc/{pid}/fd"):
        if int(name) > 2:
            mode = os.stat(f"/proc/{pid}/fd/{name}").st_mode
            link = os.readlink(f"/proc/{pid}/fd/{name}")
            found[int(name)] = (
                f"directory {link}"
                if stat.S_ISDIR(mode)
                else f"file {link}"
                if stat.S_ISREG(mode)
                else link
            )
    return found


def new_user(bundle: Bundle) -> Bundle:
    own(bundle.rootfs, SUBORDINATE[0].host)
    return map_users(bundle, SUBORDINATE)


SHAPES = {
    "cloned": lambda bundle: bundle,
    "new time": lambda bundle: bundle.namespace("time"),
    "new user": new_user,
    "joined pid": lambda bundle: bundle.namespace("pid", "/proc/self/ns/pid"),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_waiting_init_holds_nothing_of_the_host(
    bundle: Bundle, outside: Path, shape: str
) -> None:
    """In `created` container code cannot run yet, but a sibling in the same pid namespace can look."""
    with Box(SHAPES[shape](bundle), prepare=lambda: leak(outside)) as box:
        box.create()
        held = kinds(box.pid)
        wrong = {
            n: text
            for n, text in held.items()
            if text.startswith(("directory", "file")) and "memfd" not in text
        }
        assert not wrong, held
        assert (
            os.readlink(f"/proc/{box.pid}/root") == "/"
            or os.stat(f"/proc/{box.pid}/root").st_ino == bundle.rootfs.stat().st_ino
        )
        assert os.stat(f"/proc/{box.pid}/cwd").st_ino == bundle.rootfs.stat().st_ino
        assert leaks.children() == {box.pid}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_running_program_holds_stdio_only(bundle: Bundle, outside: Path, shape: str) -> None:
    with Box(SHAPES[shape](bundle).inside("pause"), prepare=lambda: leak(outside)) as box:
        box.create()
        box.start()
        box.expect("pause")
        assert kinds(box.pid) == {}


def test_the_environment_of_the_waiting_init_is_not_the_callers(bundle: Bundle) -> None:
    with Box(bundle, env={"PATH": "/usr/bin:/bin", "SECRET": "of the engine"}) as box:
        box.create()
        assert b"of the engine" not in Path(f"/proc/{box.pid}/environ").read_bytes()
