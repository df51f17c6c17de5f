"""Every property of the schema has one home, and none is ignored: it changes the plan or is refused."""

from __future__ import annotations

import copy
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pyruntime import features
from pyruntime.errors import PyruntimeError
from pyruntime.spec import load
from tests.lib.plans import Plan, planned, site, spec, words

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "schema"))

from properties import all_leaves  # noqa: E402

FULL: dict[str, Any] = json.loads((ROOT / "schema/corpus/base/full.json").read_text())
NOT_YET: dict[str, str] = {}
"""Known to be ignored so far; a property that cannot be applied should be refused."""

NO_STEP = {
    "root.path": "opened by the host; the conductor makes it absolute",
    "ociVersion": "decides how resources are read, no step of its own",
    "annotations": "shown by state and given to hooks",
    "process.commandLine": "Windows only (config.md, Process)",
    "process.user.username": "Windows only (config.md, User)",
    "process.execCPUAffinity": "of exec, not of the container's first process",
    "hooks.poststart": "run by start",
    "hooks.poststop": "run by delete",
    "hooks.prestart": "run by the host while the init waits at its sync",
    "hooks.createRuntime": "run by the host while the init waits at its sync",
    "linux.resources": "written by the host while it makes the groups; tests/unit/cgroup",
    "linux.seccomp.listenerPath": "of no matter without SCMP_ACT_NOTIFY; test_inside.py",
    "linux.cgroupsPath": "made by the host; tests/unit/cgroup",
    "linux.uidMappings": "written by the host while the init waits; test_users.py",
    "linux.gidMappings": "written by the host while the init waits; test_users.py",
}
"""Properties without an effect on the list of steps, and where their effect is."""


LEAVES = sorted(all_leaves())
OWNERS = [(path, module.__name__) for module in features.modules() for path in module.PROPERTIES]


def within(path: str, top: str) -> bool:
    return path == top or path.startswith(top + ".")


def listed(path: str, table: dict[str, str]) -> bool:
    return any(within(path, top) for top in table)


def test_the_schema_was_read() -> None:
    assert len(LEAVES) > 150
    assert {"linux.seccomp.syscalls.*.args.*.op", "process.rlimits.*.soft"} <= set(LEAVES)


def test_no_property_has_two_owners() -> None:
    paths = [path for path, _ in OWNERS]
    assert len(paths) == len(set(paths))


@pytest.mark.parametrize("leaf", LEAVES)
def test_every_leaf_has_an_owner(leaf: str) -> None:
    owners = [owner for path, owner in OWNERS if within(leaf, path)]
    assert owners or listed(leaf, NO_STEP), leaf


def test_owners_own_what_there_is() -> None:
    for path, owner in OWNERS:
        assert any(within(leaf, path) for leaf in LEAVES), f"{owner}: the schema has no {path}"


def test_the_tables_name_what_there_is() -> None:
    for path in (*NOT_YET, *NO_STEP):
        assert any(within(leaf, path) for leaf in LEAVES), path


def test_the_registry_wakes_a_feature_for_its_properties() -> None:
    """What a feature owns is among what it is loaded for; `()` means always."""
    needs = dict(features.REGISTRY)
    for path, owner in OWNERS:
        wanted = needs[owner.rpartition(".")[2]]
        required = path == "ociVersion"  # always there, without a step or a rule
        assert not wanted or required or any(within(path, top) for top in wanted), (path, owner)


# Does it matter whether a property is there?

RICH: dict[str, Any] = {
    **{key: FULL[key] for key in ("root", "hostname", "domainname", "hooks")},
    "mounts": [
        {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid"]},
        {"destination": "/data", "type": "none", "source": "/srv", "options": ["rbind", "ro"]},
    ],
    "process": {
        key: value
        for key, value in FULL["process"].items()
        if key not in ("apparmorProfile", "selinuxLabel")
    },
}
LINUX = {
    key: value
    for key, value in FULL["linux"].items()
    if key
    in (
        "maskedPaths",
        "readonlyPaths",
        "rootfsPropagation",
        "personality",
        "memoryPolicy",
        "devices",
        "sysctl",
    )
}


def rich() -> dict[str, Any]:
    kinds = ("pid", "network", "ipc", "uts", "mount", "cgroup")
    document = spec(**copy.deepcopy(RICH))
    document["linux"].update(copy.deepcopy(LINUX), namespaces=[{"type": kind} for kind in kinds])
    document["linux"]["sysctl"] = {"net.core.somaxconn": "5"}
    document["linux"]["devices"] = [
        {"path": "/dev/x", "type": "c", "major": 1, "minor": 2, "fileMode": 384, "uid": 5, "gid": 6}
    ]
    document["linux"]["personality"] = {"domain": "LINUX"}
    document["linux"]["seccomp"] = {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": 5,
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
        "flags": ["SECCOMP_FILTER_FLAG_LOG"],
        "syscalls": [
            {
                "names": ["personality"],
                "action": "SCMP_ACT_ERRNO",
                "errnoRet": 7,
                "args": [{"index": 0, "value": 1, "valueTwo": 2, "op": "SCMP_CMP_MASKED_EQ"}],
            }
        ],
    }
    return document


def refusal(document: dict[str, Any]) -> tuple[Any, ...]:
    """Findings and steps, or the words of the refusal: what the document comes to."""
    try:
        data = json.dumps(document).encode()
        parsed = load.parse(data, warnings=[], extra_rules=features.rules)
        plan = Plan(parsed, site())
    except PyruntimeError as error:
        return ("refused", str(error))
    rows = [(s.moment, s.pointer, s.text, [words(op) for op in s.ops]) for s in plan.steps]
    return tuple(map(repr, rows))


def holders(document: Any, parts: list[str]) -> list[tuple[Any, Any]]:
    """(container, key) of every place a dotted path leads to."""
    head, *rest = parts
    if head == "*":
        keys: list[Any] = list(range(len(document)))
    else:
        keys = [head] if head in document else []
    found = []
    for key in keys:
        found += holders(document[key], rest) if rest else [(document, key)]
    return found


OTHER: dict[type, Any] = {bool: lambda v: not v, int: lambda v: v + 1, str: lambda v: v + "x"}

EXAMPLES: dict[str, Any] = {
    "process.apparmorProfile": "profile",
    "process.selinuxLabel": "label",
    "linux.mountLabel": "label",
    "linux.netDevices": {"eth0": {"name": "e"}},
    "linux.intelRdt": {"closID": "x"},
    "linux.timeOffsets": {"monotonic": {"secs": 1}},
    "linux.uidMappings": [{"containerID": 0, "hostID": 1, "size": 1}],
    "linux.gidMappings": [{"containerID": 0, "hostID": 1, "size": 1}],
    "mounts.*.uidMappings": [{"containerID": 0, "hostID": 1, "size": 1}],
    "mounts.*.gidMappings": [{"containerID": 0, "hostID": 1, "size": 1}],
    "linux.personality.flags": ["X"],
    "linux.seccomp.listenerMetadata": "m",
    "linux.namespaces.*.path": "/proc/1/ns/x",
}
"""What the rich document has not: added one by one."""


@pytest.mark.parametrize("path", EXAMPLES)
def test_what_cannot_be_done_is_refused(path: str) -> None:
    document = rich()
    assert refusal(document)[0] != "refused", refusal(document)
    *parents, last = path.split(".")
    place = document
    for name in parents:
        place = place[0] if name == "*" else place[name]
    before = refusal(document)
    place[last] = EXAMPLES[path]
    assert refusal(document) != before


@pytest.mark.parametrize("leaf", [leaf for leaf in LEAVES if not listed(leaf, NO_STEP)])
def test_no_leaf_is_ignored(leaf: str) -> None:
    """Another value gives another plan, or a refusal; the examples cover what the rich document lacks."""
    if listed(leaf, NOT_YET) or listed(leaf, EXAMPLES):
        return
    document = rich()
    before = refusal(document)
    found = holders(document, leaf.split("."))
    assert found, f"the rich document does not have {leaf}"
    container, key = found[0]
    value = container[key]
    container[key] = {} if isinstance(value, dict) else OTHER[type(value)](value)
    assert refusal(document) != before


def parts_of(node: Any, where: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if where:
        yield where
    items = (
        node.items()
        if isinstance(node, dict)
        else enumerate(node)
        if isinstance(node, list)
        else ()
    )
    for key, child in items:
        yield from parts_of(child, (*where, key))


KNOWN: set[str] = set()
HOLES = ("gone", [], {}, None, "", 0, -1, 1 << 63)


def damaged() -> Iterator[tuple[str, dict[str, Any]]]:
    """The rich document with each of its parts gone or replaced."""
    for where in parts_of(rich()):
        for hole in HOLES:
            document = rich()
            place: Any = document
            for key in where[:-1]:
                place = place[key]
            if hole == "gone":
                del place[where[-1]]
            else:
                place[where[-1]] = hole
            yield f"/{'/'.join(map(str, where))} = {hole!r}", document


def test_a_document_with_holes_is_planned_or_refused() -> None:
    """Whatever is missing or empty: a plan or a sentence, never a traceback."""
    bad = []
    for what, document in damaged():
        try:
            refusal(document)
        except Exception as error:
            bad.append(f"{what}: {type(error).__name__}: {error}")
    assert set(bad) <= KNOWN, "\n".join(bad)


def test_a_process_may_be_missing_until_start() -> None:
    """config.md: process is required only when start is called; until then there must be a plan or a sentence."""
    document = rich()
    del document["process"]
    assert refusal(document)
    assert planned(spec()).steps
