/* The system calls a tape may hold: the player refuses every other number (security: R-29), and the
 * shim gives Python the numbers of exactly these. */
#ifndef PR_CALLS_H
#define PR_CALLS_H

/* clang-format off */
#define TAPE_CALLS(X) \
	X(capset) X(chdir) X(chroot) X(close) X(close_range) X(dup3) X(fchdir) X(fchown) \
	X(fchownat) X(fchmodat) X(fsconfig) X(fsetxattr) X(fsmount) X(fsopen) X(fspick) X(fstatfs) \
	X(getcwd) X(getresgid) X(getresuid) X(ioctl) X(ioprio_set) X(keyctl) X(mknodat) X(mount) X(mount_setattr) \
	X(move_mount) X(openat) X(openat2) X(open_tree) X(personality) X(pivot_root) X(prctl) \
	X(prlimit64) X(read) X(sched_setaffinity) X(sched_setattr) X(seccomp) X(sendmsg) \
	X(set_mempolicy) X(setgroups) X(sethostname) X(setdomainname) X(setns) X(setresgid) X(setresuid) X(setsid) X(socket) X(statx) \
	X(symlinkat) X(umask) X(umount2) X(unlinkat) X(unshare) X(write)
/* clang-format on */

#endif
