"""Builds the launcher into a directory: `python native/launcher/build.py OUT`.

Run by the interpreter that will be embedded (or by a virtual environment of it). The fast form,
launcher.c, uses CPython's private names, so it is taken only for the version it was proved on, and
only if the finished program starts; otherwise the plain form is built, and that is said.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import freeze

HERE = Path(__file__).resolve().parent
PACKAGE = HERE.parents[1] / "pyruntime"
PROVED = (3, 11)

WARNINGS = ["-Wall", "-Wextra", "-Wconversion", "-Wno-unused-parameter", "-Werror"]
# Nothing is reordered: frozen.c says what lies where.
ORDER = ["-fno-toplevel-reorder"]
COMPILE = ["-O2", "-std=gnu11", "-ffunction-sections", "-fdata-sections", *ORDER, *WARNINGS]
# Not position independent: hundreds of relocations of static types less (measured: 0.2 ms a start).
# All symbols are bound at start, which costs less than lazy binding and allows full RELRO.
LINK = ["-no-pie", "-Wl,-z,relro,-z,now,-z,noexecstack", "-Wl,--gc-sections,--as-needed,-O1", "-s"]


class BuildError(Exception):
    """The fast launcher cannot be built here; the text says why."""


def base_interpreter() -> str:
    """The interpreter itself, not the link to it in a virtual environment."""
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    path = Path(sys.base_prefix) / "bin" / name
    return str(path if path.exists() else Path(sys.executable).resolve())


def extension_files() -> dict[str, tuple[Path, str]]:
    """Extension modules the launcher may load: name -> (built file, place in PREFIX/lib/pyruntime).

    A name is left out where the interpreter has the module built in.
    """
    files = {}
    for name in ("_json", "_cffi_backend"):
        spec = importlib.util.find_spec(name)
        if spec is None:
            raise SystemExit(f"launcher: the module {name} is missing in {sys.executable}")
        if spec.origin and spec.origin != "built-in":
            files[name] = (Path(spec.origin), Path(spec.origin).name)
    built = sorted((PACKAGE / "kernel").glob("_native.*.so"))
    if len(built) != 1:
        raise SystemExit(f"launcher: one {PACKAGE}/kernel/_native.*.so is wanted, found {built}")
    native = built[0]
    files["pyruntime.kernel._native"] = (native, f"pyruntime/kernel/{native.name}")
    return files


def run(*command: str) -> str:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise BuildError(f"{command[0]} failed:\n{done.stdout}{done.stderr}".rstrip())
    return done.stdout


def compiler() -> list[str]:
    return os.environ.get("CC", "gcc").split()


def needed_symbols(archive: Path, extensions: list[Path]) -> list[str]:
    """What the extension modules want of the interpreter: kept by the linker, and exported."""
    wanted = set()
    for file in extensions:
        for line in run("nm", "-D", "--undefined-only", str(file)).splitlines():
            wanted.add(line.split()[-1].partition("@")[0])
    defined = run("nm", "--defined-only", "--extern-only", "-p", str(archive))
    have = {line.split()[-1] for line in defined.splitlines() if len(line.split()) == 3}
    return sorted(wanted & have)


def first_objects(archive: Path, out: Path) -> list[str]:
    """The objects of the archive that verbs run, taken out of it so that they lie together.

    Half of the interpreter is never used (the compiler of Python source alone is a quarter), but the
    kernel maps what is used in pieces of 64 KiB, and with it what lies between.
    """
    there = set(run("ar", "t", str(archive)).split())
    names = [name for name in (HERE / "objects.txt").read_text().split() if name in there]
    directory = out / "objects"
    directory.mkdir(exist_ok=True)
    run("ar", "x", "--output", str(directory), str(archive), *names)
    return [str(directory / name) for name in names]


def build_fast(package: Path, out: Path, files: dict[str, tuple[Path, str]]) -> None:
    """launcher.c on the static archive, with the package frozen in."""
    if sys.version_info[:2] != PROVED or sys.implementation.name != "cpython":
        raise BuildError("it was proved on CPython %d.%d only" % PROVED)
    config = sysconfig.get_config_var
    archive = Path(config("LIBPL")) / f"libpython{config('LDVERSION')}.a"
    if not archive.exists():
        raise BuildError(f"{archive} is missing (Debian: libpython3.11-dev)")
    out.mkdir(parents=True, exist_ok=True)
    places = {name: place for name, (_, place) in files.items()}
    names = freeze.freeze(package, out, base_interpreter(), places)
    if "pyruntime.cli.main" not in names:
        raise SystemExit("launcher: pyruntime.cli.main cannot be frozen: see what it imports")
    symbols = needed_symbols(archive, [file for file, _ in files.values()])
    exported = out / "exported.ld"
    exported.write_text("{\n" + "".join(f"  {name};\n" for name in symbols) + "};\n")
    sources = [str(HERE / name) for name in ("launcher.c", "heap.c", "inittab.c", "mathematics.c")]
    sources.append(str(out / "frozen.c"))
    keep = [f"-Wl,-u,{name}" for name in symbols]
    include = ["-isystem", sysconfig.get_path("include"), f"-I{HERE}", "-DPy_BUILD_CORE"]
    output = ["-o", str(out / "pyruntime"), f"-Wl,--dynamic-list={exported}"]
    # libm, last, only where an interpreter refers to more of it than mathematics.c has (--as-needed).
    system = ["-ldl", "-lpthread", "-lutil", "-lc", "-lm"]
    libraries = [*first_objects(archive, out), str(archive), *system]
    run(*compiler(), *COMPILE, *include, *sources, *output, *keep, *LINK, *libraries)
    left = sorted(set(freeze.package_modules(package)) - set(names))
    print(f"launcher: {len(names)} modules frozen in, {len(left)} for the full interpreter only")


def private_library(launcher: Path) -> Path | None:
    """The shared libpython of a plain launcher, where the interpreter itself does without it, as Debian's does: it is
    installed beside the package then, for it would go with the packages of the build."""
    words = run("ldd", str(launcher)).split()
    name = next((word for word in words if word.startswith("libpython")), "")
    if not name or name in run("ldd", base_interpreter()):
        return None
    return Path(sysconfig.get_config_var("LIBDIR"), name)


def build_plain(out: Path) -> None:
    """plain.c on the shared library of whatever interpreter runs this."""
    config = sysconfig.get_config_var
    out.mkdir(parents=True, exist_ok=True)
    define = f'-DPR_INTERPRETER="{base_interpreter()}"'
    include = ["-isystem", sysconfig.get_path("include"), f"-I{HERE}", define]
    library = [f"-L{config('LIBDIR')}", f"-lpython{config('LDVERSION')}"]
    library.append("-Wl,-rpath,$ORIGIN/../lib/pyruntime")
    if config("LIBDIR") not in ("/usr/lib", f"/usr/lib/{config('MULTIARCH')}"):
        library.append(f"-Wl,-rpath,{config('LIBDIR')}")
    output = ["-o", str(out / "pyruntime"), "-Wl,-z,relro,-z,now", "-s"]
    try:
        run(*compiler(), *COMPILE, *include, str(HERE / "plain.c"), *output, *library)
    except BuildError as error:
        raise SystemExit(f"launcher: {error}") from None


def main() -> None:
    if len(sys.argv) not in (2, 3):
        raise SystemExit("usage: build.py OUT [fast|plain]")
    out = Path(sys.argv[1]).resolve()
    form = sys.argv[2] if len(sys.argv) == 3 else ""
    if form != "plain":
        try:
            build_fast(PACKAGE, out, extension_files())
            run(str(out / "pyruntime"), "--version")
            return
        except BuildError as error:
            if form == "fast":
                raise SystemExit(f"launcher: {error}") from None
            print(
                f"launcher: the plain form is built, because {error}; each verb takes some 10 ms longer",
                file=sys.stderr,
            )
    build_plain(out)


if __name__ == "__main__":
    main()
