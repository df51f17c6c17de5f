"""Ends a verb by SIGKILL at one of its system calls, deletes by force, and says what stayed on the host.

with Victim(bundle, "create") as victim:
    total = victim.calls("host")
    assert victim.left_after("host", 17) == []
"""

from __future__ import annotations

import functools
import os
import re
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType

from tests.lib import leaks, programs
from tests.lib.box import unique_id
from tests.lib.bundle import Bundle
from tests.lib.patience import scaled

PATIENCE = scaled(30.0)
KILLED = 137
TOMBSTONE = "~"
"""A state directory whose id is free already; the next delete of any container buries it."""


@functools.cache
def killer() -> Path:
    """The tool that counts and kills, made from its source."""
    target = programs.PROJECT / "build/tests/killer"
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = target.with_suffix(f".{os.getpid()}")
    command = ["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", str(fresh)]
    subprocess.run([*command, str(programs.HERE / "killer.c")], check=True)
    return fresh.rename(target)


class Victim:
    """A verb that makes a container, run under the killer again and again."""

    def __init__(self, bundle: Bundle, verb: str, *flags: str) -> None:
        self.bundle = bundle
        self.verb = verb
        self.flags = flags
        self.scratch = Path(tempfile.mkdtemp(prefix="kill-", dir=bundle.directory))
        self.root = self.scratch / "root"
        self.killer = killer()

    def __enter__(self) -> Victim:
        # The first container makes what all share: the state root, a hierarchy's defaults.
        self.calls("host")
        self.before = leaks.Host.now()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return

    def listing(self) -> list[str]:
        return sorted(os.listdir(self.root)) if self.root.exists() else []

    def _call(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [*programs.runtime_command(), "--root", str(self.root), *words]
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )

    def _attack(self, side: str, number: int) -> tuple[str, int, int]:
        """(id, calls counted, exit status); output goes to files, for a container would keep pipes open."""
        container_id = unique_id()
        self.bundle.write(container_id)
        where = ["--bundle", str(self.bundle.directory), "--pid-file", str(self.scratch / "pid")]
        command = [str(self.killer), side, str(number), *programs.runtime_command()]
        command += ["--root", str(self.root), *self.flags, self.verb, *where, container_id]
        return container_id, *self._counted(command)

    def _counted(self, command: list[str]) -> tuple[int, int]:
        with open(self.scratch / "said", "w+") as said:
            subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=said, check=True, timeout=PATIENCE
            )  # fmt: skip
            said.seek(0)
            text = said.read()
        found = re.search(r"^calls (\d+) status (\d+)$", text, re.MULTILINE)
        assert found, text
        return int(found[1]), int(found[2])

    def calls(self, side: str) -> int:
        """How many system calls there are to be killed at; the verb itself must succeed."""
        container_id, total, status = self._attack(side, 0)
        deleted = self._call("delete", "--force", container_id)
        assert (status, deleted.returncode) == (0, 0), (
            self.scratch / "said"
        ).read_text() + deleted.stderr
        return total

    def left_after(self, side: str, number: int) -> list[str]:
        """What one kill left; empty when delete --force put the host back."""
        container_id, _, status = self._attack(side, number)
        left = []
        if status not in (0, KILLED):
            # It lived to tell what had failed, and to undo what it had made.
            left += [
                f"state, before delete: {name}" for name in self.listing() if name[0] != TOMBSTONE
            ]
            left += (
                [] if (self.scratch / "said").read_text().count("\n") == 2 else ["not one sentence"]
            )
        deleted = self._call("delete", "--force", container_id)
        left += [] if deleted.returncode == 0 else [f"delete ended with {deleted.returncode}"]
        left += leaks.settled(self.before, patience=3.0)
        left += [f"state: {name}" for name in self.listing() if name[0] != TOMBSTONE]
        if left:
            said = (self.scratch / "said").read_text().strip()
            left += [f"{side} {number}: status {status}", said, deleted.stderr.strip()]
            leaks.sweep(self.before)
            subprocess.run(["rm", "-rf", self.root], check=True)
        return left

    def survivors(self, side: str, numbers: list[int]) -> list[str]:
        """One line for each number at which something stayed."""
        lines = []
        for number in numbers:
            left = self.left_after(side, number)
            if left:
                lines.append("; ".join(left))
        self.calls("host")
        return lines + [f"state, after the next delete: {name}" for name in self.listing()]


class Started(Victim):
    """What has to do with a container that runs."""

    def _run(self, container_id: str) -> None:
        self.bundle.write(container_id)
        command = [*programs.runtime_command(), "--root", str(self.root), "run", "--detach"]
        command += ["--bundle", str(self.bundle.directory), container_id]
        with open(os.devnull, "r+") as nothing:
            subprocess.run(command, stdin=nothing, stdout=nothing, stderr=nothing, check=True)

    def _killed(self, side: str, number: int, *words: str) -> tuple[int, int]:
        command = [str(self.killer), side, str(number), *programs.runtime_command()]
        return self._counted([*command, "--root", str(self.root), *words])


class Undertaker(Started):
    """`delete --force`, which the next one must be able to finish."""

    def __init__(self, bundle: Bundle) -> None:
        super().__init__(bundle, "delete")

    def _attack(self, side: str, number: int) -> tuple[str, int, int]:
        container_id = unique_id()
        self._run(container_id)
        return container_id, *self._killed(side, number, "delete", "--force", container_id)


class Intruder(Started):
    """A verb with these words, killed while it deals with a container (`ID`) that must go on as if it had not come.

    `after` undoes what it does; it fails where the kill came before that.
    """

    def __init__(self, bundle: Bundle, *words: str, after: tuple[str, ...] = ()) -> None:
        super().__init__(bundle, words[0])
        self.container = unique_id()
        self.words = self._named(words)
        self.after = self._named(after)

    def _named(self, words: tuple[str, ...]) -> list[str]:
        return [self.container if word == "ID" else word for word in words]

    def __enter__(self) -> Intruder:
        self._run(self.container)
        self.calls("host")
        self.before = leaks.Host.now()
        return self

    def __exit__(self, *_: object) -> None:
        deleted = self._call("delete", "--force", self.container)
        assert deleted.returncode == 0, deleted.stderr

    def _attack(self, side: str, number: int) -> tuple[str, int, int]:
        found = self._killed(side, number, *self.words)
        if self.after:
            self._call(*self.after)
        return self.container, *found

    def calls(self, side: str) -> int:
        _, total, status = self._attack(side, 0)
        assert status == 0, (self.scratch / "said").read_text()
        return total

    def left_after(self, side: str, number: int) -> list[str]:
        """What one kill left beside the container, and whether that one still runs."""
        _, _, status = self._attack(side, number)
        left = leaks.settled(self.before, patience=3.0)
        said = (self.scratch / "said").read_text()
        if status not in (0, KILLED) and said.count("\n") != 2:
            left.append("not one sentence")
        if '"status": "running"' not in self._call("state", self.container).stdout:
            left.append("the container does not run any more")
        return [*left, f"{side} {number}: status {status}", said.strip()] if left else []

    def survivors(self, side: str, numbers: list[int]) -> list[str]:
        return ["; ".join(left) for number in numbers if (left := self.left_after(side, number))]
