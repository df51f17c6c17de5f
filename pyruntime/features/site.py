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
        "bundle", "container_id", "rootfs", "preserve_fds", "gaps", "activated", "inline", "terminal", "notify", "no_pivot", "root_alone", "root_places", "new_keyring",
        "capabilities", "last_capability", "layout", "cgroup_relative", "join_count", "lean", "machine",
        "first_fd", "handed", "root", "needs_procfs", "mount_ids", "joined", "created", "hook_state", "warnings", "notices", "environment", "open_files", "piped", "apparmor", "selinux", "mount_label",
        "cgroups", "cgroup_obstacle", "scope", "exec", "privileged", "may_nice", "affinity_chosen", "in_user_namespace", "unprivileged_user", "umask", "procfs_lent", "_procfs",
    )  # fmt: skip

    def __init__(
        self,
        bundle: str,
        container_id: str,
        rootfs: str,
        *,
        preserve_fds: int = 0,
        joining: bool = False,
    ) -> None:
        self.bundle, self.container_id, self.rootfs = bundle, container_id, rootfs
        self.preserve_fds = preserve_fds
        self.gaps: tuple[int, ...] = ()  # numbers of them that are free
        self.activated = 0  # how many of them come from socket activation
        self.inline = self.terminal = False  # inline, `run`: start follows over the socket
        self.notify, self.no_pivot = "", False  # notify: the state's directory for the word `ready`
        # / is an initramfs, into whose place nothing can be pivoted; what is mounted on /, to be detached
        self.root_alone, self.root_places = False, list[str]()
        self.new_keyring, self.machine = True, "x86_64"  # the machine as uname(2) names it
        self.capabilities, self.last_capability = (1 << 41) - 1, 40
        self.layout: Any = None
        self.cgroups = True  # the container gets groups of its own
        self.cgroup_obstacle: str | None = None  # why one who may be refused can make none for it
        self.scope: Any = None  # the systemd unit that will hold it, if one will
        self.cgroup_relative: dict[str, str] = {}
        self.join_count, self.lean = 0, False  # `tasks` files for the init; few descriptors: none
        self.first_fd = 3 + preserve_fds
        self.handed: list[str] = []
        self.exec = joining  # a process joins a container that exists
        self.root: Any = Reg("root") if joining else self.hand("root")
        self.privileged = True  # the host may clone mount trees
        self.may_nice = True  # CAP_SYS_NICE in the initial user namespace, where alone it counts
        self.affinity_chosen = False  # the document says on which CPUs a late process runs
        # The runtime is not in the initial user namespace; is not even uid 0 of another.
        self.in_user_namespace = self.unprivileged_user = False
        self.umask = 0o022  # unless the config names one
        self.apparmor = self.selinux = False  # known where a profile or label is asked for
        self.mount_label = ""  # of every file system made for the container that can carry one
        self._procfs: Any = None
        self.procfs_lent = -1  # the number of the host's own procfs in the init, if it is given
        self.needs_procfs = False
        # Destination, pointer, mount id: for the final check.
        self.mount_ids: list[tuple[str, str, Reg]] = []
        self.created: set[str] = set()  # namespaces made new
        self.joined: dict[str, str] = {}  # namespaces joined, with their paths
        self.hook_state: dict[str, Buffer] = {}
        self.warnings, self.notices = list[str](), list[str]()  # notices are for a debug log
        self.open_files: tuple[int, int] | None = None  # our limit, to be raised for many mounts
        self.piped: tuple[int, ...] = ()  # stdio.to_be_piped
        self.environment: Any = None  # program.environment_words

    def hand(self, name: str) -> int:
        """Reserves the number under which the init will see a descriptor the host opens."""
        self.handed.append(name)
        return self.first_fd + FIXED + len(self.handed) - 1

    def number_of(self, name: str) -> int:
        """Of a descriptor that was handed under that name."""
        return self.first_fd + FIXED + self.handed.index(name)

    @property
    def procfs(self) -> Any:
        """A procfs whose root nobody can mount over: our own, or the host's where ours cannot be made. In a user
        namespace the kernel refuses a new one while parts of the old are covered; of a container that exists a
        new mount would show less than what we ask for."""
        if self._procfs is None:
            self.needs_procfs = True
            if self.exec or self.has("user") or self.in_user_namespace:
                self.procfs_lent = self._procfs = self.hand("procfs")
            else:
                self._procfs = Reg("procfs")
        return self._procfs

    @property
    def staged(self) -> bool:
        """Spawn shape B: the namespaces are entered by the init, step by step, and not made by its clone."""
        return self.exec or self.has("user") or self.has("time") or "pid" in self.joined

    @property
    def may_mknod(self) -> bool:
        """Device nodes can only be made outside of user namespaces."""
        return self.privileged and not (self.has("user") or self.in_user_namespace)

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
