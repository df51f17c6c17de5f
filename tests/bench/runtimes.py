"""The runtimes that are compared, and the surroundings each of them needs."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from tests.bench.stopwatch import BenchError, Stopwatch

REFERENCES = ("runc", "crun")
UNIFIED = Path("/sys/fs/cgroup/unified")
# crun refuses a hybrid host, but only because it sees the unified mount: in a mount namespace of its own without that
# one it works on the v1 hierarchies. Nothing outside that namespace changes.
ONLY_V1 = ["unshare", "-m", "--propagation", "private", "sh", "-c"]
ONLY_V1_SCRIPT = f'umount {UNIFIED} && exec "$0" "$@"'


class Runtime:
    def __init__(self, name: str, path: str, directory: Path, binary: Path) -> None:
        self.name = name
        self.path = path
        self.directory = directory / name
        self.directory.mkdir()
        self.root = self.directory / "root"
        self.binary = binary
        self.watch = self.stopwatch("watch", Path("/dev/null"))

    def stopwatch(self, label: str, output: Path) -> Stopwatch:
        hybrid = self.name == "crun" and UNIFIED.is_mount()
        prefix = [*ONLY_V1, ONLY_V1_SCRIPT] if hybrid else []
        return Stopwatch(self.binary, output, self.directory / f"{label}.err", prefix)

    def words(self, *verb: str) -> list[str]:
        return [self.path, "--root", str(self.root), *verb]

    def close(self) -> None:
        """Whatever an aborted round left behind goes; its own complaints no longer matter."""
        for container in sorted(self.root.glob("*/")):
            try:
                self.watch.run(self.words("delete", "--force", container.name))
            except BenchError:
                continue
        self.watch.close()

    def version(self) -> str:
        output = self.directory / "version"
        watch = self.stopwatch("version", output)
        watch.run([self.path, "--version"])
        watch.close()
        return output.read_text().splitlines()[0]


def find(candidate: str, directory: Path, binary: Path) -> list[Runtime]:
    """The runtime under test first, then every reference that is installed."""
    path = shutil.which(candidate)
    if path is None:
        raise BenchError(
            f"the runtime to measure, {candidate}, is not there: call `make` first, or --runtime"
        )
    path = os.path.abspath(path)
    name = os.path.basename(path)
    found = [Runtime(name, path, directory, binary)]
    for reference in REFERENCES:
        other = shutil.which(reference)
        if other and reference != name:
            found.append(Runtime(reference, other, directory, binary))
    if len(found) == 1:
        raise BenchError("no reference runtime found: apt-get install runc crun")
    return found
