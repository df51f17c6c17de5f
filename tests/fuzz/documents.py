"""Strategies for config documents: made from the schema itself, and mutations of documents that exist."""

from __future__ import annotations

import copy
import json
import sys
from typing import Any

from hypothesis import strategies as st

from pyruntime.features import mount_options
from tests.lib.plans import BASE
from tests.lib.programs import PROJECT
from tests.unit.spec.cases import corpus, put, take
from tests.unit.spec.damage import VALUES, pointers

sys.path.insert(0, str(PROJECT / "schema"))

from resolve import Resolver

TREE = Resolver().tree("config-schema.json")
ELSEWHERE = ("windows", "solaris", "vm", "zos", "freebsd")
TOP = {name: node for name, node in TREE["properties"].items() if name not in ELSEWHERE}

PATHS = ["/", "", ".", "..", "/proc", "/proc/sys", "/sys", "/dev", "/dev/null", "/dev/pts", "/a/../b", "a//b/",
         "/proc/self/ns/net", "/sys/fs/cgroup", "/x" * 200, "/\n", "/é", "~", "/dev/console", "/dev/ptmx"]  # fmt: skip
# By the name of the property: what gets further than the door.
WORDS = {
    "path": PATHS, "destination": PATHS, "source": PATHS, "cwd": PATHS, "cgroupsPath": [*PATHS, "a:b:c", "x.slice:y:z"],
    "maskedPaths": PATHS, "readonlyPaths": PATHS,
    "options": [*mount_options.names(), "size=1k", "mode=755", "lowerdir=/a:/b", "x=y", ""],
    "type": ["bind", "none", "proc", "sysfs", "tmpfs", "cgroup", "cgroup2", "devpts", "mqueue", "overlay", "x", "a"],
    "names": ["read", "write", "openat", "clone", "socket", "nope", "ipc", "mount"],
    "env": ["A=b", "PATH=/bin", "=", "A", "", "HOME=/x"],
    "args": ["sh", "/bin/true", "", "-c", "é"],
    "ociVersion": ["1.0.2", "1.3.0", "1.2.0-rc.1", "2.0.0", "x", ""],
    "uidMappings": [], "sysctl": ["0", "1", "a b", "\n"],
    "apparmorProfile": ["unconfined", ""], "selinuxLabel": [""], "mountLabel": [""],
}  # fmt: skip
KEYS = ["net.ipv4.ip_forward", "kernel.shmmax", "kernel/msgmax", "fs.mqueue.x", "a", "", ".", "..", "net..x",
        "memory.max", "cpu.weight", "a/b", "io.max", "org.x", "~0"]  # fmt: skip
CAPABILITIES = ["CAP_KILL", "CAP_SYS_ADMIN", "CAP_NOPE", "CAP_CHOWN", "cap_kill", ""]
NUMBERS = [0, 1, -1, 2, 7, 39, 100, 511, 0o777, 0o1777, 1000, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1, 2**32,
           2**53, 2**54, 2**62, 2**63 - 1, 2**63, 2**64 - 1, 10**19, 10**20 - 1, -(2**63)]  # fmt: skip
BY_PATTERN = {
    "^RLIMIT_[A-Z]+$": ["RLIMIT_NOFILE", "RLIMIT_AS", "RLIMIT_NOPE", "RLIMIT_CORE"],
    "^[cbup]$": ["c", "b", "u", "p"],
    "^[1-9][0-9]*[KMG]B$": ["2MB", "1GB", "64KB", "3KB"],
    "^MB:[^\\n]*$": ["MB:0=10", "MB:"],
    "^[0-9, -]*$": ["0", "0-3", "0,2", "", " ", "-", "9-1", "0-", "99999999999"],
}
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)


def texts(node: dict[str, Any], name: str) -> st.SearchStrategy[str]:
    if "enum" in node:
        return st.sampled_from(node["enum"])
    if "pattern" in node:
        return st.sampled_from(BY_PATTERN[node["pattern"]])
    if name in ("bounding", "effective", "inheritable", "permitted", "ambient"):
        return st.sampled_from(CAPABILITIES)
    known = WORDS.get(name)
    return st.sampled_from(known) | TEXT if known else TEXT


def numbers(node: dict[str, Any]) -> st.SearchStrategy[int]:
    low, high = node.get("minimum", -(10**20) + 1), node.get("maximum", 10**20 - 1)
    return st.sampled_from([number for number in NUMBERS if low <= number <= high])


def objects(node: dict[str, Any], name: str) -> st.SearchStrategy[dict[str, Any]]:
    for keyword in ("additionalProperties", "patternProperties"):
        more = node.get(keyword)
        if more:
            values = next(iter(more.values())) if keyword == "patternProperties" else more
            keys = KEYS if keyword == "additionalProperties" else [key for key in KEYS if key]
            return st.dictionaries(st.sampled_from(keys), valid(values, name), max_size=3)
    required = node.get("required", [])
    parts = {key: valid(child, key) for key, child in (node.get("properties") or {}).items()}
    optional = {key: part for key, part in parts.items() if key not in required}
    return st.fixed_dictionaries({key: parts[key] for key in required}, optional=optional)


def valid(node: dict[str, Any], name: str = "") -> st.SearchStrategy[Any]:
    """Values a node of the schema accepts."""
    kind = node["type"]
    if kind == "object":
        return objects(node, name)
    if kind == "array":
        least = node.get("minItems", 0)
        return st.lists(valid(node["items"], name), min_size=least, max_size=least + 3)
    if kind == "string":
        return texts(node, name)
    return numbers(node) if kind == "integer" else st.booleans()


SECTIONS = [
    *((name,) for name in TOP if name not in ("linux", "process")),
    *(("process", name) for name in TOP["process"]["properties"]),
    *(("linux", name) for name in TOP["linux"]["properties"]),
]


def _of_section(section: tuple[str, ...]) -> st.SearchStrategy[Any]:
    node: dict[str, Any] = TREE
    for name in section:
        node = node["properties"][name]
    return valid(node, section[-1])


VALUES_OF = {section: _of_section(section) for section in SECTIONS}


@st.composite
def from_schema(draw: Any) -> dict[str, Any]:
    """The small document of the unit tests with up to six sections replaced by what the schema allows there."""
    document = copy.deepcopy(BASE)
    for section in draw(st.lists(st.sampled_from(SECTIONS), max_size=6, unique=True)):
        here = document
        for name in section[:-1]:
            here = here[name]
        here[section[-1]] = draw(VALUES_OF[section])
    return document


EXISTING: list[tuple[str, dict[str, Any]]] = [
    ("config", json.loads(path.read_text()))
    for path in sorted((PROJECT / "bundles").glob("*/config.json"))
] + [
    (case.what, case.document)
    for verdict in ("accept", "reject")
    for case in list(corpus(verdict))[::7]
    if case.what in ("config", "state", "features") and isinstance(case.document, dict)
]


@st.composite
def mutated(draw: Any) -> tuple[str, Any]:
    """(what, document): one that exists or comes from the schema, with up to three places damaged."""
    what, document = draw(
        st.sampled_from(EXISTING) | from_schema().map(lambda made: ("config", made))
    )
    document = copy.deepcopy(document)
    for _ in range(draw(st.integers(0, 3))):
        places = pointers(document)
        if not places:
            break
        place = draw(st.sampled_from(places))
        if draw(st.booleans()):
            put(document, place, copy.deepcopy(draw(st.sampled_from(VALUES))))
        else:
            take(document, place)
    return what, document
