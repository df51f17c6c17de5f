"""A group that uses memory although nobody is in it: pages of a file stay charged to whose process wrote them."""

from __future__ import annotations

import subprocess
from pathlib import Path

from conformance.place import Place

SCRIPT = 'echo 0 > "$1/cgroup.procs" && exec dd if=/dev/zero of="$2" bs=1048576 count="$3" 2>&1'


def used_group(place: Place, group: Path, mebibytes: int) -> None:
    """Makes the group and lets it use that much; gone again with the test."""
    group.mkdir()
    words = [
        "/bin/sh",
        "-c",
        SCRIPT,
        "sh",
        str(group),
        str(place.directory / "pages"),
        str(mebibytes),
    ]
    subprocess.run(words, check=True, capture_output=True)
