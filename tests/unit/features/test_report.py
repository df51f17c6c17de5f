"""`features` (features.md, features-linux.md): the document keeps to its schema, leaves nothing open, and is true: what
is listed is recognised by rules and plan, what is not listed is refused, or data where the specification has it so."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from pyruntime import features
from pyruntime.errors import PyruntimeError
from pyruntime.features import credentials
from pyruntime.features.mount_options import Options
from pyruntime.seccomp import words
from pyruntime.seccomp.compile import compile_filter
from pyruntime.seccomp.profile import ProfileError, read_flags
from pyruntime.spec import load
from pyruntime.spec._schema import SCHEMAS
from tests.lib.plans import Plan, planned, site, spec

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "schema"))

from resolve import Resolver  # noqa: E402

REPORT = features.report()
LINUX = REPORT["linux"]
TREE = Resolver().tree("features-schema.json")
CONFIG = Resolver().tree("config-schema.json")["properties"]
RULE = CONFIG["linux"]["properties"]["seccomp"]["properties"]


def enum(*places: str) -> list[str]:
    """The words a place of the config may hold."""
    tree: Any = {"properties": CONFIG}
    for name in places:
        tree = tree["items"] if name == "*" else tree["properties"][name]
    return list(tree["enum"])


def accepted(document: dict[str, Any]) -> Plan:
    """Through the schema, the rules and the plan."""
    data = json.dumps(document).encode()
    return Plan(load.parse(data, warnings=[], extra_rules=features.rules), site())


# The document


def test_it_keeps_to_the_schema() -> None:
    schema = json.loads(SCHEMAS)["features"]
    jsonschema.Draft4Validator(schema).validate(json.loads(json.dumps(REPORT)))


def unknown(tree: dict[str, Any], value: Any, path: str = "") -> Iterator[str]:
    if isinstance(value, dict) and "properties" in tree:
        for name, inner in value.items():
            if name in tree["properties"]:
                yield from unknown(tree["properties"][name], inner, f"{path}/{name}")
            else:
                yield f"{path}/{name}"


def test_nothing_is_in_it_that_the_specification_does_not_define() -> None:
    assert list(unknown(TREE, REPORT)) == []


def absent(tree: dict[str, Any], value: Any, path: str = "") -> Iterator[str]:
    for name, inner in tree.get("properties", {}).items():
        if value is None or name not in value or value[name] is None:
            yield f"{path}/{name}"
        elif inner["type"] == "object":
            yield from absent(inner, value[name], f"{path}/{name}")


def test_no_question_is_left_open() -> None:
    """Absent means unknown."""
    assert list(absent(TREE, REPORT)) == []


def test_both_versions_are_accepted_and_in_order() -> None:
    low, high = REPORT["ociVersionMin"], REPORT["ociVersionMax"]
    for version in (low, high):
        assert accepted(spec(ociVersion=version)).steps
    assert [int(part) for part in low.split(".")] <= [int(part) for part in high.split(".")]
    assert high == "1.3.0"


def test_annotations_are_strings_with_keys() -> None:
    assert all(key and isinstance(value, str) for key, value in REPORT["annotations"].items())


def test_no_annotation_of_a_config_changes_what_is_done() -> None:
    """But for those that are reported, of which the systemd driver alone reads those of a unit."""
    assert REPORT["potentiallyUnsafeConfigAnnotations"] == [
        "org.systemd.property.",
        "run.oci.keep_original_groups",
    ]
    known = {"org.systemd.property.TimeoutStopUSec": "uint64 1", "org.criu.config": "/x"}
    known |= {"bundle": "/elsewhere", "module.wasm.image/variant": "compat"}  # fmt: skip
    with_them, without = planned(spec(annotations=known)), planned()
    assert [step.text for step in with_them.steps] == [step.text for step in without.steps]


# Lists


def test_hooks() -> None:
    assert set(REPORT["hooks"]) == set(CONFIG["hooks"]["properties"])
    for kind in REPORT["hooks"]:
        assert accepted(spec(hooks={kind: [{"path": "/bin/true"}]})).steps


def test_namespaces() -> None:
    assert set(LINUX["namespaces"]) == set(enum("linux", "namespaces", "*", "type"))
    maps = [{"containerID": 0, "hostID": 1000, "size": 1}]
    for kind in LINUX["namespaces"]:
        kinds = [{"type": kind}, *([] if kind == "mount" else [{"type": "mount"}])]
        more = {"linux__uidMappings": maps, "linux__gidMappings": maps} if kind == "user" else {}
        assert kind in accepted(spec(linux__namespaces=kinds, **more)).site.created
    with pytest.raises(PyruntimeError, match="/linux/namespaces/0/type"):
        accepted(spec(linux__namespaces=[{"type": "wormhole"}]))


# config.md, Linux mount options, all rows but the two of id-mapped mounts.
TABLE = """async atime bind defaults dev diratime dirsync exec iversion lazytime loud mand noatime nodev nodiratime noexec
noiversion nolazytime nomand norelatime nostrictatime nosuid nosymfollow private ratime rbind rdev rdiratime relatime
remount rexec rnoatime rnodiratime rnoexec rnorelatime rnostrictatime rnosuid rnosymfollow ro rprivate rrelatime rro rrw
rshared rslave rstrictatime rsuid rsymfollow runbindable rw shared silent slave strictatime suid symfollow sync tmpcopyup
unbindable""".split()


def test_the_specifications_mount_options_are_listed() -> None:
    assert set(TABLE) <= set(REPORT["mountOptions"])


@pytest.mark.parametrize("word", REPORT["mountOptions"])
def test_a_listed_mount_option_never_reaches_the_file_system(word: str) -> None:
    options = Options([word])
    assert options.data == [] and not getattr(options, "unsupported", [])


@pytest.mark.parametrize("word", ["acl", "size=5", "mode=755", "nofail", "x-systemd", "RO", "rbogus", "rshare"])  # fmt: skip
def test_an_unlisted_mount_option_is_data(word: str) -> None:
    """config.md: unknown options are the file system's."""
    assert word not in REPORT["mountOptions"]
    assert Options([word]).data == [word]


def test_capabilities() -> None:
    listed = LINUX["capabilities"]
    assert listed == sorted(set(listed), key=listed.index) and len(listed) == 41
    for name in listed:
        document = spec(process__capabilities={"bounding": [name]})
        assert accepted(document).site.warnings == [], name
    warnings = accepted(spec(process__capabilities={"bounding": ["CAP_FLY"]})).site.warnings
    assert any("CAP_FLY" in text for text in warnings)
    assert [f"CAP_{name}" for name in credentials.NAMES] == listed


# Seccomp


def compiled(**rule: Any) -> bytes:
    members = {key: rule.pop(key) for key in ("architectures", "flags") if key in rule}
    entry = {"names": ["getppid"], "action": "SCMP_ACT_ALLOW", **rule}
    document = {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [entry], **members}
    read_flags(document)
    return compile_filter(document, "x86_64")[0]


def test_seccomp_actions() -> None:
    known = set(RULE["syscalls"]["items"]["properties"]["action"]["enum"])
    listed = LINUX["seccomp"]["actions"]
    assert known - {"SCMP_ACT_NOTIFY"} <= set(listed) <= known
    for action in listed:
        assert compiled(action=action)
    with pytest.raises(ProfileError, match="not a seccomp action"):
        compiled(action="SCMP_ACT_FORGIVE")
    if "SCMP_ACT_NOTIFY" not in listed:
        rule = {"names": ["read"], "action": "SCMP_ACT_NOTIFY"}
        with pytest.raises(PyruntimeError):
            accepted(spec(linux__seccomp={"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}))


def test_seccomp_operators() -> None:
    listed = LINUX["seccomp"]["operators"]
    assert set(listed) == set(RULE["syscalls"]["items"]["properties"]["args"]["items"]["properties"]["op"]["enum"])  # fmt: skip
    for operator in listed:
        assert compiled(args=[{"index": 0, "value": 1, "op": operator}])
    with pytest.raises(ProfileError, match="not a seccomp operator"):
        compiled(args=[{"index": 0, "value": 1, "op": "SCMP_CMP_NEAR"}])


@pytest.mark.parametrize("name", RULE["architectures"]["items"]["enum"])
def test_seccomp_architectures(name: str) -> None:
    """A listed one is known; a machine takes those of its own byte order (so does libseccomp)."""
    if name not in LINUX["seccomp"]["archs"]:
        with pytest.raises(ProfileError, match="not known to this build"):
            compiled(architectures=[name])
    elif words.ARCHITECTURES[name].big_endian:
        with pytest.raises(ProfileError, match="another byte order than this machine"):
            compiled(architectures=[name])
    else:
        assert compiled(architectures=[name])


def test_seccomp_flags() -> None:
    seccomp = LINUX["seccomp"]
    assert set(seccomp["knownFlags"]) == set(RULE["flags"]["items"]["enum"])
    assert set(seccomp["supportedFlags"]) <= set(seccomp["knownFlags"])
    for flag in seccomp["supportedFlags"]:
        assert compiled(flags=[flag])
    with pytest.raises(ProfileError, match="not a seccomp flag"):
        compiled(flags=["SECCOMP_FILTER_FLAG_SOFTLY"])


# What has a switch


SWITCHES = {
    "apparmor": {"process__apparmorProfile": "x"},
    "selinux": {"process__selinuxLabel": "x"},
    "intelRdt": {"linux__intelRdt": {"closID": "x"}},
    "netDevices": {"linux__netDevices": {"eth7": {}}},
}


@pytest.mark.parametrize("name", SWITCHES)
def test_a_switch_says_what_the_rules_do(name: str) -> None:
    """Off: refused with a word about this version. On: the feature's own tests."""
    findings = dict(features.rules(spec(**SWITCHES[name])))
    refused = any("not supported by this version" in why for why in findings.values())
    assert LINUX[name]["enabled"] is not refused


def test_memory_policies_are_those_of_the_schema() -> None:
    policy = LINUX["memoryPolicy"]
    tree = CONFIG["linux"]["properties"]["memoryPolicy"]["properties"]
    assert set(policy["modes"]) == set(tree["mode"]["enum"])
    assert set(policy["flags"]) == set(tree["flags"]["items"]["enum"])
