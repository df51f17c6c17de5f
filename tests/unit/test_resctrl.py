"""pyruntime/resctrl.py where no fake stands in: finding the mount, and one write(2) for a value."""

from __future__ import annotations

import os
import posix
from pathlib import Path

import pytest

from pyruntime import resctrl
from pyruntime.lib import mountinfo

ROOT = b"23 1 0:22 / / rw - ext4 /dev/root rw\n"


def mounts(monkeypatch: pytest.MonkeyPatch, *places: tuple[Path, int]) -> None:
    rows = [
        b"%d 23 %d:%d / %s rw shared:1 - resctrl resctrl rw\n"
        % (number, os.major(device), os.minor(device), str(place).encode())
        for number, (place, device) in enumerate(places, 30)
    ]
    monkeypatch.setattr(mountinfo, "read_file", lambda path, limit: ROOT + b"".join(rows))


def test_none(monkeypatch: pytest.MonkeyPatch) -> None:
    mounts(monkeypatch)
    assert resctrl.find() is None


def test_anywhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The place is whatever the administrator chose."""
    mounts(monkeypatch, (tmp_path, tmp_path.stat().st_dev))
    groups = resctrl.find()
    assert groups is not None
    with groups:
        assert os.readlink(f"/proc/self/fd/{groups.fd}") == str(tmp_path)


def test_one_that_is_hidden_or_gone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    device = tmp_path.stat().st_dev
    mounts(monkeypatch, (tmp_path, device + 1), (tmp_path / "gone", device))
    assert resctrl.find() is None


def test_part_of_one_is_not_the_file_system(monkeypatch: pytest.MonkeyPatch) -> None:
    row = b"30 23 0:50 /gold /srv rw - resctrl resctrl rw\n"
    monkeypatch.setattr(mountinfo, "read_file", lambda path, limit: ROOT + row)
    assert mountinfo.find(b"resctrl") == []


def test_a_value_is_one_write(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    written = []
    monkeypatch.setattr(posix, "write", lambda fd, data: written.append(bytes(data)))
    (tmp_path / "schemata").touch()
    fd = os.open(tmp_path, os.O_RDONLY)
    resctrl.write_file(fd, "schemata", "L3:0=f;1=f\n")
    os.close(fd)
    assert written == [b"L3:0=f;1=f\n"]


def test_a_link_in_the_place_of_a_file_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "tasks").symlink_to("/dev/null")
    fd = os.open(tmp_path, os.O_RDONLY)
    with pytest.raises(OSError, match="symbolic link"):
        resctrl.write_file(fd, "tasks", "1")
    os.close(fd)


def groups_with(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    mounts(monkeypatch, (tmp_path, tmp_path.stat().st_dev))


def test_statistics(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    files = {
        "schemata": "    MB:0=100;1=100\n    L3:0=fffff;1=fffff\n",
        "web/schemata": "    MB:0=50;1=100\n    L3:0=f;1=fffff\n",
        "info/L3/cbm_mask": "fffff\n",
        "info/L3/min_cbm_bits": "1\n",
        "info/L3/num_closids": "16\n",
        "info/MB/bandwidth_gran": "10\n",
        "info/MB/delay_linear": "1\n",
        "info/MB/min_bandwidth": "10\n",
        "info/MB/num_closids": "8\n",
        "web/mon_data/mon_L3_00/llc_occupancy": "999\n",
        "web/mon_groups/mine/mon_data/mon_L3_00/llc_occupancy": "49152\n",
        "web/mon_groups/mine/mon_data/mon_L3_00/mbm_total_bytes": "700\n",
        "web/mon_groups/mine/mon_data/mon_L3_00/mbm_local_bytes": "500\n",
        "web/mon_groups/mine/mon_data/mon_L3_01/llc_occupancy": "0\n",
        "web/mon_groups/mine/mon_data/mon_L3_01/mbm_total_bytes": "Unavailable\n",
    }
    groups_with(monkeypatch, tmp_path, files)
    with resctrl.need() as groups:
        assert groups.stats("web", "mine") == {
            "l3_cache_info": {"cbm_mask": "fffff", "min_cbm_bits": 1, "num_closids": 16},
            "l3_cache_schema_root": "L3:0=fffff;1=fffff",
            "l3_cache_schema": "L3:0=f;1=fffff",
            "mem_bw_info": {
                "bandwidth_gran": 10, "delay_linear": 1, "min_bandwidth": 10, "num_closids": 8,
            },
            "mem_bw_schema_root": "MB:0=100;1=100",
            "mem_bw_schema": "MB:0=50;1=100",
            "mbm_stats": [{"mbm_total_bytes": 700, "mbm_local_bytes": 500}],
            "cmt_stats": [{"llc_occupancy": 49152}, {"llc_occupancy": 0}],
        }  # fmt: skip
        assert groups.stats("web", "")["cmt_stats"] == [{"llc_occupancy": 999}]


def test_statistics_of_what_cannot_be_shared(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    groups_with(monkeypatch, tmp_path, {"web/schemata": "L2:0=ff\n"})
    with resctrl.need() as groups:
        assert groups.stats("web", "gone") == {}
