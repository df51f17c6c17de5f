"""vm.memfd_noexec = 2 (Linux 6.3): no memfd may be executed, and containers run all the same."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.lib import programs
from tests.lib.box import Box, unique_id
from tests.lib.bundle import Bundle
from tests.lib.ordinary_user import Person, rootless

SYSCTL = Path("/proc/sys/vm/memfd_noexec")
# The value is a pid namespace's own, and may only be raised.
HARDEN = 'echo 2 > /proc/sys/vm/memfd_noexec && exec "$@"'
HARDENED = ["unshare", "--pid", "--fork", "--mount-proc", "sh", "-c", HARDEN, "sh"]

pytestmark = pytest.mark.skipif(not SYSCTL.exists(), reason="this kernel has no vm.memfd_noexec")


def test_it_holds_here() -> None:
    script = "import os; os.memfd_create('x', 0x10)"  # MFD_EXEC
    done = subprocess.run(
        [*HARDENED, "/usr/bin/python3", "-c", script], capture_output=True, check=False
    )
    assert b"Permission denied" in done.stderr


def test_run(bundle: Bundle) -> None:
    with Box(bundle.inside("echo", "runs")) as box:
        box.wrap = HARDENED
        assert "runs" in box.run(check=True).out.split()
        box.wrap = []


def test_run_of_an_ordinary_user(person: Person) -> None:
    name = unique_id()
    bundle = rootless(person.bundle().inside("echo", "runs"), person, person.single)
    bundle.write(name)
    ids = [f"--reuid={person.uid}", f"--regid={person.uid}", "--clear-groups"]
    words = [*programs.runtime_command(), "--root", str(person.home / "state"), "run"]
    words = [*HARDENED, "setpriv", *ids, *words, "--bundle", str(bundle.directory), name]
    done = subprocess.run(words, env=person.env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.split()) == (0, ["runs"]), done.stderr


WRITE = """
runtime=$1 root=$2 bundle=$3 id=$4
"$runtime" --root "$root" create --bundle "$bundle" "$id" </dev/null || exit 3
pid=$("$runtime" --root "$root" state "$id" | sed -n 's/.*"pid": \\([0-9]*\\).*/\\1/p')
echo spoiled > "/proc/$pid/exe" && exit 4
"$runtime" --root "$root" delete --force "$id"
"""


def test_nobody_can_write_to_the_init(bundle: Bundle, tmp_path: Path) -> None:
    """CVE-2019-5736, of root and while nothing runs it yet: the file system itself is read-only."""
    name = unique_id()
    bundle.inside("pause").write(name)
    words = [*programs.runtime_command(), str(tmp_path / "root"), str(bundle.directory), name]
    done = subprocess.run(
        [*HARDENED, "sh", "-c", WRITE, "sh", *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Read-only file system" in done.stderr
