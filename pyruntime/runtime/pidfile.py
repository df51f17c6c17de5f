"""--pid-file: decimal digits without a newline, by a new name and rename, so that no link is followed (security: R-35)."""

from __future__ import annotations

import posix

from pyruntime.errors import StepError, strerror

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyruntime.runtime.host import Host

FLAGS = posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_NOFOLLOW | posix.O_CLOEXEC


def write_pid_file(path: str, pid: int, host: Host | None = None) -> None:
    """Relative paths count from the working directory. A creation that fails later removes the file again."""
    parent, _, name = path.rpartition("/")
    try:
        directory = posix.open(
            parent or ("/" if path[:1] == "/" else "."), posix.O_PATH | posix.O_DIRECTORY
        )
        try:
            temporary = f".{name}.{posix.urandom(8).hex()}"
            fd = posix.open(temporary, FLAGS, 0o644, dir_fd=directory)
            try:
                posix.write(fd, b"%d" % pid)
            finally:
                posix.close(fd)
            try:
                posix.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
            except OSError:
                posix.unlink(temporary, dir_fd=directory)
                raise
        finally:
            posix.close(directory)
    except OSError as error:
        raise StepError(f"write the pid file `{path}`: {strerror(error.errno or 0)}") from error
    if host is not None:
        host.push(lambda: _remove(path))


def _remove(path: str) -> None:
    try:
        posix.unlink(path)
    except FileNotFoundError:
        pass
