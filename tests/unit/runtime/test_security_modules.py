"""Which security module is said to be there, from made-up files of the kernel."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from pyruntime.kernel import calls
from pyruntime.kernel.native import lib
from pyruntime.runtime import security_modules


@pytest.mark.parametrize(("text", "wanted"), [(b"Y\n", True), (b"N\n", False), (b"", False)])
def test_apparmor(monkeypatch: pytest.MonkeyPatch, text: bytes, wanted: bool) -> None:
    monkeypatch.setattr(security_modules, "read_file", lambda path, limit: text)
    assert security_modules.has_apparmor() is wanted


def test_a_kernel_without_apparmor(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(path: str, limit: int) -> bytes:
        raise FileNotFoundError(path)

    monkeypatch.setattr(security_modules, "read_file", absent)
    assert not security_modules.has_apparmor()


@pytest.mark.parametrize(
    ("magic", "flags", "label", "wanted"),
    [
        (lib.SELINUX_MAGIC, 0, b"u:r:t:s0\0", True),
        (0xFFFFFFFF_00000000 | lib.SELINUX_MAGIC, 0, b"u:r:t:s0\0", True),  # sign-extended
        (lib.SELINUX_MAGIC, 0, b"kernel\0", False),
        (lib.SELINUX_MAGIC, os.ST_RDONLY, b"u:r:t:s0\0", False),
        (lib.TMPFS_MAGIC, 0, b"u:r:t:s0\0", False),
    ],
)
def test_selinux(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    magic: int,
    flags: int,
    label: bytes,
    wanted: bool,
) -> None:
    monkeypatch.setattr(security_modules, "SELINUXFS", str(tmp_path))
    monkeypatch.setattr(calls, "fs_type", lambda fd: magic)
    monkeypatch.setattr(
        security_modules.posix, "fstatvfs", lambda fd: SimpleNamespace(f_flag=flags)
    )
    monkeypatch.setattr(security_modules, "read_file", lambda path, limit: label)
    assert security_modules.has_selinux() is wanted


def test_a_kernel_without_selinux(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(security_modules, "SELINUXFS", str(tmp_path / "missing"))
    assert not security_modules.has_selinux()
