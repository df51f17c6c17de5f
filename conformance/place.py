"""Where a test runs: a directory for its bundles, and containers that are tidied up after whatever runtime."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from types import TracebackType
from typing import Any

from conformance.claims import Failed
from tests.lib import facts
from tests.lib.box import Box, Outcome
from tests.lib.bundle import Bundle
from tests.lib.hierarchies import cgroup_layout


class Tidied(Exception):
    """Stands for a problem, so that Box only tidies up: `delete --force` is not the specification's."""


class Container(Box):
    """A Box whose end is no claim about the runtime; what it left, the runner removes."""

    def __enter__(self) -> Container:
        super().__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with contextlib.suppress(AssertionError):
            super().__exit__(kind, problem or Tidied(), trace)

    def live(self) -> Container:
        """Created and started."""
        self.create()
        self.start()
        return self

    def finish_all(self) -> int:
        """Created, started and waited for: the status the program ended with."""
        return self.live().wait()


class Place:
    """What a test is given."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.layout = cgroup_layout()
        self.stack = contextlib.ExitStack()

    def bundle(self, name: str = "bundle") -> Bundle:
        return Bundle(self.directory / name)

    def container(self, bundle: Bundle, **options: Any) -> Container:
        """For a `with` block."""
        return Container(bundle, **options)

    def run(self, bundle: Bundle, **options: Any) -> Container:
        """A container's whole life, until its program ended with 0; what it printed can be read from what is returned."""
        with self.container(bundle, **options) as box:
            code = box.finish_all()
            if code != 0:
                raise Failed("the program was to end with 0", (code, box.output, box.error_output))
        return box

    def report(self, bundle: Bundle, **options: Any) -> facts.Facts:
        """What the reporter sees in that container."""
        return self.run(bundle, **options).facts

    def lines(self, bundle: Bundle, *words: str) -> list[dict[str, Any]]:
        """What these commands of the reporter print in that container."""
        return self.run(bundle.inside(*words)).lines

    def line(self, bundle: Bundle, *words: str) -> dict[str, Any]:
        """The same for one command."""
        found = self.lines(bundle, *words)
        if len(found) != 1:
            raise Failed(f"`{' '.join(words)}` was to print one line", found)
        return found[0]

    def features(self) -> dict[str, Any]:
        """The document of the `features` verb, with the two members it must have."""
        with self.container(self.bundle("features")) as box:
            outcome: Outcome = box.bare("features")
        if outcome.code != 0:
            raise Failed("`features` was to end with 0", str(outcome))
        document: dict[str, Any] = json.loads(outcome.out)
        if not {"ociVersionMin", "ociVersionMax"} <= document.keys():
            raise Failed("ociVersionMin and ociVersionMax are REQUIRED", sorted(document))
        return document
