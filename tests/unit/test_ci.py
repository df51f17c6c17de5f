"""What `make` installs: pinned, complete, and refused in one sentence where it cannot work."""

from __future__ import annotations

import configparser
import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOCK = (ROOT / ".ci/requirements.lock").read_text()
ENTRY = re.compile(
    r"^([a-z0-9_.-]+)==\S+.*\\\n(?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+", re.MULTILINE
)


def section(name: str) -> str:
    return LOCK.partition(f"\n# [{name}]\n")[2].partition("\n# [")[0] + "\n"


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[^A-Za-z0-9-]", text)[0].lower() for text in requirements if text}


def test_everything_that_is_wanted_is_locked() -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    extras = config["options.extras_require"]
    run = names(config["options"]["install_requires"].split("\n") + extras["network"].split("\n"))
    run |= names(tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"])
    test = names(extras["dev"].split("\n"))
    assert run <= set(ENTRY.findall(section("run")))
    assert test <= set(ENTRY.findall(LOCK))
    assert not {"pytest", "mypy", "ruff", "hypothesis"} & set(ENTRY.findall(section("run")))


@pytest.mark.parametrize("name", ["run", "test"])
def test_every_line_belongs_to_a_pinned_package_with_hashes(name: str) -> None:
    assert section(name).strip()
    assert ENTRY.sub("", section(name)).strip() == ""


def fake_python(directory: Path, version: str) -> Path:
    """An interpreter that knows its version, and is too old."""
    program = directory / "python3"
    program.write_text(f"#!/bin/sh\ncase $2 in *print*) echo {version} ;; *) exit 1 ;; esac\n")
    program.chmod(0o755)
    return program


def test_an_old_python_is_refused_before_anything_is_installed(tmp_path: Path) -> None:
    (tmp_path / "python3.14").write_text("#!/bin/sh\n")
    (tmp_path / "python3.14").chmod(0o755)
    python = fake_python(tmp_path, "3.10")
    env = {"PATH": f"{tmp_path}:/usr/bin:/bin", "PYTHON": str(python)}
    done = subprocess.run(
        [ROOT / ".ci/packages"], env=env, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1 and done.stdout == ""
    wanted = f"Python 3.11 or newer is needed and {python} is 3.10"
    assert done.stderr == f"{wanted}: run `make PYTHON={tmp_path}/python3.14`\n"


def test_missing_packages_are_named_to_who_cannot_install_them(tmp_path: Path) -> None:
    """No apt-get on the path, so nothing can be installed whoever runs this."""
    for name in ("sh", "id", "grep", "tail", "mkdir"):
        (tmp_path / name).symlink_to(f"/bin/{name}")
    env = {"PATH": str(tmp_path), "PYTHON": "/usr/bin/python3", "CC": "no-such-compiler"}
    words = ["/bin/sh", str(ROOT / ".ci/packages")]
    done = subprocess.run(words, env=env, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and done.stdout == ""
    assert "\n  gcc (the native parts)\n" in done.stderr
    assert re.search(r"sudo apt-get install gcc( [a-z0-9.-]+)*\n$", done.stderr)


def test_a_section_that_is_not_there() -> None:
    done = subprocess.run(
        [ROOT / ".ci/pip", "/bin/false", "nosuch"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (1, ".ci/requirements.lock has no section nosuch\n")
