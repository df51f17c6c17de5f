"""What `make install` writes leans on nothing but the interpreter of the system.

The commands run with an empty environment, in a mount namespace where the whole source tree, its
build and its virtual environment with it, is hidden.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
HIDE = f'mount -t tmpfs none "{ROOT}" && cd / && exec env -i "$@"'
WRONG = {
    "ociVersion": 1,
    "hostname": 7,
    "process": {"args": ["x"], "cwd": "/", "user": {"uid": -1, "gid": 0}},
    "root": {"readonly": "yes"},
    "mounts": [{"source": "x"}],
}


@pytest.fixture(scope="session")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    destination = tmp_path_factory.mktemp("destination")
    launcher = ROOT / "build" / "launcher" / "pyruntime"
    install = ROOT / "native" / "launcher" / "install.py"
    subprocess.run([sys.executable, install, launcher, destination / "usr"], check=True)
    return destination / "usr"


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    namespaces = ["-m"] if os.geteuid() == 0 else ["-r", "-m"]
    done = subprocess.run(
        ["unshare", *namespaces, "sh", "-c", HIDE, "sh", *command],
        check=False,
        capture_output=True,
        text=True,
    )
    if "unshare" in done.stderr:
        pytest.fail(f"no mount namespace to hide the source tree in: {done.stderr}")
    return done


def test_it_starts(prefix: Path) -> None:
    done = run(prefix / "bin" / "pyruntime", "--version")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("pyruntime version ")


def test_the_manual_is_there(prefix: Path) -> None:
    assert (prefix / "share" / "man" / "man1" / "pyruntime.1").exists()
    assert (prefix / "lib" / "pyruntime" / "LICENSE").exists()


def test_it_starts_through_a_link(prefix: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").symlink_to(prefix / "bin" / "pyruntime")
    assert run(tmp_path / "elsewhere", "--version").returncode == 0


def test_the_full_interpreter_sees_only_the_library(prefix: Path) -> None:
    full = prefix / "lib" / "pyruntime" / "full.py"
    code = f"import sys; sys.argv = ['x']; sys.path.insert(0, {str(full.parent)!r})\n"
    code += "import jsonschema, pyroute2, pyruntime\n"
    code += "print([module.__file__ for module in (jsonschema, pyroute2, pyruntime)])"
    done = run(f"/usr/bin/python3.{sys.version_info.minor}", "-I", "-S", "-B", "-c", code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(str(full.parent)) == 3


def test_a_wrong_config_is_explained(prefix: Path, tmp_path: Path) -> None:
    """A slow path: the launcher hands over to the full interpreter and to jsonschema."""
    (tmp_path / "config.json").write_text(json.dumps(WRONG))
    program = prefix / "bin" / "pyruntime"
    state = ["--root", str(tmp_path / "state")]
    done = run(program, *state, "create", "--bundle", str(tmp_path), "wrong")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    for pointer in ("/ociVersion", "/hostname", "/process/user/uid", "/root", "/mounts/0"):
        assert pointer in done.stderr
    assert not list((tmp_path / "state").glob("*"))


def test_nothing_is_written_at_run_time(prefix: Path) -> None:
    library = prefix / "lib" / "pyruntime"
    before = sorted((path, path.stat().st_mtime_ns) for path in library.rglob("*"))
    assert any(path.suffix == ".pyc" for path, _ in before)
    run(prefix / "bin" / "pyruntime", "--version")
    assert before == sorted((path, path.stat().st_mtime_ns) for path in library.rglob("*"))


def test_what_is_installed_names_no_place_of_the_build(prefix: Path) -> None:
    named = [
        str(path)
        for path in prefix.rglob("*")
        if path.is_file() and path.suffix != ".so" and str(ROOT).encode() in path.read_bytes()
    ]
    assert not named
