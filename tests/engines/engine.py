"""Podman and containerd with everything of their own: storage, state, sockets and cgroups of this run alone."""

from __future__ import annotations

import errno
import os
import select
import shutil
import signal
import subprocess
import time
from pathlib import Path

from tests.engines import image
from tests.lib import fixtures, programs
from tests.lib.patience import scaled

PATIENCE_S = scaled(60)
CGROUPS = Path("/sys/fs/cgroup")
# Rlimits as an unprivileged machine allows them: without CAP_SYS_RESOURCE Podman's own defaults cannot be set.
PODMAN_CONF = """
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime_supports_json = ["{name}"]
[engine.runtimes]
{name} = ["{path}"]
"""
CONTAINERD_CONF = """
version = 2
root = "{directory}/root"
state = "{directory}/state"
disabled_plugins = [
    "io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt",
    "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
    "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
]
[grpc]
address = "{directory}/socket"
[ttrpc]
address = "{directory}/ttrpc"
"""


def need(program: str, package: str) -> str:
    path = shutil.which(program)
    if path is None:
        raise programs.MissingProgram(f"{program} is not there (Debian: {package})")
    return path


def runtime_executable(directory: Path) -> Path:
    """Engines take one path and no arguments: $RUNTIME of several words gets a script around it."""
    words = programs.runtime_command()
    if len(words) == 1:
        return Path(words[0])
    script = directory / programs.runtime_name()
    quoted = " ".join(f"'{word}'" for word in words)
    script.write_text(f'#!/bin/sh\nexec {quoted} "$@"\n')
    script.chmod(0o755)
    return script


def remove_groups(parent: str) -> None:
    """Engines leave their parent group; only rmdir is used, so nothing that is in use can go. What they start for
    tidying up may still be there for a moment."""
    deadline = time.monotonic() + PATIENCE_S
    for hierarchy in [CGROUPS] if fixtures.cgroup_layout() == "v2" else CGROUPS.iterdir():
        for directory, _, _ in os.walk(hierarchy / parent, topdown=False):
            while not _removed(directory):
                assert time.monotonic() < deadline, f"{directory} is still in use"
                select.select([], [], [], 0.02)


def _removed(directory: str) -> bool:
    try:
        Path(directory).rmdir()
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        return False
    return True


class Engine:
    """`run(words)` drives the engine's own command line."""

    command: list[str]

    def __init__(self, directory: Path, parent: str) -> None:
        self.directory = directory
        self.parent = parent
        self.runtime = runtime_executable(directory)
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(directory)}
        for name in ("XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"):
            if name in os.environ and os.geteuid():
                self.environment[name] = os.environ[name]

    def run(self, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        # Its own session and SIGKILL at the end: these programs hand SIGTERM on to the container and live on.
        return subprocess.run(
            [*self.command, *words],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            env=self.environment,
            start_new_session=True,
            check=False,
        )

    def ok(self, *words: str, stdin: str = "") -> str:
        done = self.run(*words, stdin=stdin)
        assert done.returncode == 0, f"{words}: {done.returncode}: {done.stderr}{done.stdout}"
        return done.stdout

    def until(self, word: str, *query: str) -> None:
        """What a container writes, and its end, reach the engine a little later: asked until it is there."""
        deadline = time.monotonic() + PATIENCE_S
        while word not in (said := self.ok(*query)):
            select.select([], [], [], 0.02)
            assert time.monotonic() < deadline, f"{query} never said {word}: {said}"

    def until_it_answers(self, daemon: subprocess.Popen[bytes], socket: Path, query: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not socket.exists() or self.run(query).returncode:
            ended = daemon.poll()
            if ended is not None or time.monotonic() > deadline:
                said = (self.directory / "log").read_text()[-1000:]
                raise AssertionError(f"the daemon did not come up ({ended}): {said}")
            select.select([], [], [], 0.05)

    def on_terminal(self, *words: str) -> tuple[int, str]:
        """The same on a terminal of its own: status and what appeared there."""
        master, slave = os.openpty()
        process = subprocess.Popen(
            [*self.command, *words],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=self.environment,
            start_new_session=True,
        )
        os.close(slave)
        seen = b""
        deadline = time.monotonic() + PATIENCE_S
        try:
            while select.select([master], [], [], deadline - time.monotonic())[0]:
                try:
                    piece = os.read(master, 4096)
                except OSError:  # EIO: nobody has the other end any more
                    break
                if not piece:
                    break
                seen += piece
            return process.wait(PATIENCE_S), seen.decode()
        finally:
            process.kill()
            process.wait()
            os.close(master)


class Podman(Engine):
    def __init__(self, directory: Path, parent: str) -> None:
        super().__init__(directory, parent)
        name = self.runtime.name
        conf = directory / "containers.conf"
        conf.write_text(PODMAN_CONF.format(name=name, path=self.runtime))
        self.environment["CONTAINERS_CONF"] = str(conf)
        folders = [f"--root={directory}/store", f"--runroot={directory}/run"]
        self.base = [need("podman", "podman"), *folders, f"--tmpdir={directory}/tmp"]
        self.base += ["--storage-driver=vfs", "--cgroup-manager=cgroupfs"]
        self.command = [*self.base, f"--runtime={self.runtime}"]
        self.ok("load", "--input", str(image.write(directory / "image.tar")))
        # There is no network to give: names and addresses are not what is tested here.
        self.usual = ["--network=none"]
        if os.geteuid() == 0:  # an ordinary user has no parent to name
            self.usual.append(f"--cgroup-parent=/{parent}")

    def by_name(self) -> None:
        """Named as in the configuration: then errors come through --log and not through stderr."""
        self.command = [*self.base, f"--runtime={self.runtime.name}"]

    def by_path(self) -> None:
        self.command = [*self.base, f"--runtime={self.runtime}"]

    def container(self, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return self.run("run", "--rm", *self.usual, *words, stdin=stdin)

    def close(self) -> None:
        self.run("rm", "--force", "--all", "--time=0")
        if os.geteuid():  # ends the process that keeps the user's namespaces
            self.run("system", "migrate")


class Containerd(Engine):
    """A daemon of this run alone; `ctr` is its command line."""

    def __init__(self, directory: Path, parent: str, umask: int = 0o022) -> None:
        super().__init__(directory, parent)
        self.address = f"{directory}/socket"
        conf = directory / "config.toml"
        conf.write_text(CONTAINERD_CONF.format(directory=directory))
        self.log = (directory / "log").open("w")
        self.daemon = subprocess.Popen(
            [need("containerd", "containerd"), "--config", str(conf)],
            stdout=self.log,
            stderr=self.log,
            env=self.environment,
            umask=umask,
        )
        self.command = [need("ctr", "containerd"), f"--address={self.address}"]
        self.until_it_answers(self.daemon, Path(self.address), "version")
        self.ok(
            "images", "import", "--snapshotter=native", str(image.write(directory / "image.tar"))
        )
        self.usual = ["--snapshotter=native", f"--runc-binary={self.runtime}"]
        self.usual += [f"--runc-root={directory}/runc", f"--fifo-dir={directory}/fifo"]

    def words(self, name: str, *words: str, options: tuple[str, ...] = ("--rm",)) -> list[str]:
        own = [*options, *self.usual, f"--cgroup=/{self.parent}/{name}"]
        return ["run", *own, image.NAME, name, *words]

    def container(self, name: str, *words: str) -> subprocess.CompletedProcess[str]:
        return self.run(*self.words(name, *words))

    def close(self) -> None:
        for name in self.ok("task", "list", "--quiet").split():
            self.run("task", "delete", "--force", name)
        for name in self.ok("container", "list", "--quiet").split():
            self.run("container", "delete", name)
        self.daemon.terminate()
        self.daemon.wait(PATIENCE_S)
        self.log.close()
        for pid in self._shims():
            os.kill(pid, signal.SIGKILL)

    def _shims(self) -> list[int]:
        """Shims outlive their daemon by design; only those that name our socket are meant."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if self.address.encode() in words:
                found.append(int(entry.name))
        return found
