"""The launcher on a package of its own: the import system, argv, exit status, errors, hostile starts.

It is built once for all tests; needs the static libpython, as building pyruntime does.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "native" / "launcher"))

import build  # noqa: E402

MAIN = """
from __future__ import annotations
import posix
import sys
from pyruntime import __version__, deep
import pyruntime.deep.one
from pyruntime.deep import two, VALUE
from pyruntime.lib.handover import running_full

def say(value):
    posix.write(1, f"{value}\\n".encode("utf-8", "surrogateescape"))

def fds():
    for fd in range(4):
        try:
            say((fd, posix.major(posix.fstat(fd).st_rdev), posix.minor(posix.fstat(fd).st_rdev)))
        except OSError as error:
            say((fd, error.errno))

def main(argv):
    verb = argv[0] if argv else ""
    if verb == "imports":
        say(pyruntime.deep.one.NAME + two.NAME + VALUE + __version__)
        say(deep is sys.modules["pyruntime.deep"])
    elif verb == "missing":
        from pyruntime.deep import three
    elif verb == "broken":
        try:
            from pyruntime.deep import broken
        except ZeroDivisionError:
            say("pyruntime.deep.broken" in sys.modules)
    elif verb == "json":
        import _json
        say(_json.encode_basestring("a\\n"))
    elif verb == "argv":
        say(repr(sys.argv[1:]) + argv[1])
        say(posix.access(argv[1], posix.F_OK))
    elif verb == "fds":
        fds()
    elif verb == "modules":
        say(sorted(sys.modules))
    elif verb == "full":
        say(running_full())
    elif verb == "handover":
        from pyruntime.lib.handover import full_interpreter
        full_interpreter(argv)
    elif verb == "status":
        return int(argv[1])
    return 0
"""

# Stands in for native/launcher/full.py.
FULL = """
import os, sys
print(sys.argv[1:], sys.flags.isolated, sys.flags.no_site, sys.flags.utf8_mode)
print(open("/proc/self/environ").read().split("\\0"))
sys.exit(5)
"""

FILES = {
    "__init__.py": '__version__ = "9"\n',
    "errors.py": "",
    "lib/__init__.py": "",
    "lib/handover.py": (ROOT / "pyruntime" / "lib" / "handover.py").read_text(),
    "cli/__init__.py": "",
    "cli/main.py": MAIN,
    "deep/__init__.py": 'VALUE = "value"\n',
    "deep/one.py": 'NAME = "one"\nfrom pyruntime.deep import two\n',
    "deep/two.py": 'import pyruntime.deep.one\nNAME = "two"\n',
    "deep/broken.py": "1 / 0\n",
}


@pytest.fixture(scope="session")
def launcher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """PREFIX/bin/pyruntime for the package above."""
    root = tmp_path_factory.mktemp("launcher")
    for name, text in FILES.items():
        path = root / "pyruntime" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    files = build.extension_files()
    library = root / "lib" / "pyruntime"
    library.mkdir(parents=True)
    (library / "full.py").write_text(FULL)
    source, place = files["_json"]
    (library / place).write_bytes(source.read_bytes())
    build.build_fast(root / "pyruntime", root / "bin", {"_json": files["_json"]})
    return root / "bin" / "pyruntime"


def run(launcher: Path, *argv: str | bytes, **options: object) -> subprocess.CompletedProcess[str]:
    options.setdefault("env", {})
    return subprocess.run(  # type: ignore[call-overload,no-any-return]
        [launcher, *argv],
        check=False,
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",
        **options,
    )


def test_packages_submodules_and_circles(launcher: Path) -> None:
    assert run(launcher, "imports").stdout == "onetwovalue9\nTrue\n"


def test_a_missing_name_is_an_import_error(launcher: Path) -> None:
    done = run(launcher, "missing")
    assert done.returncode == 1
    assert "ImportError: cannot import name 'three'" in done.stderr


def test_a_module_that_fails_is_not_kept(launcher: Path) -> None:
    assert run(launcher, "broken").stdout == "False\n"


def test_extension_modules_come_from_beside_the_executable(launcher: Path) -> None:
    assert run(launcher, "json").stdout == '"a\\n"\n'


def test_a_missing_extension_is_said(launcher: Path, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    copy = tmp_path / "bin" / "pyruntime"
    copy.write_bytes(launcher.read_bytes())
    copy.chmod(0o755)
    done = run(copy, "json")
    assert done.returncode == 1
    assert f"{tmp_path}/lib/pyruntime/_json" in done.stderr


def test_it_is_the_small_interpreter(launcher: Path) -> None:
    assert run(launcher, "full").stdout == "False\n"
    loaded = run(launcher, "modules").stdout
    for name in ("os", "io", "encodings", "site", "zipimport", "_frozen_importlib_external"):
        assert f"'{name}'" not in loaded


def test_names_of_files_that_are_not_utf8(launcher: Path, tmp_path: Path) -> None:
    name = os.fsencode(tmp_path) + b"/caf\xe9 \xff"
    with open(name, "w", encoding="utf-8"):
        pass
    done = run(launcher, "argv", name)
    assert done.stdout.endswith(os.fsdecode(name) + "\nTrue\n")


def test_the_hand_over_keeps_arguments_environment_and_descriptors(launcher: Path) -> None:
    done = run(launcher, "handover", "a b", b"\xff", env={"PYTHONPATH": "/x", "LANG": "C"})
    seen = "['handover', 'a b', '\\udcff'] 1 1 1\n['PYTHONPATH=/x', 'LANG=C', '']\n"
    assert (done.returncode, done.stdout, done.stderr) == (5, seen, "")


@pytest.mark.parametrize(("given", "seen"), [("0", 0), ("7", 7), ("255", 255), ("256", 0)])
def test_the_value_of_main_is_the_exit_status(launcher: Path, given: str, seen: int) -> None:
    assert run(launcher, "status", given).returncode == seen


def test_an_exception_is_our_bug(launcher: Path) -> None:
    done = run(launcher, "status", "x")
    assert done.returncode == 1
    assert done.stderr.startswith("pyruntime: internal error, please report it with these lines:\n")
    assert "pyruntime/cli/main.py" in done.stderr
    assert done.stderr.endswith("ValueError: invalid literal for int() with base 10: 'x'\n")


def test_closed_descriptors_become_the_null_device(launcher: Path) -> None:
    """0, 1 and 2 are shut in the child; the report is read through a copy of the pipe at 1."""
    done = run(launcher, "fds", preexec_fn=lambda: (os.close(0), os.close(2)))
    assert done.stdout.splitlines()[0] == "(0, 1, 3)"
    assert done.stdout.splitlines()[2] == "(2, 1, 3)"
    assert done.stdout.splitlines()[3] == "(3, 9)"


def test_an_empty_environment_and_a_vanished_directory(launcher: Path, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    enter_and_remove = lambda: (os.chdir(gone), os.rmdir(gone))  # noqa: E731
    assert run(launcher, "imports", preexec_fn=enter_and_remove).returncode == 0


def test_nothing_of_the_caller_is_imported(launcher: Path, tmp_path: Path) -> None:
    """R-32: the engine starts us in the bundle, with an environment that is not ours to trust."""
    marker = tmp_path / "marker"
    for name in ("json", "os", "posix", "site", "sitecustomize", "usercustomize", "_json", "errno"):
        (tmp_path / f"{name}.py").write_text(f"open({str(marker)!r}, 'w')\n")
    (tmp_path / "pyruntime").mkdir()
    (tmp_path / "pyruntime" / "__init__.py").write_text(f"open({str(marker)!r}, 'w')\n")
    env = dict.fromkeys(("PYTHONPATH", "PYTHONHOME", "PYTHONUSERBASE"), str(tmp_path))
    env |= {"PYTHONSTARTUP": str(tmp_path / "json.py"), "PYTHONINSPECT": "1", "PYTHONVERBOSE": "1"}
    done = run(launcher, "json", cwd=tmp_path, env=env)
    assert (done.returncode, done.stdout, done.stderr) == (0, '"a\\n"\n', "")
    assert not marker.exists()
