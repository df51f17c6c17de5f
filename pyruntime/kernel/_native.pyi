"""Made by native/shim/build.py: the functions of shim.h and the numbers it takes from headers."""

# fmt: off
from typing import Any

ffi: Any

class Library:
    AF_INET: int
    AF_NETLINK: int
    AT_EMPTY_PATH: int
    AT_FDCWD: int
    AT_RECURSIVE: int
    AT_SYMLINK_NOFOLLOW: int
    CAP_NET_ADMIN: int
    CAP_SETGID: int
    CAP_SETUID: int
    CAP_SYS_ADMIN: int
    CAP_SYS_NICE: int
    CAP_SYS_PTRACE: int
    CLOCK_BOOTTIME: int
    CLOCK_MONOTONIC: int
    CLONE_NEWCGROUP: int
    CLONE_NEWIPC: int
    CLONE_NEWNET: int
    CLONE_NEWNS: int
    CLONE_NEWPID: int
    CLONE_NEWTIME: int
    CLONE_NEWUSER: int
    CLONE_NEWUTS: int
    CLOSE_RANGE_CLOEXEC: int
    DEVPTS_SUPER_MAGIC: int
    FSCONFIG_CMD_CREATE: int
    FSCONFIG_CMD_RECONFIGURE: int
    FSCONFIG_SET_FLAG: int
    FSCONFIG_SET_STRING: int
    FSMOUNT_CLOEXEC: int
    FSOPEN_CLOEXEC: int
    FSPICK_CLOEXEC: int
    FSPICK_EMPTY_PATH: int
    IFF_UP: int
    IN_CLOSE_NOWRITE: int
    IN_CREATE: int
    IN_DELETE: int
    IN_MOVED_FROM: int
    IN_MOVED_TO: int
    IN_ONLYDIR: int
    IN_Q_OVERFLOW: int
    IOPRIO_CLASS_BE: int
    IOPRIO_CLASS_IDLE: int
    IOPRIO_CLASS_RT: int
    IOPRIO_CLASS_SHIFT: int
    IOPRIO_WHO_PROCESS: int
    KEYCTL_JOIN_SESSION_KEYRING: int
    KEYCTL_SETPERM: int
    MNT_DETACH: int
    MOUNT_ATTR_IDMAP: int
    MOUNT_ATTR_NOATIME: int
    MOUNT_ATTR_NODEV: int
    MOUNT_ATTR_NODIRATIME: int
    MOUNT_ATTR_NOEXEC: int
    MOUNT_ATTR_NOSUID: int
    MOUNT_ATTR_NOSYMFOLLOW: int
    MOUNT_ATTR_RDONLY: int
    MOUNT_ATTR_RELATIME: int
    MOUNT_ATTR_STRICTATIME: int
    MOUNT_ATTR__ATIME: int
    MOVE_MOUNT_F_EMPTY_PATH: int
    MOVE_MOUNT_T_EMPTY_PATH: int
    MPOL_BIND: int
    MPOL_DEFAULT: int
    MPOL_F_NUMA_BALANCING: int
    MPOL_F_RELATIVE_NODES: int
    MPOL_F_STATIC_NODES: int
    MPOL_INTERLEAVE: int
    MPOL_LOCAL: int
    MPOL_PREFERRED: int
    MPOL_PREFERRED_MANY: int
    MPOL_WEIGHTED_INTERLEAVE: int
    MS_DIRSYNC: int
    MS_I_VERSION: int
    MS_LAZYTIME: int
    MS_MANDLOCK: int
    MS_NODEV: int
    MS_NOEXEC: int
    MS_NOSUID: int
    MS_PRIVATE: int
    MS_RDONLY: int
    MS_REC: int
    MS_SHARED: int
    MS_SILENT: int
    MS_SLAVE: int
    MS_SYNCHRONOUS: int
    MS_UNBINDABLE: int
    NETLINK_ROUTE: int
    NR_capset: int
    NR_chdir: int
    NR_chroot: int
    NR_close: int
    NR_close_range: int
    NR_dup3: int
    NR_fchdir: int
    NR_fchmodat: int
    NR_fchown: int
    NR_fchownat: int
    NR_fsconfig: int
    NR_fsetxattr: int
    NR_fsmount: int
    NR_fsopen: int
    NR_fspick: int
    NR_fstatfs: int
    NR_getcwd: int
    NR_getresgid: int
    NR_getresuid: int
    NR_ioctl: int
    NR_ioprio_set: int
    NR_keyctl: int
    NR_mknodat: int
    NR_mount: int
    NR_mount_setattr: int
    NR_move_mount: int
    NR_open_tree: int
    NR_openat: int
    NR_openat2: int
    NR_personality: int
    NR_pivot_root: int
    NR_prctl: int
    NR_prlimit64: int
    NR_read: int
    NR_sched_setaffinity: int
    NR_sched_setattr: int
    NR_seccomp: int
    NR_sendmsg: int
    NR_set_mempolicy: int
    NR_setdomainname: int
    NR_setgroups: int
    NR_sethostname: int
    NR_setns: int
    NR_setresgid: int
    NR_setresuid: int
    NR_setsid: int
    NR_socket: int
    NR_statx: int
    NR_symlinkat: int
    NR_umask: int
    NR_umount2: int
    NR_unlinkat: int
    NR_unshare: int
    NR_write: int
    OPEN_TREE_CLOEXEC: int
    OPEN_TREE_CLONE: int
    O_CLOEXEC: int
    O_CREAT: int
    O_DIRECTORY: int
    O_EXCL: int
    O_NOCTTY: int
    O_NOFOLLOW: int
    O_NONBLOCK: int
    O_PATH: int
    O_RDONLY: int
    O_RDWR: int
    O_WRONLY: int
    PER_LINUX: int
    PER_LINUX32: int
    PROC_SUPER_MAGIC: int
    PR_CAPBSET_DROP: int
    PR_CAP_AMBIENT: int
    PR_CAP_AMBIENT_CLEAR_ALL: int
    PR_CAP_AMBIENT_RAISE: int
    PR_SET_DUMPABLE: int
    PR_SET_KEEPCAPS: int
    PR_SET_NO_NEW_PRIVS: int
    PR_SET_PDEATHSIG: int
    PR_SET_TIMERSLACK: int
    RAMFS_MAGIC: int
    RESOLVE_BENEATH: int
    RESOLVE_IN_ROOT: int
    RESOLVE_NO_MAGICLINKS: int
    RESOLVE_NO_SYMLINKS: int
    RESOLVE_NO_XDEV: int
    RLIMIT_AS: int
    RLIMIT_CORE: int
    RLIMIT_CPU: int
    RLIMIT_DATA: int
    RLIMIT_FSIZE: int
    RLIMIT_LOCKS: int
    RLIMIT_MEMLOCK: int
    RLIMIT_MSGQUEUE: int
    RLIMIT_NICE: int
    RLIMIT_NOFILE: int
    RLIMIT_NPROC: int
    RLIMIT_RSS: int
    RLIMIT_RTPRIO: int
    RLIMIT_RTTIME: int
    RLIMIT_SIGPENDING: int
    RLIMIT_STACK: int
    SCHED_BATCH: int
    SCHED_DEADLINE: int
    SCHED_FIFO: int
    SCHED_FLAG_DL_OVERRUN: int
    SCHED_FLAG_KEEP_PARAMS: int
    SCHED_FLAG_KEEP_POLICY: int
    SCHED_FLAG_RECLAIM: int
    SCHED_FLAG_RESET_ON_FORK: int
    SCHED_FLAG_UTIL_CLAMP_MAX: int
    SCHED_FLAG_UTIL_CLAMP_MIN: int
    SCHED_IDLE: int
    SCHED_NORMAL: int
    SCHED_RR: int
    SCM_RIGHTS: int
    SECCOMP_SET_MODE_FILTER: int
    SELINUX_MAGIC: int
    SIOCGSKNS: int
    SIOCSIFFLAGS: int
    SOCK_CLOEXEC: int
    SOCK_DGRAM: int
    SOCK_RAW: int
    SOL_SOCKET: int
    STATX_INO: int
    STATX_MNT_ID: int
    STATX_MODE: int
    STATX_TYPE: int
    TIOCGPTN: int
    TIOCGPTPEER: int
    TIOCSCTTY: int
    TIOCSPTLCK: int
    TIOCSWINSZ: int
    TMPFS_MAGIC: int
    UMOUNT_NOFOLLOW: int
    def pr_sealed_memfd(self, name: bytes, bytes_: Any, length: int, executable: int) -> int: ...
    def pr_init_memfd(self) -> int: ...
    def pr_tmpfs(self, attributes: int) -> int: ...
    def pr_init_file(self, dir_fd: int) -> int: ...
    def pr_spawn(self, namespaces: int, cgroup_fd: int, init_fd: int, fds: Any, count: int, first: int, pidfd: Any) -> int: ...
    def pr_open_tree(self, fd: int, path: bytes, flags: int) -> int: ...
    def pr_mount_setattr(self, fd: int, flags: int, set_: int, clear: int, propagation: int, userns_fd: int) -> int: ...
    def pr_umount(self, path: bytes, flags: int) -> int: ...
    def pr_fs_type(self, fd: int, magic: Any) -> int: ...
    def pr_ns_type(self, fd: int) -> int: ...
    def pr_subreaper(self, on: int) -> int: ...
    def pr_capabilities(self, permitted: Any) -> int: ...
    def pr_cloexec_from(self, first: int) -> int: ...
    def pr_sched_setattr(self, pid: int, attributes: Any) -> int: ...
    def pr_pidfd_getfd(self, pidfd: int, fd: int) -> int: ...
    def pr_seccomp_knows(self, flags: int) -> int: ...
    def pr_raw_terminal(self, fd: int, saved: Any, room: int) -> int: ...
    def pr_plain_newlines(self, master: int) -> int: ...
    def pr_restore_terminal(self, fd: int, saved: Any) -> int: ...
    def pr_copy_window_size(self, from_: int, to: int) -> int: ...
    def pr_inotify_init(self) -> int: ...
    def pr_inotify_add(self, fd: int, path: bytes, mask: int) -> int: ...
    def pr_exit_status(self, pidfd: int, status: Any) -> int: ...
    def pr_open_files(self, pair: Any) -> int: ...
    def pr_set_open_files(self, soft: int, hard: int) -> int: ...
    def pr_bpf_load_devices(self, instructions: Any, count: int, name: bytes) -> int: ...
    def pr_bpf_attach_devices(self, cgroup_fd: int, program_fd: int, replaced: int) -> int: ...
    def pr_bpf_detach_devices(self, cgroup_fd: int, program_fd: int) -> int: ...
    def pr_bpf_attached_devices(self, cgroup_fd: int, ids: Any, room: int) -> int: ...
    def pr_bpf_program(self, id_: int, name: Any) -> int: ...

lib: Library
