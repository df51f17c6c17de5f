"""--pid-file: decimal digits without a newline, by a new name and rename, so that no link is followed (security: R-35)."""

from __future__ import annotations

import posix

from pyruntime.errors import StepError
from pyruntime.lib.files import S_IFDIR, S_IFMT, S_IFREG, S_IFSOCK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyruntime.runtime.host import Host

FLAGS = posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_NOFOLLOW | posix.O_CLOEXEC


def write_pid_file(path: str, pid: int, host: Host | None = None) -> None:
    """Relative paths count from the working directory. A creation that fails later removes the file again. What is no
    file, such as /dev/stdout, a device or a socket, is written into and stays."""
    try:
        if _is_special(path):
            _write_into(path, b"%d" % pid)
            return
        _replace(path, b"%d" % pid)
    except OSError as error:
        raise StepError(f"write the pid file `{path}`", errno=error.errno or 0) from error
    if host is not None:
        host.push(lambda: _remove(path))


def _is_special(path: str) -> bool:
    try:
        return posix.stat(path).st_mode & S_IFMT not in (S_IFREG, S_IFDIR)
    except OSError:
        return False


def _write_into(path: str, digits: bytes) -> None:
    if posix.stat(path).st_mode & S_IFMT == S_IFSOCK:
        from pyruntime.runtime.console import connect

        sock = connect(path)
        try:
            sock.sendall(digits)
        finally:
            sock.close()
        return
    fd = posix.open(path, posix.O_WRONLY | posix.O_NONBLOCK | posix.O_NOCTTY | posix.O_CLOEXEC)
    try:
        posix.write(fd, digits)
    finally:
        posix.close(fd)


def _replace(path: str, digits: bytes) -> None:
    parent, _, name = path.rpartition("/")
    directory = posix.open(
        parent or ("/" if path[:1] == "/" else "."), posix.O_PATH | posix.O_DIRECTORY
    )
    try:
        temporary = f".{name}.{posix.urandom(8).hex()}"
        fd = posix.open(temporary, FLAGS, 0o644, dir_fd=directory)
        try:
            posix.write(fd, digits)
        finally:
            posix.close(fd)
        try:
            posix.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
        except OSError:
            posix.unlink(temporary, dir_fd=directory)
            raise
    finally:
        posix.close(directory)


def _remove(path: str) -> None:
    try:
        posix.unlink(path)
    except FileNotFoundError:
        pass
