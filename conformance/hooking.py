"""Hooks that write down how they were called (tests/lib/hook.py), and a container's life with them."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from conformance.place import Place
from tests.lib import programs
from tests.lib.bundle import Bundle

KINDS = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")
OUTER = tuple(kind for kind in KINDS if kind != "startContainer")
"""Those whose path is looked up in the runtime's namespace."""
SCRIPT = str(programs.HERE / "hook.py")
PYTHON = os.path.realpath(sys.executable)
INSIDE = "/startContainer"
"""Where the startContainer hook leaves its state, below the container's root."""


class Log:
    """What the hooks of a bundle wrote."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self.path = bundle.directory / "hooks.log"

    def add(self, kind: str, label: str = "", status: int = 0, **options: Any) -> Log:
        """A hook that adds a line; one of startContainer keeps what it reads, for no Python is inside."""
        if kind == "startContainer":
            command = self.bundle.get("process.args")
            self.bundle.shell("").args(*command)
            script = (
                f"cat > {INSIDE}-{label or kind}; echo {label or kind} >> {INSIDE}; exit {status}"
            )
            self.bundle.hook(kind, "/bin/sh", "-c", script, **options)
        else:
            words = [PYTHON, "-I", SCRIPT, str(self.path), label or kind, str(status)]
            self.bundle.hook(kind, *words, **options)
        return self

    @property
    def records(self) -> list[dict[str, Any]]:
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        return [json.loads(line) for line in lines]

    @property
    def labels(self) -> list[str]:
        return [record["label"] for record in self.records]

    @property
    def inner(self) -> list[str]:
        """Labels of the startContainer hooks."""
        path = Path(self.bundle.rootfs / INSIDE.lstrip("/"))
        return path.read_text().splitlines() if path.exists() else []

    def state(self, kind: str) -> dict[str, Any]:
        """What the first hook of that kind read from stdin."""
        if kind != "startContainer":
            found: dict[str, Any] = next(r["stdin"] for r in self.records if r["label"] == kind)
            return found
        path = self.bundle.rootfs / f"{INSIDE}-{kind}".lstrip("/")
        inner: dict[str, Any] = json.loads(path.read_text())
        return inner


def whole_life(place: Place, bundle: Bundle) -> int:
    """create, start, the end of the program, delete; the host's pid of its process."""
    with place.container(bundle) as box:
        box.create()
        pid = box.pid
        box.start()
        box.wait()
        box.delete()
    return pid
