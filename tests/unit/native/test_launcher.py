"""The launcher on a package of its own: the import system, argv, exit status, errors, hostile starts.

It is built once for all tests; needs the static libpython, as building pyruntime does.
"""

from __future__ import annotations

import contextlib
import math
import os
import runpy
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.lib import fast

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "native" / "launcher"))

import freeze  # noqa: E402

import build  # noqa: E402

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
    "cli/main.py": Path(__file__).with_name("probe.py").read_text(),
    "deep/__init__.py": 'VALUE = "value"\n',
    "deep/one.py": 'NAME = "one"\nfrom pyruntime.deep import two\n',
    "deep/two.py": 'import pyruntime.deep.one\nNAME = "two"\n',
    "deep/broken.py": "1 / 0\n",
    "deep/describe.py": Path(__file__).with_name("describe.py").read_text(),
    "deep/sample.py": Path(__file__).with_name("sample.py").read_text(),
}


@pytest.fixture(scope="session")
def launcher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """PREFIX/bin/pyruntime for the package above."""
    fast.need()
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


def test_the_body_of_a_module_runs_when_it_is_used(launcher: Path) -> None:
    """And as often as it fails: a module is never taken for loaded when it is not."""
    assert run(launcher, "broken").stdout == "imported\nbroken\nbroken\n"


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


def test_every_module_of_the_list_can_be_loaded(launcher: Path) -> None:
    names = sorted(freeze.builtin_modules())
    done = run(launcher, "builtin", *names)
    assert done.stdout.split() == names, done.stderr


def test_functions_of_libm_are_loaded_when_they_are_called(launcher: Path) -> None:
    done = run(launcher, "mathematics")
    assert not done.stderr
    first, e, *rest, last = done.stdout.splitlines()
    assert e == str(math.e)
    assert first == f"({'9' * 60}, False)"
    expected = []
    for name in sorted(name for name in math.__dict__ if name[0] != "_"):
        for arguments in ((0.5,), (10.0,), (7.5, 2.0), (3.0, 2)):
            with contextlib.suppress(TypeError, ValueError):
                expected.append(str((name, arguments, getattr(math, name)(*arguments))))
    assert rest == expected
    assert last == str((2.0**0.5, complex(0, 2) ** 0.5, 7.5 % 2, True))


def test_the_objects_that_verbs_run_are_there(tmp_path: Path) -> None:
    names = (ROOT / "native" / "launcher" / "objects.txt").read_text().split()
    config = sysconfig.get_config_var
    archive = Path(config("LIBPL")) / f"libpython{config('LDVERSION')}.a"
    taken = build.first_objects(archive, tmp_path)
    assert [Path(path).name for path in taken] == names
    assert all(Path(path).stat().st_size for path in taken)


def test_modules_work_without_the_rest_of_the_interpreter(launcher: Path) -> None:
    done = run(launcher, "use")
    assert done.stdout.splitlines() == [
        "(0, 1, 'root', 'root')",
        "0",
        "(True, True, 1970)",
        "(1, (7,), 2)",
    ], done.stderr


def test_code_as_data_is_the_code_that_was_compiled(launcher: Path) -> None:
    done = run(launcher, "codes", "pyruntime.deep.sample")
    same, interned, sets, *description = done.stdout.splitlines()
    assert (same, interned) == ("True", "True")
    assert sets == "[{6, 7}, {6, 7}, {6, 7}, True]"
    source = Path(__file__).with_name("sample.py").read_text()
    code = freeze.frozen_code(source, "<launcher>/pyruntime/deep/sample.py")
    describe = runpy.run_path(str(Path(__file__).with_name("describe.py")))["describe"]
    assert description == describe(code).splitlines()


def test_memory_beyond_the_first_huge_page(launcher: Path) -> None:
    done = run(launcher, "heap")
    assert done.stdout.splitlines() == [
        "True",
        "(True, True, 20000, {'19999': 19999})",
        "100000000",
    ], done.stderr


def test_error_handlers_of_codecs(launcher: Path) -> None:
    handlers = ["ignore", "replace", "backslashreplace", "surrogateescape"]
    done = run(launcher, "codecs", *handlers)
    assert done.returncode == 0, done.stderr
    assert "('ascii', 'backslashreplace', 'a\\\\xff\\\\xe9')" in done.stdout
    assert "b'a\\\\u20ac'" in done.stdout


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
