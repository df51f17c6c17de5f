"""System calls of the host's side that `posix` has no wrapper for. Failures raise KernelError."""

from __future__ import annotations

from errno import EACCES

from pyruntime.errors import KernelError
from pyruntime.kernel.native import ffi, lib


def _checked(value: int, call: str, path: str = "") -> int:
    if value < 0:
        raise KernelError(-value, call, path)
    return value


def _text(path: str) -> bytes:
    return path.encode("utf-8", "surrogateescape")


def sealed_memfd(name: str, data: bytes) -> int:
    """A memfd with these bytes that nobody can change any more; memfd_create(2), F_ADD_SEALS."""
    return _checked(lib.pr_sealed_memfd(_text(name), data, len(data), 0), "memfd_create")


def init_image() -> int:
    """The init's image as a sealed executable memfd (CVE-2019-5736), or where vm.memfd_noexec forbids that, as a file."""
    fd: int = lib.pr_init_memfd()
    if fd == -EACCES:
        from pyruntime.kernel import image_file

        return image_file.make()
    return _checked(fd, "memfd_create")


def spawn(
    namespaces: int, cgroup_fd: int, init_fd: int, fds: list[int], first: int
) -> tuple[int, int]:
    """Starts the init in new namespaces; `fds` become its descriptors first, first+1 … Returns (pid, pidfd)."""
    pidfd = ffi.new("int *", -1)
    pid = _checked(
        lib.pr_spawn(namespaces, cgroup_fd, init_fd, fds, len(fds), first, pidfd), "clone3"
    )
    return pid, pidfd[0]


def open_tree(fd: int, path: str, flags: int) -> int:
    return _checked(lib.pr_open_tree(fd, _text(path), flags), "open_tree", path)


def mount_setattr(
    fd: int, flags: int, set_: int = 0, clear: int = 0, propagation: int = 0, userns_fd: int = 0
) -> None:
    """What a descriptor stands for; the user namespace is that of MOUNT_ATTR_IDMAP."""
    result = lib.pr_mount_setattr(fd, flags, set_, clear, propagation, userns_fd)
    _checked(result, "mount_setattr")


def detached_tmpfs(attributes: int) -> int:
    """A tmpfs of the host's that is mounted nowhere, with these MOUNT_ATTR_*; fsmount(2)."""
    return _checked(lib.pr_tmpfs(attributes), "fsmount")


def detach(path: str) -> None:
    """Unmounts the mount at a path, and all beneath it, from the mount namespace; MNT_DETACH of umount2(2)."""
    _checked(lib.pr_umount(_text(path), lib.MNT_DETACH | lib.UMOUNT_NOFOLLOW), "umount2", path)


def fs_type(fd: int) -> int:
    """The magic number of the file system behind a descriptor; fstatfs(2)."""
    magic = ffi.new("uint64_t *")
    _checked(lib.pr_fs_type(fd, magic), "fstatfs")
    return int(magic[0])


def ns_type(fd: int) -> int:
    """The CLONE_NEW* flag of a namespace descriptor; ioctl_ns(2)."""
    return _checked(lib.pr_ns_type(fd), "ioctl(NS_GET_NSTYPE)")


class RawTerminal:
    """A terminal in raw mode, but for what is done to output, until `restore`; termios(3)."""

    __slots__ = ("fd", "_saved")

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._saved = ffi.new("char[]", 256)
        _checked(lib.pr_raw_terminal(fd, self._saved, 256), "tcsetattr")

    def again(self) -> None:
        """Raw once more, whatever others have made of it; `restore` is to how it was at first."""
        lib.pr_raw_terminal(self.fd, ffi.NULL, 0)

    def restore(self) -> None:
        lib.pr_restore_terminal(self.fd, self._saved)


def write_plain_newlines(master: int) -> None:
    """The pty adds no carriage return to a newline (ONLCR); termios(3)."""
    _checked(lib.pr_plain_newlines(master), "tcsetattr")


def copy_window_size(source: int, target: int) -> None:
    """The size of one terminal becomes that of another."""
    _checked(lib.pr_copy_window_size(source, target), "ioctl(TIOCSWINSZ)")


def set_subreaper(*, on: bool) -> None:
    """Orphans below us become our children; prctl(2) PR_SET_CHILD_SUBREAPER."""
    _checked(lib.pr_subreaper(int(on)), "prctl(PR_SET_CHILD_SUBREAPER)")


def permitted_capabilities() -> int:
    """Our own permitted set as a bit mask; capget(2)."""
    mask = ffi.new("uint64_t *")
    _checked(lib.pr_capabilities(mask), "capget")
    return int(mask[0])


def sched_setattr(pid: int, attributes: bytes) -> None:
    """The scheduling policy of a process, as a struct sched_attr; sched_setattr(2)."""
    room = ffi.new("char[]", attributes)  # the kernel answers in it where it knows a shorter one
    _checked(lib.pr_sched_setattr(pid, room), "sched_setattr")


def pidfd_getfd(pidfd: int, fd: int) -> int:
    """A copy of another process's descriptor; needs the right to trace it. pidfd_getfd(2)."""
    return _checked(lib.pr_pidfd_getfd(pidfd, fd), "pidfd_getfd")


def seccomp_knows(flags: int) -> bool:
    """Whether seccomp(2) of this kernel takes these SECCOMP_FILTER_FLAG_* together."""
    return bool(lib.pr_seccomp_knows(flags))


def close_on_exec_from(first: int) -> None:
    """Every descriptor from `first` on is closed by an execve; close_range(2) (CVE-2024-21626)."""
    _checked(lib.pr_cloexec_from(first), "close_range")
