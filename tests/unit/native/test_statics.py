"""native/launcher/statics.py on the whole package: every module's code is the code compiled.

test_launcher.py looks at code of every shape closely; here nothing that really ships is left out.
Nightly, because it builds a whole launcher.
"""

from __future__ import annotations

import hashlib
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lib import fast

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "native" / "launcher"))

import freeze  # noqa: E402

import build  # noqa: E402

# Stands in for pyruntime/cli/main.py: prints a digest of all there is to the code of each module.
MAIN = """
import _imp
import _sha256
import posix

from pyruntime.describe import describe


def main(names):
    for name in names:
        said = describe(_imp.get_frozen_object(name)).encode("utf-8", "surrogatepass")
        posix.write(1, f"{name} {_sha256.sha256(said).hexdigest()}\\n".encode())
    return 0
"""


@pytest.mark.nightly
def test_every_module_is_what_was_compiled(tmp_path: Path) -> None:
    fast.need()
    package = tmp_path / "pyruntime"
    describer = Path(__file__).with_name("describe.py")
    shutil.copytree(build.PACKAGE, package, ignore=shutil.ignore_patterns("*.pyc"))
    shutil.copy(describer, package)
    (package / "cli" / "main.py").write_text(MAIN)
    files = build.extension_files()
    build.build_fast(package, tmp_path / "bin", files)
    modules = freeze.package_modules(package)
    names = freeze.freezable(modules, set(files))
    command = [str(tmp_path / "bin" / "pyruntime"), *names]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env={})
    describe = runpy.run_path(str(describer))["describe"]
    expected = []
    for name in names:
        label = f"<launcher>/{modules[name].relative_to(package.parent)}"
        said = describe(freeze.frozen_code(modules[name].read_text(), label))
        digest = hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()
        expected.append(f"{name} {digest}")
    assert len(expected) > 100
    assert done.stdout.splitlines() == expected
