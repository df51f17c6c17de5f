"""pyruntime/__main__.py: the command in the ordinary interpreter."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROBE = """
import sys, signal
sys.argv = ["pyruntime", "--probe"]
import types
fake = types.ModuleType("pyruntime.cli.main")
def main(argv):
    import posix
    words = [argv, posix.environ, signal.getsignal(signal.SIGPIPE), signal.getsignal(signal.SIGINT)]
    posix.write(1, repr([str(word) for word in words]).encode())
    return 300
fake.main = main
import pyruntime.cli
sys.modules["pyruntime.cli.main"] = fake
from pyruntime.__main__ import main
main()
"""


def test_status_signals_and_environment() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROBE],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={"LANG": "C"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's `&` ignores it
    )
    assert done.stdout == repr(
        ["['--probe']", "{b'LANG': b'C'}", str(signal.SIG_IGN), str(signal.SIG_DFL)]
    )
    assert done.returncode == 300 % 256


def test_modules_of_the_current_directory_do_not_run(tmp_path: Path) -> None:
    """R-32: `python -m pyruntime` is started in the bundle, too."""
    marker = tmp_path / "marker"
    for name in ("json", "errno", "fcntl", "select", "pyruntime_planted"):
        (tmp_path / f"{name}.py").write_text(f"open({str(marker)!r}, 'w')\n")
    command = [sys.executable, "-m", "pyruntime", "--version"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("pyruntime version ")
    assert not marker.exists()
