"""`make bare`: a command in a bare Debian, by default the README's two commands and what follows from them.

    make bare                         Debian 12: .ci/tier bare
    make bare SUITE=trixie            Debian 13; `sid` has the newest Python
    make bare BARE="make run"         another command, in a clone at /root/pyruntime
    make bare BARE=bash               a shell there

The system is made by mmdebstrap: minbase, git, make, python3, ca-certificates, nothing else. The command runs as root
in mount, pid and uts namespaces of its own and reaches /proc, /sys, /dev and the network as on this machine. The clone is
that of the last commit, with uncommitted changes put on top. The base system and downloaded packages are kept in
$BARE_CACHE (build/bare of this tree); the system itself is removed afterwards.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bare import host
from tests.lib import debian

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parent.parent
PACKAGES = ("git", "make", "python3", "ca-certificates")
CLONE = "/root/pyruntime"
MARK = "etc/pyruntime-bare"
"""Scripts that purge packages or make users ask for this file first."""
BASE_AGE_S = 7 * 24 * 3600
# Kept between runs: (directory of the cache, where it is in the system). Downloads are each suite's own.
KEPT = (
    ("{suite}/archives", "/var/cache/apt/archives"),
    ("{suite}/lists", "/var/lib/apt/lists"),
    ("pip", "/root/.cache/pip"),
    ("vm", "/var/cache/pyruntime-vm"),
)


def say(text: str) -> None:
    print(f"bare: {text}", file=sys.stderr, flush=True)


def cache() -> Path:
    """$BARE_CACHE, or build/bare of this tree."""
    return Path(os.environ.get("BARE_CACHE") or PROJECT / "build/bare").resolve()


def base(suite: str) -> Path:
    """The archive of the bare system, made if there is none or only an old one."""
    made_from = hashlib.sha256(f"{PACKAGES} {debian.sources(suite)}".encode()).hexdigest()[:12]
    archive = cache() / suite / f"base-{made_from}.tar"
    if archive.exists() and time.time() - archive.stat().st_mtime < BASE_AGE_S:
        return archive
    started = time.monotonic()
    say(f"making a bare {suite} from Debian packages (about 20 s)")
    archive.parent.mkdir(parents=True, exist_ok=True)
    fresh = archive.with_name(f"making-{os.getpid()}.tar")
    try:
        debian.make_root(suite, fresh, PACKAGES, archive.with_name("log"))
        fresh.rename(archive)
    finally:
        fresh.unlink(missing_ok=True)
    say(f"made in {time.monotonic() - started:.0f} s")
    return archive


def git(directory: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(directory), *words], capture_output=True, text=True, check=True
    )
    return done.stdout


def clone(root: Path) -> None:
    """As a newcomer has it; what is not committed yet becomes a commit there."""
    target = root / CLONE.lstrip("/")
    git(PROJECT, "clone", "--quiet", "--no-hardlinks", str(PROJECT), str(target))
    changed = git(PROJECT, "ls-files", "-z", "--others", "--exclude-standard").split("\0")
    changed += git(PROJECT, "diff", "-z", "--name-only", "HEAD").split("\0")
    changed = sorted(set(filter(None, changed)))
    if not changed:
        return
    for name in changed:
        (target / name).unlink(missing_ok=True)
        if os.path.lexists(PROJECT / name):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(PROJECT / name, target / name, follow_symlinks=False)
    git(target, "add", "--all")
    nobody = ["-c", "user.name=nobody", "-c", "user.email=nobody@localhost"]
    git(target, *nobody, "commit", "--quiet", "--message", "uncommitted changes")
    say(f"with uncommitted changes in {len(changed)} files")


@contextmanager
def system(suite: str) -> Iterator[tuple[Path, Path]]:
    """(root file system, list of what is shown in it); removed at the end."""
    archive = base(suite)
    with tempfile.TemporaryDirectory(prefix=f"{suite}-", dir=cache()) as scratch:
        root, shown = Path(scratch, "root"), Path(scratch, "shown")
        root.mkdir()
        subprocess.run(["tar", "-xf", str(archive), "-C", str(root)], check=True)
        (root / MARK).touch()
        lines = [f"ro {path} {path}" for path in host.bring(root)]
        for kept, place in KEPT:
            directory = cache() / kept.format(suite=suite)
            directory.mkdir(parents=True, exist_ok=True)
            lines.append(f"rw {directory} {place}")
        shown.write_text("".join(f"{line}\n" for line in lines))
        clone(root)
        yield root, shown


def run(suite: str, command: list[str]) -> int:
    env = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/root",
        "LANG": "C.UTF-8",
        "VM_CACHE": "/var/cache/pyruntime-vm",
        **host.environment(os.environ),
    }
    namespaces = ["unshare", "--mount", "--pid", "--uts", "--fork", "--kill-child"]
    with system(suite) as (root, shown):
        started = time.monotonic()
        say(f"{suite}: {shlex.join(command)}")
        words = [*namespaces, str(HERE / "enter"), str(root), str(shown), *command]
        status = subprocess.run(words, env=env, check=False).returncode
        say(f"{suite}: ended with {status} after {time.monotonic() - started:.0f} s")
    return status


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.bare", add_help=True)
    parser.add_argument("--suite", default="bookworm", help="bookworm, trixie or sid")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="default: .ci/tier bare")
    options = parser.parse_args()
    command = [word for word in options.command if word != "--"] or [".ci/tier", "bare"]
    if os.geteuid() != 0:
        say("a bare system is made by root")
        return 1
    try:
        return run(options.suite, command)
    except (debian.DebianError, OSError, subprocess.CalledProcessError) as error:
        say(f"no bare {options.suite} can be made here: {error}")
        return 1


if __name__ == "__main__":
    sys.exit(main())
