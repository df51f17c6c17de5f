"""The state on disk: one directory per container beneath the state root.

    lock by flock on the directory itself; the kernel drops it when its holder dies (while hooks run: interlude.py)
    state.json    the record (record.py), replaced atomically
    holdings      what outlives the process, one JSON line each, written before the thing exists (holdings.py)
    config.json   the configuration as it was read: later edits of the bundle's must not matter
    steps.json    what the init can still fail at after `start`: {tape index: [text, pointer]}
    start.fifo, report.fifo   between `start` and the waiting init

What steers root's kill and rmdir must be ours alone: the root belongs to us and is writable by nobody else, and
everything in it is reached by single names from descriptors, never through a link (security: R-33, R-48, R-51).
"""

from __future__ import annotations

import errno
import fcntl
import posix

from pyruntime import errors
from pyruntime.lib import files, jsondoor, proc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

    from pyruntime.plan.record import Record
    from pyruntime.spec.types import Config

DEFAULT_ROOT = "/run/pyruntime"
FORMAT = 1
MAX_RECORD_BYTES = 32 << 20  # the annotations of a config.json of the largest size, escaped
MAX_ID = 255
FIFOS = ("start.fifo", "report.fifo")
_DIRECTORY = posix.O_RDONLY | posix.O_DIRECTORY | posix.O_NOFOLLOW | posix.O_CLOEXEC
_ID_LETTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-.")
_TOMBSTONE = "~"  # no letter of an id
_STATUSES = ("creating", "created", "starting", "running")
FIELDS = (
    ("id", str), ("bundle", str), ("rootfs", str), ("created", str), ("bootId", str), ("ociVersion", str),
    ("pid", int), ("startTime", int), ("uid", int), ("annotations", dict), ("initExe", list), ("pidNamespace", bool),
)  # fmt: skip
LATER_FIELDS = ("pidfdInode", "clockOffset", "startedAfter")


def default_root() -> str:
    """/run/pyruntime, or beneath XDG_RUNTIME_DIR for an ordinary user.

    That is also who is root in a user namespace and does not call themselves so: rootless Podman calls us from
    inside one, with XDG_RUNTIME_DIR and nothing else in the environment.
    """
    user = posix.geteuid()
    if user == 0 and posix.environ.get(b"USER") == b"root":
        return DEFAULT_ROOT
    own = posix.environ.get(b"XDG_RUNTIME_DIR", b"").decode("utf-8", "surrogateescape")
    if own[:1] != "/" or (user == 0 and not proc.in_user_namespace()):
        return DEFAULT_ROOT
    # Run set-uid or set-gid, the environment is that of somebody else.
    if user != posix.getuid() or posix.getegid() != posix.getgid():
        return DEFAULT_ROOT
    return f"{own}/pyruntime"


def check_id(container_id: str) -> None:
    """An id is the name of a directory; runc's set of letters."""
    if not container_id:
        raise errors.ContainerError(container_id, "container id cannot be empty")
    if not is_id(container_id):
        raise errors.ContainerError(container_id, errors.WORDS["bad id"])


def is_id(name: str) -> bool:
    return _ID_LETTERS.issuperset(name) and name not in ("", ".", "..") and len(name) <= MAX_ID


class Store:
    """The state root. With `create` it is made if missing; else a missing one is an empty one."""

    __slots__ = ("path", "fd")

    def __init__(self, root: str, create: bool = False) -> None:
        self.path = root or default_root()
        if not self.path.strip("/."):
            raise errors.UsageError(f"--root `{self.path}`: the state needs a directory of its own")
        try:
            if create:
                files.make_directories(self.path)
            self.fd = _open_root(self.path, own=not root)
        except OSError as error:
            if error.errno == errno.ENOENT and not create:
                self.fd = -1
                return
            hint = None
            if not root and self.path == DEFAULT_ROOT and posix.geteuid():
                hint = "set XDG_RUNTIME_DIR, or pass --root DIR"
            raise _failed(f"state directory `{self.path}`", error, hint) from error

    def create(self, container_id: str) -> Entry:
        """A new container's directory, locked; ContainerExists if there is one."""
        check_id(container_id)
        while True:
            try:
                files.make_directory(container_id, self.fd)
            except FileExistsError:
                raise errors.ContainerExists(container_id) from None
            except OSError as error:
                raise _failed(f"make the state of `{container_id}`", error) from error
            try:
                return self._open_new(container_id)
            except errors.NoSuchContainer:
                continue  # a `delete` came between and took the empty directory away

    def _open_new(self, container_id: str) -> Entry:
        entry: Entry | None = None
        try:
            entry = self.open(container_id)
            entry.lock()
            if not posix.listdir(entry.fd):
                return entry
        except errors.NoSuchContainer:
            raise
        except BaseException as error:
            posix.rmdir(container_id, dir_fd=self.fd)  # which takes what is empty alone
            if isinstance(error, OSError):
                raise _failed(f"make the state of `{container_id}`", error) from error
            raise
        # A `delete` took our empty directory away, and this one is another create's.
        entry.close()
        raise errors.ContainerExists(container_id)

    def open(self, container_id: str) -> Entry:
        """A container's directory, not locked; NoSuchContainer if there is none."""
        check_id(container_id)
        if self.fd < 0:
            raise errors.NoSuchContainer(container_id)
        try:
            fd = posix.open(container_id, _DIRECTORY, dir_fd=self.fd)
        except FileNotFoundError:
            raise errors.NoSuchContainer(container_id) from None
        except OSError as error:
            raise errors.ContainerError(
                container_id, f"state of `{container_id}`: {errors.strerror(error.errno or 0)}"
            ) from error
        return Entry(self, container_id, fd)

    def ids(self) -> list[str]:
        """Every name that is a container's, sorted."""
        return sorted(filter(is_id, posix.listdir(self.fd))) if self.fd >= 0 else []

    def sweep(self) -> None:
        """Removes what an interrupted delete left: directories that lost their name."""
        if self.fd >= 0:
            files.remove_directories(self.fd, _TOMBSTONE)


def _failed(what: str, error: OSError, hint: str | None = None) -> errors.StepError:
    number = error.errno or 0
    return errors.StepError(what, errno=number, hint=hint)


def _open_root(path: str, *, own: bool) -> int:
    """`own`: not chosen by the caller but default_root()."""
    fd = posix.open(path, _DIRECTORY)
    try:
        if not _is_ours(posix.fstat(fd)):
            raise errors.UsageError(
                f"state directory `{path}`: others than its user may write to it or own it",
                hint="its files decide which processes kill and delete act on: pass another --root, or chown it and chmod go-w",
            )
        if own and path != DEFAULT_ROOT:
            _check_runtime_directory(path.rpartition("/")[0])
            posix.fchmod(fd, 0o1700)  # sticky, or session managers would clean it of what is old
    except BaseException:
        posix.close(fd)
        raise
    return fd


def _is_ours(facts: posix.stat_result) -> bool:
    return facts.st_uid == posix.geteuid() and not facts.st_mode & 0o022


def _check_runtime_directory(path: str) -> None:
    """Who may rename our directory in it could put another one in its place."""
    if not _is_ours(posix.stat(path)):
        raise errors.UsageError(
            f"XDG_RUNTIME_DIR `{path}`: others than its user may write to it or own it",
            hint="su and sudo may keep the one of their caller: set it to a directory of your own, or give --root",
        )


def _are_groups(kept: Any) -> bool:
    """None, or what pyruntime.cgroup keeps, as far as its readers rely on it."""
    if kept is None:
        return True
    groups = kept.get("groups") if isinstance(kept, dict) and "mode" in kept else None
    return isinstance(groups, dict) and all(
        row.__class__ is list and [part.__class__ for part in row] == [str, str, int]
        for row in groups.values()
    )


class Entry:
    """One container's directory. `with entry:` gives the lock back at the end; the descriptor stays."""

    __slots__ = ("store", "id", "fd", "locked", "held_fd")

    def __init__(self, store: Store, container_id: str, fd: int) -> None:
        self.store = store
        self.id = container_id
        self.fd = fd
        self.locked = False
        self.held_fd = -1

    def __enter__(self) -> Entry:
        return self

    def __exit__(self, *_: object) -> None:
        self.unlock()

    @property
    def path(self) -> str:
        return f"{self.store.path}/{self.id}"

    def close(self) -> None:
        for fd in (self.fd, self.held_fd):
            if fd >= 0:
                posix.close(fd)
        self.fd, self.held_fd, self.locked = -1, -1, False

    def lock(self) -> None:
        """Waits for the other verbs that change this container. Afterwards it is still the one by that name."""
        if self.locked:
            return
        fcntl.flock(self.fd, fcntl.LOCK_EX)
        self.locked = True
        if self.held_fd >= 0:
            posix.close(self.held_fd)
            self.held_fd = -1
        try:
            named = posix.stat(self.id, dir_fd=self.store.fd, follow_symlinks=False)
        except FileNotFoundError:
            raise errors.NoSuchContainer(self.id) from None
        ours = posix.fstat(self.fd)
        if (named.st_dev, named.st_ino) != (ours.st_dev, ours.st_ino):
            raise errors.NoSuchContainer(self.id)

    def unlock(self) -> None:
        if self.locked:
            self.locked = False
            fcntl.flock(self.fd, fcntl.LOCK_UN)

    def is_locked_by_another(self) -> bool:
        """Whether some verb changes this container right now."""
        if self.locked:
            return False
        try:
            fcntl.flock(self.fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        fcntl.flock(self.fd, fcntl.LOCK_UN)
        return False

    def read_record(self) -> Record:
        """The record, proved to be sound; ContainerError says what is wrong with it."""
        try:
            record = jsondoor.loads(files.read_file("state.json", MAX_RECORD_BYTES, self.fd))
        except FileNotFoundError:
            raise errors.NoSuchContainer(self.id) from None
        except jsondoor.JsonError as error:
            self._damaged(f"not JSON: {error}")
        except OSError as error:
            raise errors.unreadable(self.id, f"{self.path}/state.json", error) from error
        if not isinstance(record, dict):
            self._damaged("not an object")
        found = record.get("format")
        if found != FORMAT:
            self._refuse_foreign(found)
        for name, kind in FIELDS:
            if record.get(name).__class__ is not kind:
                self._damaged(f"`{name}` is missing or wrong")
        if record["id"] != self.id:
            self._damaged("it is another container's")
        for name in LATER_FIELDS:
            if record.get(name, 0).__class__ is not int:
                self._damaged(f"`{name}` is wrong")
        if not _are_groups(record.get("cgroup")):
            self._damaged("`cgroup` is wrong")
        if record.get("status") not in _STATUSES:
            self._damaged("`status` is missing or wrong")
        if record["pid"] != 0 and not 1 < record["pid"] < 1 << 22:
            self._damaged("`pid` is not a process")
        return record  # type: ignore[return-value]  # proved above

    def _refuse_foreign(self, version: Any) -> NoReturn:
        """Not of this version, or another program's, unless what we had made is listed beside it."""
        if version.__class__ is int:
            known = "of a newer version"
        elif posix.access("holdings", posix.F_OK, dir_fd=self.fd, follow_symlinks=False):
            self._damaged("`format` is missing or wrong")
        else:
            known = "not pyruntime's"
        raise errors.StateError(self.id, f"the state in {self.path} is {known}", foreign=True)

    def _damaged(self, why: str) -> NoReturn:
        raise errors.StateError(self.id, f"{self.path}/state.json is damaged: {why}")

    def write_record(self, record: Record) -> None:
        self._write(files.write_atomic, "state.json", record)

    def note(self, holding: dict[str, Any]) -> None:
        """Writes down what is about to outlive this process, before it exists."""
        self._write(files.append, "holdings", {**holding, "id": self.id}, b"\n")

    def _write(self, how: Callable[..., Any], name: str, document: Any, end: bytes = b"") -> Any:
        """StepError names the file, of whose making not every system call speaks."""
        data = document
        if not isinstance(data, bytes):
            data = jsondoor.dumps(document).encode("utf-8", "surrogateescape") + end
        try:
            return how(self.fd, name, data)
        except OSError as error:
            raise _failed(f"write {self.path}/{name}", error) from error

    def save_config(self, data: bytes) -> None:
        """The bytes as they were read from the bundle."""
        self._write(files.write_new, "config.json", data)

    def next_config(self, config: Config) -> files.Replacement:
        """Around a change of the container itself, that is by `update`."""
        return self._write(files.Replacement, "config.json", config)  # type: ignore[no-any-return]

    def config_bytes(self) -> bytes:
        return files.read_file("config.json", MAX_RECORD_BYTES, self.fd)

    def has_hooks(self, kind: str, data: bytes | None = None) -> bool:
        """Whether config() may hold hooks of a kind: a look at its bytes spares most verbs the parsing."""
        data = self.config_bytes() if data is None else data
        return f'"{kind}"'.encode() in data or b"\\u" in data  # a key may be written with escapes

    def config(self) -> Config:
        return self._document("config.json", self.config_bytes())  # type: ignore[no-any-return]

    def _document(self, name: str, data: bytes) -> Any:
        try:
            found = jsondoor.loads_spec(data)
            why = "" if isinstance(found, dict) else "not an object"
        except jsondoor.JsonError as error:
            found, why = None, str(error)
        if not isinstance(found, dict):
            raise errors.StateError(self.id, f"{self.path}/{name} is damaged: {why}")
        return found

    def save_steps(self, steps: dict[str, list[str]]) -> None:
        """{tape index: [text, pointer]} of what may still fail after `start`."""
        self._write(files.write_new, "steps.json", steps)

    def steps(self) -> dict[str, list[str]]:
        try:
            data = files.read_file("steps.json", MAX_RECORD_BYTES, self.fd)
        except FileNotFoundError:
            return {}
        return self._document("steps.json", data)  # type: ignore[no-any-return]

    def make_fifos(self) -> tuple[int, int]:
        """(start, report) for the init, each open for both ways, so that neither ever blocks on opening."""
        flags = posix.O_RDWR | posix.O_CLOEXEC | posix.O_NOFOLLOW
        umask = posix.umask(0o077)
        try:
            for name in FIFOS:
                posix.mkfifo(name, 0o600, dir_fd=self.fd)
            start = posix.open(FIFOS[0], flags, dir_fd=self.fd)
            try:
                return start, posix.open(FIFOS[1], flags, dir_fd=self.fd)
            except OSError:
                posix.close(start)
                raise
        except OSError as error:
            raise _failed(f"make {self.path}/{FIFOS[0]} and {FIFOS[1]}", error) from error
        finally:
            posix.umask(umask)

    def remove_fifos(self) -> None:
        for name in FIFOS:
            files.remove_file(self.fd, name)

    def remove(self) -> None:
        """The name first: the id is free, and nobody finds half a container. Then the files, without a new descriptor."""
        tombstone, root_fd = f"{_TOMBSTONE}{posix.urandom(8).hex()}", self.store.fd
        try:
            posix.rename(self.id, tombstone, src_dir_fd=root_fd, dst_dir_fd=root_fd)
        except FileNotFoundError:
            return
        try:
            files.clear_directory(self.fd)
            posix.rmdir(tombstone, dir_fd=root_fd)
        except FileNotFoundError:
            pass  # another process was at the same
        self.store.sweep()
