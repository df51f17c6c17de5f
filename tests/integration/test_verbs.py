"""--version, features, spec: what engines read at start-up."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.lib import programs
from tests.lib.box import Box, run
from tests.lib.bundle import Bundle


def test_version(bundle: Bundle) -> None:
    """go-runc and `docker info` parse the lines; the first one is `NAME version X`."""
    with Box(bundle) as box:
        for words in (["--version"], ["-v"]):
            outcome = box.bare(*words)
            assert outcome.code == 0 and outcome.err == ""
            lines = outcome.out.splitlines()
            assert lines[0].split()[1] == "version" and lines[0].split()[2][0].isdigit()
            assert any(line.startswith("spec: ") for line in lines)
            assert any(line.startswith("commit: ") for line in lines)


@pytest.fixture
def features(bundle: Bundle) -> dict[str, Any]:
    with Box(bundle) as box:
        outcome = box.bare("features")
        assert outcome.code == 0 and outcome.err == "", "CRI-O reads both streams as one"
        document: dict[str, Any] = json.loads(outcome.out)
        return document


def test_features_versions(features: dict[str, Any]) -> None:
    assert features["ociVersionMin"] == "1.0.0"
    assert features["ociVersionMax"].startswith("1.")


def test_features_hooks_and_namespaces(features: dict[str, Any]) -> None:
    kinds = {
        "prestart",
        "createRuntime",
        "createContainer",
        "startContainer",
        "poststart",
        "poststop",
    }
    assert set(features["hooks"]) == kinds
    assert {"cgroup", "ipc", "mount", "network", "pid", "uts"} <= set(
        features["linux"]["namespaces"]
    )
    assert "CAP_SYS_ADMIN" in features["linux"]["capabilities"]
    assert {"cgroup", "seccomp", "apparmor", "selinux"} <= set(features["linux"])


def test_features_seccomp(features: dict[str, Any]) -> None:
    seccomp = features["linux"]["seccomp"]
    assert seccomp["enabled"] is True
    assert {"SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_NOTIFY"} <= set(seccomp["actions"])
    assert "SCMP_CMP_MASKED_EQ" in seccomp["operators"]
    assert "SCMP_ARCH_X86_64" in seccomp["archs"]


def test_the_mount_options_it_names_work(
    bundle: Bundle, features: dict[str, Any], tmp_path: Path
) -> None:
    """Every option in the list is taken, on a bind for the recursive ones."""
    (tmp_path / "source").mkdir()
    for number, option in enumerate(features["mountOptions"]):
        if option in ("bind", "rbind", "remount", "idmap", "ridmap", "move"):
            continue
        if option.startswith("r") and option not in ("ro", "rw", "relatime"):
            bundle.bind(tmp_path / "source", f"/m/{number}", option)
        else:
            bundle.mount(f"/m/{number}", "tmpfs", "tmpfs", option)
    outcome = run(bundle)
    assert outcome.code == 0, str(outcome)


def test_features_names_the_recursive_readonly_option(features: dict[str, Any]) -> None:
    """Docker and containerd look for `rro` before they ask for it."""
    assert {"rro", "bind", "rbind", "ro"} <= set(features["mountOptions"])


def test_spec_writes_an_example_that_runs(bundle: Bundle) -> None:
    with Box(bundle) as box:
        assert box.bare("spec", "--bundle", str(bundle.directory)).code == 0
        text = (bundle.directory / "config.json").read_text()
        document = json.loads(text)
        assert text.startswith('{\n\t"ociVersion"')
        assert document["process"]["args"] == ["sh"] and document["process"]["terminal"] is True
        assert (
            "inheritable" not in document["process"]["capabilities"]
            or programs.runtime_name() != "pyruntime"
        )
    document["process"]["terminal"] = False
    document["process"]["args"] = ["/inside", "report"]
    document["process"]["rlimits"] = []
    example = Bundle(bundle.directory, document)
    facts = run(example).facts
    assert facts.hostname == document["hostname"]
    assert facts.mount("/").options & {"ro"}
    assert facts.capabilities("bounding") == set(document["process"]["capabilities"]["bounding"])


def test_spec_does_not_overwrite(bundle: Bundle) -> None:
    with Box(bundle, prepare=lambda: os.chdir(bundle.directory)) as box:
        (bundle.directory / "config.json").write_text("mine")
        outcome = box.bare("spec")
        assert outcome.code == 1 and "File config.json exists. Remove it first" in outcome.err
        assert (bundle.directory / "config.json").read_text() == "mine"


def test_spec_rootless(bundle: Bundle) -> None:
    with Box(bundle) as box:
        assert box.bare("spec", "--rootless", "--bundle", str(bundle.directory)).code == 0
    document = json.loads((bundle.directory / "config.json").read_text())
    kinds = {entry["type"] for entry in document["linux"]["namespaces"]}
    assert "user" in kinds and "network" not in kinds
    assert document["linux"]["uidMappings"][0]["size"] == 1
