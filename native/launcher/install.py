"""Installs a built tree: `python native/launcher/install.py LAUNCHER ROOT`.

ROOT is DESTDIR and PREFIX put together. What is written there leans on nothing but the interpreter
of the system: the launcher, the package, the extension modules, and copies of the few third-party
packages that slow paths use. The build's virtual environment may be deleted afterwards.
"""

from __future__ import annotations

import compileall
import importlib.metadata
import py_compile
import re
import shutil
import sys
from pathlib import Path

import build

# What slow paths import; what these need in turn is followed through their metadata. pyroute2, for linux.netDevices, is
# 5.3 of the 12 MB that are installed; it goes in whole, or its next version might want a part that was left out.
# jeepney, for the systemd cgroup manager, is 0.2 MB.
THIRD_PARTY = ("jsonschema", "pyroute2", "jeepney")
SKIPPED = shutil.ignore_patterns("__pycache__", "*.pyc", "*.so", "tests", "test_*.py", "benchmarks")


def distributions(names: tuple[str, ...]) -> list[importlib.metadata.Distribution]:
    """The named distributions and everything they need, extras left out."""
    found: dict[str, importlib.metadata.Distribution] = {}
    waiting = list(names)
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if name in found:
            continue
        try:
            found[name] = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            # A requirement for another Python version; had it been needed, pip had installed it.
            if name in names:
                raise SystemExit(f"install: {name} is missing in {sys.prefix}") from None
            continue
        for need in found[name].requires or []:
            requirement, _, marker = need.partition(";")
            if "extra" not in marker:
                waiting.append(re.split(r"[^A-Za-z0-9._-]", requirement.strip())[0])
    return list(found.values())


def copy_distribution(item: importlib.metadata.Distribution, library: Path) -> None:
    """Its files, licences and metadata included; not its commands, tests or bytecode."""
    for file in item.files or []:
        parts = Path(file).parts
        if ".." in parts or "__pycache__" in parts or "tests" in parts:
            continue
        target = library / file
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(str(file.locate()), target)


def install_library(library: Path, launcher: Path) -> None:
    """PREFIX/lib/pyruntime, made anew so that nothing of an older version stays behind."""
    fresh = library.with_name(library.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    shutil.copytree(build.PACKAGE, fresh / "pyruntime", ignore=SKIPPED)
    for file, place in build.extension_files().values():
        (fresh / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, fresh / place)
    private = build.private_library(launcher)
    if private is not None:
        shutil.copy(private, fresh / private.name)
    for item in distributions(THIRD_PARTY):
        copy_distribution(item, fresh)
    shutil.copy(build.HERE / "full.py", fresh / "full.py")
    shutil.copy(build.PACKAGE.parent / "LICENSE", fresh / "LICENSE")
    # Nothing is written at run time (-B), so the bytecode is laid down now. It is not checked
    # against the source's time: package managers do not keep those.
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    if not compileall.compile_dir(
        fresh, quiet=1, stripdir=fresh, prependdir=str(library), invalidation_mode=mode
    ):
        raise SystemExit("install: a module does not compile")
    old = library.with_name(library.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if library.exists():
        library.rename(old)
    fresh.rename(library)
    shutil.rmtree(old, ignore_errors=True)


def main() -> None:
    if len(sys.argv) != 3:
        raise SystemExit("usage: install.py LAUNCHER ROOT")
    launcher, root = Path(sys.argv[1]), Path(sys.argv[2])
    install_library(root / "lib" / "pyruntime", launcher)
    program = root / "bin" / "pyruntime"
    program.parent.mkdir(parents=True, exist_ok=True)
    # By rename: a running launcher cannot be written to, and no caller ever sees half a program.
    fresh = program.with_name("pyruntime.new")
    shutil.copy(launcher, fresh)
    fresh.chmod(0o755)
    fresh.rename(program)
    for page in (build.PACKAGE.parent / "docs" / "man").glob("*.[1-8]"):
        section = root / "share" / "man" / f"man{page.suffix[1:]}"
        section.mkdir(parents=True, exist_ok=True)
        shutil.copy(page, section / page.name)
    print(f"installed {program}")


if __name__ == "__main__":
    main()
