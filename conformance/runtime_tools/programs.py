"""One validation program, run to its end in surroundings of its own.

It gets a private mount namespace, a private directory for temporary files, and as RUNTIME a script that gives the real
runtime a private state directory. Debian's crun needs two favours to be compared at all: it refuses a hybrid host, but
only because it sees the unified mount, which is taken away in the namespace; and it refuses configurations that say
version 1.1 or later, whatever they hold, so that `create` finds 1.0.2 in them.
"""

from __future__ import annotations

import os
import shlex
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from conformance.runtime_tools import leftovers, tap
from conformance.runtime_tools.reaper import Reaper

UNIFIED = Path("/sys/fs/cgroup/unified")
NAMESPACE = ("unshare", "--mount", "--propagation", "private")
WITHOUT_UNIFIED = ("sh", "-c", f'umount {UNIFIED} && exec "$0" "$@"')
DELETE_SECONDS = 60.0

SCRIPT = """#!/bin/sh
{favour}exec {path} --root {state} "$@"
"""
OLD_VERSION = r"""last=
for word; do
	if [ "$last" = --bundle ]; then
		sed -i 's/"ociVersion": *"1\.[1-9][^"]*"/"ociVersion": "1.0.2"/' "$word/config.json"
	fi
	last=$word
done
"""


class SuiteError(Exception):
    """DIR is not a checkout with the programs built, or the runtime is not there."""


@dataclass(frozen=True)
class Outcome:
    account: tap.Account
    complaint: str | None
    words: str
    leaves: tuple[str, ...]


def find(directory: Path, only: list[str]) -> list[Path]:
    """The programs, by name; what they need in their working directory must be there."""
    programs = sorted(directory.glob("validation/*/*.t"))
    if not programs:
        raise SuiteError(f"{directory}: no validation/*/*.t: build the validation programs first")
    for pattern in ("runtimetest", "rootfs-*.tar.gz"):
        if not any(directory.glob(pattern)):
            raise SuiteError(f"{directory}: {pattern} is not there")
    unknown = sorted(set(only) - {program.stem for program in programs})
    if unknown:
        raise SuiteError(f"{directory}: no program is called {', '.join(unknown)}")
    return [program for program in programs if not only or program.stem in only]


class Runner:
    """Runs programs of one runtime, one after the other; `close` removes its directory."""

    def __init__(
        self, runtime: str, directory: Path, seconds: float, reaper: Reaper, *, isolate: bool
    ) -> None:
        path = shutil.which(runtime)
        if path is None:
            raise SuiteError(f"the runtime {runtime} is not there")
        self.path = os.path.abspath(path)
        self.name = os.path.basename(self.path)
        self.directory = directory
        self.seconds = seconds
        self.reaper = reaper
        self.home = Path(tempfile.mkdtemp(prefix="runtime-tools-"))
        self.state = self.home / "state"
        self.temporary = self.home / "tmp"
        self.script = self.home / self.name
        crun = self.name == "crun"
        self.script.write_text(
            SCRIPT.format(
                favour=OLD_VERSION if crun else "",
                path=shlex.quote(self.path),
                state=shlex.quote(str(self.state)),
            )
        )
        self.script.chmod(0o755)
        hidden = crun and UNIFIED.is_mount()
        self.prefix = [*NAMESPACE, *(WITHOUT_UNIFIED if hidden else ())] if isolate else []

    def close(self) -> None:
        shutil.rmtree(self.home, ignore_errors=True)

    def run(self, program: Path) -> Outcome:
        before = leftovers.present()
        self.temporary.mkdir()
        self.state.mkdir()
        try:
            status, said, words = self._play(program)
        finally:  # an interrupted run leaves as little as a finished one
            leaves = self._clean(before)
        account = tap.read(said)
        return Outcome(account, tap.complaint(account, status), said + words, tuple(leaves))

    def _clean(self, before: list[Path]) -> list[str]:
        leaves = self._delete_containers()
        if processes := self.reaper.end_all():
            leaves.append(f"{processes} processes")
        leaves += [f"directory {entry.name}" for entry in self.temporary.iterdir()]
        shutil.rmtree(self.temporary, ignore_errors=True)
        shutil.rmtree(self.state, ignore_errors=True)
        return leaves + [f"cgroup {place}" for place in leftovers.remove(before)]

    def _play(self, program: Path) -> tuple[int | None, str, str]:
        """Exit status, standard output, standard error. Both go to files: a container that outlives the program
        would keep a pipe open."""
        env = {**os.environ, "RUNTIME": str(self.script), "TMPDIR": str(self.temporary)}
        with (self.home / "out").open("w+b") as out, (self.home / "err").open("w+b") as err:
            status = self.reaper.run(
                [*self.prefix, program],
                self.seconds,
                out=out,
                err=err,
                cwd=self.directory,
                env=env,
            )
            said = []
            for file in (out, err):
                file.seek(0)
                said.append(file.read().decode(errors="replace"))
        return status, said[0], said[1]

    def _delete_containers(self) -> list[str]:
        names = sorted(entry.name for entry in self.state.iterdir() if entry.is_dir())
        for name in names:
            words = [*self.prefix, self.script, "delete", "--force", name]
            self.reaper.run(words, DELETE_SECONDS)
        return [f"container {name}" for name in names]
