"""newuidmap and newgidmap: which are taken, how they are run, and that their word is not believed (security: R-53)."""

from __future__ import annotations

import os
import shutil
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pyruntime.runtime import idmaps
from tests.integration.test_rootless_maps import (
    GROUP,
    NAME,
    USER,
    Result,
    account,
    attempt,
    mapping,
)
from tests.lib import kernel

__all__ = ["account"]

MS_NOSUID, MS_REMOUNT = 2, 32
Replace = Callable[..., Path]


@pytest.fixture
def replace(tmp_path: Path, account: Callable[[str, str], None]) -> Iterator[Replace]:
    """Puts another newuidmap into /usr/bin, for this process alone, and gives USER a range."""
    bound: list[str] = []
    account(f"{NAME}:300000:1000\n", f"{NAME}:300000:1000\n")

    def put(script: str | None = None, mode: int = 0o755, name: str = "newuidmap") -> Path:
        source = tmp_path / name
        if script is None:
            shutil.copyfile(f"/usr/bin/{name}", source)
        else:
            source.write_text(f"#!/bin/sh\n{script}\n")
        source.chmod(mode)
        kernel.mount(str(source), f"/usr/bin/{name}", flags=kernel.MS_BIND)
        bound.append(f"/usr/bin/{name}")
        return source

    yield put
    for path in reversed(bound):
        kernel.umount(path)


def wanting_a_range() -> Result:
    return attempt(
        [mapping(0, USER, 1), mapping(1, 300000, 1000)],
        [mapping(0, GROUP, 1)],
        user=USER,
        group=GROUP,
    )


def refused(*words: str) -> Result:
    result = wanting_a_range()
    assert result.uid == "" and result.error.startswith("write the uid map (/linux/uidMappings): ")
    for word in words:
        assert word in result.error
    return result


def test_the_one_of_the_machine(replace: Replace) -> None:
    assert wanting_a_range().uid == f"0 {USER} 1 1 300000 1000"


def capable(path: Path, number: int) -> None:
    """vfs_cap_data of revision 2: permitted, and effective at once; capabilities(7)."""
    words = struct.pack("<5I", 0x02000001, 1 << number, 0, 0, 0)
    os.setxattr(path, "security.capability", words)


def test_file_capabilities_in_the_place_of_the_set_uid_bit(replace: Replace) -> None:
    for name, number in (("newuidmap", 7), ("newgidmap", 6)):
        capable(replace(name=name), number)
    both = [mapping(0, USER, 1), mapping(1, 300000, 1000)]
    groups = [mapping(0, GROUP, 1), mapping(1, 300000, 1000)]
    result = attempt(both, groups, user=USER, group=GROUP)
    assert result.error == ""
    assert result.uid == f"0 {USER} 1 1 300000 1000"
    assert result.gid == f"0 {GROUP} 1 1 300000 1000"


def test_without_any_privilege_it_says_so(replace: Replace) -> None:
    replace()
    result = refused("newuidmap: ", "(exit status 1)")
    assert "chmod u+s /usr/bin/newuidmap" in result.hint
    assert "setcap cap_setuid+ep" in result.hint


def test_on_a_nosuid_mount_it_says_so(replace: Replace) -> None:
    replace()
    source = Path("/usr/bin/newuidmap")
    source.chmod(0o4755)
    remount_nosuid(str(source))
    assert "mounted nosuid" in refused("newuidmap: ").hint


def remount_nosuid(path: str) -> None:
    kernel.mount("", path, flags=MS_REMOUNT | kernel.MS_BIND | MS_NOSUID)


@pytest.mark.parametrize("script", ["kill -STOP $$", "while echo more; do :; done"])
def test_one_that_never_ends(
    replace: Replace, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    monkeypatch.setattr(idmaps, "PATIENCE_S", 0.2)
    replace(script)
    refused("newuidmap: it has not ended after 0 s (signal: 9)")


def test_without_the_program(replace: Replace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idmaps, "DIRECTORIES", ("/nowhere",))
    result = refused("newuidmap is not installed: operation not permitted")
    assert "uidmap" in result.hint


@pytest.mark.parametrize("mode", [0o644, 0o757, 0o775])
def test_what_may_not_run_or_be_trusted_is_not_run(replace: Replace, mode: int) -> None:
    replace("exit 0", mode)
    refused("newuidmap in /usr/bin may not be executed or may be changed by others")


def test_another_users_program_is_not_run(replace: Replace) -> None:
    os.chown(replace("exit 0"), USER, USER)
    refused("newuidmap in /usr/bin may not be executed or may be changed by others")


def test_path_is_not_asked(
    replace: Replace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted = tmp_path / "planted"
    planted.mkdir()
    for name in ("newuidmap", "newgidmap"):
        (planted / name).write_text(f"#!/bin/sh\ntouch {planted}/taken\n")
        (planted / name).chmod(0o755)
    tmp_path.chmod(0o755)
    planted.chmod(0o777)
    monkeypatch.setenv("PATH", f"{planted}:/usr/bin:/bin")
    monkeypatch.chdir(planted)
    assert wanting_a_range().error == ""
    assert not (planted / "taken").exists()


def test_its_word_is_not_believed(replace: Replace) -> None:
    replace("exit 0")
    result = wanting_a_range()
    assert result.error.startswith("the uid map of the user namespace is another one")
    assert "empty" in result.error


def test_no_environment_no_input_and_numbers_only(
    replace: Replace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LD_PRELOAD", "")
    monkeypatch.setenv("SECRET", "x")
    replace('tr "\\0" " " </proc/$$/environ; readlink /proc/$$/fd/0; shift; echo "$@"; exit 7')
    result = refused("(exit status 7)")
    said = result.error.partition("newuidmap: ")[2].splitlines()
    assert said == ["/dev/null", f"0 {USER} 1 1 300000 1000 (exit status 7)"]


def test_its_end_by_a_signal_and_its_noise(replace: Replace) -> None:
    replace("head -c 100000 /dev/zero | tr '\\0' x; kill -9 $$")
    result = refused("(signal: 9)")
    assert 4000 < len(result.error) < 5000
