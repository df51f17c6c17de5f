"""The shape of the source tree: who imports whom, what may be imported on a hot path, and sizes.

Read from the syntax trees, so that a test does not depend on what happens to be imported.
"""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "pyruntime"
sys.path.insert(0, str(ROOT / "native" / "launcher"))

import freeze  # noqa: E402  the launcher's own idea of what can be frozen is the rule here

MODULES = freeze.package_modules(PACKAGE)
GENERATED = {"pyruntime.spec._tables", "pyruntime.spec.types"}

# A package may import those of lower tiers, not its neighbours and never upward.
TIERS = (
    ("errors",),
    ("lib",),
    ("kernel",),
    ("spec", "plan", "cgroup", "resctrl", "seccomp"),
    ("features",),
    ("runtime",),
    ("extras",),
    ("cli",),
    ("__main__",),
)
TIER = {name: number for number, names in enumerate(TIERS) for name in names}

# Modules for the full interpreter only (and for tools); everything else must fit the launcher.
COLD = {
    "pyruntime.__main__": "the entry of the ordinary interpreter",
    "pyruntime.cgroup.systemd.bus": "D-Bus, with jeepney",
    "pyruntime.cgroup.systemd.scope": "starts units of systemd, over the bus",
    "pyruntime.cgroup.systemd.service": "what is asked of systemd, over the bus",
    "pyruntime.cli.entry": "the entry of every interpreter but the launcher's own",
    "pyruntime.features.device_moves": "moves network devices, with pyroute2",
    "pyruntime.kernel.links": "netlink by pyroute2's message classes",
    "pyruntime.plan.host": "read by type checkers only",
    "pyruntime.plan.record": "read by type checkers only",
    "pyruntime.seccomp.generate": "regenerates the tables; never imported by a verb",
    "pyruntime.spec.explain": "speaks when check said no, with jsonschema",
    "pyruntime.spec.types": "read by type checkers only",
}
COLD_PACKAGES = ("pyruntime.extras",)
# What a hot module imports inside a function although the launcher lacks it: after a hand-over.
LAZY: dict[str, set[str]] = {
    "pyruntime.cli.plan": {"difflib"},
    "pyruntime.lib.handover": {"_launcher"},
}

FORBIDDEN_NAMES = {"util", "utils", "common", "helper", "helpers", "manager", "handler", "misc"}
LONGEST_FILE = 400
LONGEST_FUNCTION = 50


def is_cold(name: str) -> bool:
    return name in COLD or name.startswith(COLD_PACKAGES)


def tree_of(name: str) -> ast.Module:
    return ast.parse(MODULES[name].read_text(), str(MODULES[name]))


def area(name: str) -> str:
    """The first part below pyruntime; the package itself (its version) is nobody's tier."""
    return name.split(".")[1] if "." in name else ""


def all_imports(name: str) -> list[tuple[int, str]]:
    """(line, module) of every import in the module, those for type checkers left out."""
    known = set(MODULES) | {"pyruntime.kernel._native"}
    found = []
    waiting: list[ast.AST] = [tree_of(name)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import | ast.ImportFrom):
            found += [(node.lineno, item) for item in freeze.imported_names(node, known)]
        elif freeze.is_type_checking(node):
            waiting.extend(node.orelse)  # type: ignore[attr-defined]
        else:
            waiting.extend(ast.iter_child_nodes(node))
    return found


def test_imports_run_downward() -> None:
    wrong = []
    for name in MODULES:
        for line, imported in all_imports(name):
            if not imported.startswith("pyruntime") or area(imported) in ("", area(name)):
                continue
            if area(name) == "":
                wrong.append(f"{name}:{line} imports {imported}: the package imports nothing")
            elif TIER[area(imported)] >= TIER[area(name)]:
                wrong.append(f"{name}:{line} imports {imported}")
    assert not wrong, "arrows that do not run downward:\n" + "\n".join(wrong)


def test_every_area_has_a_tier() -> None:
    assert {area(name) for name in MODULES} - {""} <= set(TIER)


def is_feature(name: str) -> bool:
    """A feature owns properties of config.json; other modules beside them serve them all."""
    return name.startswith("pyruntime.features.") and any(
        isinstance(target, ast.Name) and target.id == "PROPERTIES"
        for node in tree_of(name).body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
    )


def test_no_feature_imports_a_feature() -> None:
    features = {name for name in MODULES if is_feature(name)}
    wrong = [
        f"{name}:{line} imports {imported}"
        for name in sorted(features)
        for line, imported in all_imports(name)
        if imported in features
    ]
    assert not wrong, "\n".join(wrong)


def test_only_the_kernel_package_imports_the_native_module() -> None:
    wrong = [
        f"{name}:{line}"
        for name in MODULES
        for line, imported in all_imports(name)
        if imported == "pyruntime.kernel._native" and area(name) != "kernel"
    ]
    assert not wrong, "\n".join(wrong)


def test_hot_modules_fit_the_launcher() -> None:
    """A heavy import at the top of a module (json, re, typing, …) keeps it out of the launcher."""
    names = [name for name in MODULES if not is_cold(name)]
    fit = set(freeze.freezable(MODULES, {"_json", "_cffi_backend", "pyruntime.kernel._native"}))
    available = freeze.builtin_modules() | fit | {"_json", "pyruntime.kernel._native"}
    wrong = []
    for name in sorted(set(names) - fit):
        top = freeze.top_level_imports(tree_of(name))
        wanted = set().union(*(freeze.imported_names(node, set(MODULES)) for node in top))
        wrong.append(f"{name}: {', '.join(sorted(wanted - available)) or 'its package'}")
    assert not wrong, "not importable in the launcher:\n" + "\n".join(wrong)


def test_hot_modules_import_heavy_things_only_where_it_is_said() -> None:
    extensions = {"_json", "_cffi_backend", "pyruntime.kernel._native"}
    available = freeze.builtin_modules() | set(MODULES) | extensions
    wrong = []
    for name in MODULES:
        if is_cold(name):
            continue
        for line, imported in all_imports(name):
            if imported not in available | LAZY.get(name, set()):
                wrong.append(f"{name}:{line} imports {imported}")
    assert not wrong, "say in LAZY why this cannot run in the launcher:\n" + "\n".join(wrong)


def test_no_relative_imports() -> None:
    """The launcher's import system has none, and a reader needs none."""
    wrong = [
        f"{name}:{node.lineno}"
        for name in MODULES
        for node in ast.walk(tree_of(name))
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    assert not wrong, "\n".join(wrong)


def test_every_directory_is_a_package() -> None:
    """setuptools finds, and the launcher freezes, only directories with an __init__.py."""
    directories = {path.parent for path in MODULES.values()}
    assert not [str(item) for item in directories if not (item / "__init__.py").exists()]


def test_names_of_modules_say_something() -> None:
    assert not [name for name in MODULES if name.rpartition(".")[2] in FORBIDDEN_NAMES]


def source_files() -> list[Path]:
    """Everything written by hand that a reader reads, C included."""
    found = []
    for where in ("pyruntime", "native", "schema", "conformance", "tests", ".ci"):
        for suffix in ("*.py", "*.c", "*.h", "*.S"):
            found += (ROOT / where).rglob(suffix)
    generated = {MODULES[name] for name in GENERATED if name in MODULES}
    generated |= {ROOT / "native" / "shim" / "init_image.h", PACKAGE / "kernel" / "_native.c"}
    return sorted(set(found) - generated)


def test_files_are_short() -> None:
    long = [
        f"{path.relative_to(ROOT)}: {count} lines"
        for path in source_files()
        if not is_table(path) and (count := len(path.read_text().splitlines())) > LONGEST_FILE
    ]
    assert not long, "\n".join(long)


def is_table(path: Path) -> bool:
    """Generated data that is checked in says so in its first lines."""
    return "Generated by" in path.read_text()[:400] and "frozen" not in path.name


def long_python_functions(path: Path) -> list[str]:
    return [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}: {length} lines"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef)
        and (length := (node.end_lineno or 0) - node.lineno + 1) > LONGEST_FUNCTION
    ]


def long_c_functions(path: Path) -> list[str]:
    """A function's body is what stands between a `{` and a `}` in the first column."""
    found, start = [], 0
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if line.startswith("{"):
            start = number
        elif line.startswith("}") and start:
            if number - start > LONGEST_FUNCTION:
                found.append(f"{path.relative_to(ROOT)}:{start}: {number - start} lines")
            start = 0
    return found


def test_functions_are_short() -> None:
    long = []
    for path in source_files():
        if is_table(path):
            continue
        long += long_python_functions(path) if path.suffix == ".py" else long_c_functions(path)
    assert not long, "\n".join(long)


def test_the_init_is_small() -> None:
    """What waits in every container: at most 1,600 lines, and 64 KiB when built."""
    lines = sum(
        len(path.read_text().splitlines())
        for path in (ROOT / "native" / "init").iterdir()
        if path.suffix in (".c", ".h", ".S")
    )
    assert lines <= 1600
    built = ROOT / "native" / "init" / "init"
    if not built.exists():
        pytest.fail("native/init/init is not built: run make")
    assert built.stat().st_size <= 64 * 1024


def test_nothing_is_left_to_do() -> None:
    """What is left to do is an issue, not a comment."""
    mark = re.compile(r"\b(TO" r"DO|FIX" r"ME|X" r"XX)\b")
    left = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in source_files()
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if mark.search(line)
    ]
    assert not left, "\n".join(left)
