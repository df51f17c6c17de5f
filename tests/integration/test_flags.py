"""Flags of create and run that have no file of their own, and the ways to write flags."""

from __future__ import annotations

import array
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.lib.box import Box
from tests.lib.bundle import Bundle


def open_three(path: Path) -> Callable[[], None]:
    """For the child: descriptors 3, 4 and 5 are the file."""

    def place() -> None:
        fd = os.open(path, os.O_RDONLY)
        os.dup2(fd, 60)
        for number in (3, 4, 5):
            os.dup2(60, number)

    return place


# As conmon does: the descriptors are meant for this process, the runtime.
ACTIVATED = ("/bin/sh", "-c", 'LISTEN_PID=$$ exec "$@"', "sh")


@pytest.fixture
def handed(tmp_path: Path) -> Path:
    path = tmp_path / "handed"
    path.write_text("handed over")
    return path


def test_no_pivot(bundle: Bundle) -> None:
    """Weaker, for a root on an initramfs; the host's files are out of sight all the same."""
    with Box(bundle.inside("report", "--", "stat", "/..", "--", "open", "/usr/share", "r")) as box:
        facts = box.run("--no-pivot", check=True).facts
        assert facts.root["ino"] == bundle.rootfs.stat().st_ino
        assert box.lines[1]["ino"] == facts.root["ino"]
        assert box.lines[2]["errno"] == "ENOENT"


def test_pidfd_socket(bundle: Bundle, tmp_path: Path) -> None:
    """Exactly one descriptor arrives: a pidfd of the init."""
    path = tmp_path / "pidfd"
    with socket.socket(socket.AF_UNIX) as listening, Box(bundle) as box:
        listening.bind(str(path))
        listening.listen(1)
        listening.settimeout(5)
        box.create("--pidfd-socket", str(path))
        with listening.accept()[0] as peer:
            _, control, _, _ = peer.recvmsg(100, socket.CMSG_SPACE(16))
        fds = array.array("i")
        for _, _, payload in control:
            fds.frombytes(payload)
        assert len(fds) == 1
        text = Path(f"/proc/self/fdinfo/{fds[0]}").read_text()
        os.close(fds[0])
        assert f"Pid:\t{box.pid}\n" in text


def test_listen_fds(bundle: Bundle, handed: Path) -> None:
    """Socket activation: the descriptors are passed on and LISTEN_PID is the program's."""
    env = {"PATH": "/usr/bin:/bin", "LISTEN_FDS": "2"}
    with Box(bundle, env=env, prepare=open_three(handed), wrap=ACTIVATED) as box:
        facts = box.run(check=True).facts
        assert {entry["fd"] for entry in facts.fds} == {0, 1, 2, 3, 4}
        assert facts.environment["LISTEN_FDS"] == "2" and facts.environment["LISTEN_PID"] == "1"


def test_listen_fds_meant_for_another_process(bundle: Bundle, handed: Path) -> None:
    env = {"PATH": "/usr/bin:/bin", "LISTEN_FDS": "2", "LISTEN_PID": "1"}
    with Box(bundle, env=env, prepare=open_three(handed)) as box:
        facts = box.run(check=True).facts
        assert {entry["fd"] for entry in facts.fds} == {0, 1, 2}
        assert "LISTEN_FDS" not in facts.environment


def test_listen_fds_and_preserved_ones(bundle: Bundle, handed: Path) -> None:
    env = {"PATH": "/usr/bin:/bin", "LISTEN_FDS": "2"}
    with Box(bundle, env=env, prepare=open_three(handed), wrap=ACTIVATED) as box:
        facts = box.run("--preserve-fds", "1", check=True).facts
        assert {entry["fd"] for entry in facts.fds} == {0, 1, 2, 3, 4, 5}


@pytest.mark.parametrize("count", ["5", "-1", "many", "1000000"])
def test_descriptors_that_are_not_there(bundle: Bundle, handed: Path, count: str) -> None:
    """--preserve-fds names 3 to N+2, and all of them must be open."""
    with Box(bundle, prepare=open_three(handed)) as box:
        outcome = box.create(f"--preserve-fds={count}", check=False)
        assert outcome.code == 1 and outcome.err.strip() and "Traceback" not in outcome.err


def ways(box: Box) -> list[list[str]]:
    bundle, root, log = str(box.bundle.directory), str(box.root), str(box.log)
    return [
        ["--root", root, "create", "-b", bundle, box.id],
        [f"--root={root}", "create", f"--bundle={bundle}", box.id],
        ["-root", root, "create", "-bundle", bundle, box.id],
        ["--root", "/nowhere", "--root", root, "create", "--bundle", bundle, box.id],
        [
            "--debug",
            "--log",
            log,
            "--log-format=text",
            "--root",
            root,
            "create",
            "-b",
            bundle,
            box.id,
        ],
        ["--rootless=auto", "--root", root, "create", "--no-new-keyring", "-b", bundle, box.id],
        ["--rootless", "false", "--root", root, "create", "--bundle", bundle, box.id],
    ]


@pytest.mark.parametrize("number", range(7))
def test_ways_to_write_flags(bundle: Bundle, number: int) -> None:
    with Box(bundle.inside("pause")) as box:
        bundle.write(box.id)
        outcome = box.bare(*ways(box)[number])
        assert outcome.code == 0, str(outcome)
        box.adopt(box.state()["pid"])
        assert box.bare("--root", str(box.root), "delete", "-f", box.id).code == 0
