"""What the command line asks `create` and `run` for."""

from __future__ import annotations

from pyruntime.errors import WORDS, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyruntime.lib.log import Log
    from pyruntime.runtime.exec_process import ExecRequest


class CreateRequest:
    """Paths are as given: relative ones count from the working directory."""

    __slots__ = (
        "root",
        "container_id",
        "bundle",
        "console_socket",
        "pid_file",
        "pidfd_socket",
        "no_pivot",
        "no_new_keyring",
        "preserve_fds",
        "detach",
        "keep",
        "no_subreaper",
        "map_root_user",
        "cgroup_manager",
        "as_root",
        "log",
    )

    def __init__(
        self,
        root: str,
        container_id: str,
        bundle: str,
        *,
        log: Log,
        console_socket: str = "",
        pid_file: str = "",
        pidfd_socket: str = "",
        no_pivot: bool = False,
        no_new_keyring: bool = False,
        preserve_fds: int = 0,
        detach: bool = False,
        keep: bool = False,
        no_subreaper: bool = False,
        map_root_user: bool = False,
        cgroup_manager: str = "cgroupfs",
        as_root: bool = False,
    ) -> None:
        self.as_root = as_root  # planned for a caller with every right
        self.root = root
        self.container_id = container_id
        self.bundle = bundle
        self.log = log
        self.console_socket = console_socket
        self.pid_file = pid_file
        self.pidfd_socket = pidfd_socket
        self.no_pivot = no_pivot
        self.no_new_keyring = no_new_keyring
        self.preserve_fds = preserve_fds
        self.detach = detach
        self.keep = keep
        self.no_subreaper = no_subreaper
        self.map_root_user = map_root_user
        self.cgroup_manager = cgroup_manager


def check_terminal(request: CreateRequest | ExecRequest, *, asked: bool) -> None:
    """UsageError unless a terminal of a detached process has a console socket to go to, and no other has one."""
    if asked and request.detach and not request.console_socket:
        raise UsageError(WORDS["no console"])
    if request.console_socket and not (asked and request.detach):
        raise UsageError(WORDS["no terminal"])
