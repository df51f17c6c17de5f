"""docs/contributing.md: the files it names exist, and a property is added by following it, in a copy of the tree."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/contributing.md").read_text()

FEATURE = """
from __future__ import annotations

from pyruntime.kernel.native import lib
from pyruntime.plan import moments
from pyruntime.plan.step import Step, sys

PROPERTIES = ("linux.foo",)


def rules(spec):
    if spec["linux"]["foo"] == 13:
        yield "/linux/foo", "13 brings bad luck"


def plan(spec, site):
    foo = spec["linux"]["foo"]
    yield Step(moments.EXECUTION, "/linux/foo", f"set foo to {foo}", [sys(lib.NR_prctl, lib.PR_SET_TIMERSLACK, foo)])
"""


def test_the_files_exist() -> None:
    named = set(re.findall(r"`([\w./]+/[\w./]*)`", PAGE))
    assert len(named) > 20
    missing = [name for name in named if not (ROOT / name).exists()]
    assert not [name for name in missing if not re.search(r"NAME|VERB|CONTROLLER", name)]


def run(tree: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(tree)}
    command = [sys.executable, "-P", *words]
    return subprocess.run(
        command, cwd=tree, env=environment, capture_output=True, text=True, check=False
    )


def test_a_property_is_added(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    for name in ("pyruntime", "schema"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    # 1
    path = tree / "schema/config-linux.json"
    schema = json.loads(path.read_text())
    schema["linux"]["properties"]["foo"] = {"$ref": "defs.json#/definitions/uint32"}
    path.write_text(json.dumps(schema))
    generated = run(tree, "schema/generate.py")
    assert generated.returncode == 0, generated.stderr
    # 2 and 3
    (tree / "pyruntime/features/foo.py").write_text(FEATURE)
    registry = tree / "pyruntime/features/__init__.py"
    line = '    ("personality", ("linux.personality",)),\n'
    text = registry.read_text()
    assert text.count(line) == 1
    registry.write_text(text.replace(line, line + '    ("foo", ("linux.foo",)),\n'))
    # Seen
    bundle = tmp_path / "bundle"
    (bundle / "rootfs").mkdir(parents=True)
    assert run(tree, "-m", "pyruntime", "spec", "--bundle", str(bundle)).returncode == 0
    config = json.loads((bundle / "config.json").read_text())
    said = {}
    for value in (7, 13, "seven"):
        config["linux"]["foo"] = value
        (bundle / "config.json").write_text(json.dumps(config))
        done = run(tree, "-m", "pyruntime", "plan", str(bundle))
        said[value] = done.stdout + done.stderr
    assert "set foo to 7 (/linux/foo)\n      prctl(PR_SET_TIMERSLACK, 7)\n" in said[7]
    assert "/linux/foo: 13 brings bad luck" in said[13]
    assert "/linux/foo: expected an integer" in said["seven"]
