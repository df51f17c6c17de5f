"""What is tested: every case with the requirements and the leaves of config.json it proves.

    GROUP = "mounts"

    @test(requirements=(22,), leaves=("mounts.*.destination",))
    def listed_order(place: Place) -> None:
        "config.md, Mounts: the runtime MUST mount entries in the listed order."

The doc string names the statement of the specification; a failure prints it. `each` makes one case per label: the
function gets the label, and `{}` in a leaf stands for it.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from conformance import groups

GROUPS = (
    "bundle-and-state",
    "lifecycle-and-errors",
    "hooks",
    "namespaces",
    "mounts",
    "devices",
    "process",
    "resources-v1",
    "resources-v2",
    "seccomp",
    "features",
    "delete-leaves-nothing",
)

LAYOUTS = {"resources-v1": ("v1", "hybrid"), "resources-v2": ("v2",)}
"""Groups that are about one way to mount cgroups; elsewhere they are not planned, and the report says so."""


@dataclass(frozen=True)
class Case:
    """One line of the report."""

    group: str
    name: str
    function: Callable[..., None]
    label: str | None
    requirements: tuple[int, ...]
    leaves: tuple[str, ...]

    @property
    def id(self) -> str:
        return f"{self.group}/{self.name}"

    def fits(self, layout: str) -> bool:
        return layout in LAYOUTS.get(self.group, (layout,))

    @property
    def statement(self) -> str:
        return " ".join((self.function.__doc__ or "").split())

    def __call__(self, place: Any) -> None:
        if self.label is None:
            self.function(place)
        else:
            self.function(place, self.label)


_cases: list[Case] = []


def test(
    *,
    requirements: Sequence[int] = (),
    leaves: Sequence[str] = (),
    each: Iterable[str] | None = None,
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Enters a function into the catalogue, once or once per label."""

    def enter(function: Callable[..., None]) -> Callable[..., None]:
        group = function.__globals__["GROUP"]
        name = function.__name__.strip("_").replace("_", "-")
        for label in (None,) if each is None else each:
            own = name if label is None else f"{name}[{label}]"
            paths = tuple(leaf.replace("{}", label or "") for leaf in leaves)
            _cases.append(Case(group, own, function, label, tuple(requirements), paths))
        return function

    return enter


def load() -> list[Case]:
    """All cases, group by group in the order of GROUPS."""
    for module in pkgutil.iter_modules(groups.__path__):
        importlib.import_module(f"{groups.__name__}.{module.name}")
    unique = {case.id: case for case in _cases}
    if len(unique) != len(_cases):
        names = sorted(case.id for case in _cases if unique[case.id] is not case)
        raise ValueError(f"two cases have one name: {', '.join(names)}")
    return sorted(_cases, key=lambda case: GROUPS.index(case.group))


def select(cases: Iterable[Case], words: Sequence[str]) -> list[Case]:
    """Those of a group, or named `group/name`, where the labels may be left out; an unknown word is an error."""
    chosen: list[Case] = []
    cases = list(cases)
    for word in words:
        found = [case for case in cases if word in (case.group, case.id, case.id.partition("[")[0])]
        if not found:
            raise KeyError(f"there is no group and no test called `{word}`")
        chosen += found
    return [case for case in cases if case in chosen] if words else cases
