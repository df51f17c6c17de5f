"""Facts a plan may depend on, and the things its features share: numbers of handed descriptors, registers, lists.

A Site is filled by the conductor before planning; planning only reads facts and reserves numbers, so tests make one
by hand. Descriptors handed to the init have fixed numbers: the tape, the socket, the two fifos, then one per
`hand()` call, all from `first_fd` on; below lie stdio and --preserve-fds.
"""

from __future__ import annotations

from pyruntime.plan.step import Buffer, Reg

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

FIXED = 4
"""Descriptors every init gets: tape, socket, start, report."""


class Site:
    """What is known of host, bundle and command line."""

    __slots__ = (
        "bundle", "container_id", "rootfs", "preserve_fds", "activated", "inline", "terminal", "no_pivot", "new_keyring",
        "capabilities", "last_capability", "layout", "cgroup_relative", "join_count", "machine",
        "first_fd", "handed", "root", "procfs", "needs_procfs", "mount_ids", "joined", "joined_fds", "created", "hook_state",
        "warnings", "in_user_namespace", "privileged",
    )  # fmt: skip

    def __init__(
        self, bundle: str, container_id: str, rootfs: str, *, preserve_fds: int = 0
    ) -> None:
        self.bundle = bundle
        self.container_id = container_id
        self.rootfs = rootfs
        self.preserve_fds = preserve_fds
        self.activated = 0  # how many of them come from socket activation
        self.inline = False  # `run`: start follows in the same process, over the socket
        self.terminal = False
        self.no_pivot = False
        self.new_keyring = True
        self.capabilities = (1 << 41) - 1
        self.last_capability = 40
        self.layout: Any = None
        self.cgroup_relative: dict[str, str] = {}
        self.join_count = 0
        self.machine = "x86_64"  # as uname(2) names it
        self.first_fd = 3 + preserve_fds
        self.handed: list[str] = []
        self.root = self.hand("root")
        self.procfs = Reg("procfs")
        self.needs_procfs = False
        self.mount_ids: list[
            tuple[str, str, Reg]
        ] = []  # destination, pointer, mount id: for the final check
        self.created: set[str] = set()  # namespaces made new
        self.joined: dict[str, str] = {}  # namespaces joined, with their paths
        self.joined_fds: dict[str, int] = {}  # the numbers of their descriptors in the init
        self.hook_state: dict[str, Buffer] = {}
        self.warnings: list[str] = []
        self.in_user_namespace = False
        self.privileged = True

    def hand(self, name: str) -> int:
        """Reserves the number under which the init will see a descriptor the host opens."""
        self.handed.append(name)
        return self.first_fd + FIXED + len(self.handed) - 1

    @property
    def socket_fd(self) -> int:
        return self.first_fd + 1

    @property
    def start_fd(self) -> int:
        return self.socket_fd if self.inline else self.first_fd + 2

    @property
    def report_fd(self) -> int:
        return self.socket_fd if self.inline else self.first_fd + 3

    @property
    def sweep_fd(self) -> int:
        """The first descriptor the waiting init may not have."""
        return self.first_fd + FIXED

    def has(self, namespace: str) -> bool:
        """The container has this namespace for itself or shares a chosen one, not the runtime's."""
        return namespace in self.created or namespace in self.joined
