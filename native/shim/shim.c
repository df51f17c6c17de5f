/* The host's side of the native code. Nothing here decides anything; Python does. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/mount.h>
#include <linux/nsfs.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <termios.h>
#include <unistd.h>
#include "../init/sys.h"
#include "init_image.h"
#include "shim.h"

#ifndef MFD_EXEC
#define MFD_EXEC 0x10U /* Linux 6.3 */
#endif
#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC 0x20 /* Linux 6.3 */
#endif

#define MOST_DESCRIPTORS 8192 /* the rules allow 4096 mounts */
#define FEW_DESCRIPTORS 1024 /* below this number they are scarce, if they are */

static int result(long value)
{
	return value < 0 ? -errno : (int)value;
}

static int write_all(int fd, const void *bytes, size_t length)
{
	size_t done = 0;

	while (done < length) {
		const ssize_t n = write(fd, (const char *)bytes + done, length - done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		done += (size_t)n;
	}
	return 0;
}

static int seal(int fd, int executable)
{
	const int always = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
	const int wanted = always | (executable ? F_SEAL_EXEC : 0);

	if (fcntl(fd, F_ADD_SEALS, wanted) < 0 &&
	    (!executable || fcntl(fd, F_ADD_SEALS, always) < 0))
		return -errno;
	if ((fcntl(fd, F_GET_SEALS) & always) != always)
		return -EPERM;
	return 0;
}

/* A copy nobody can write to, not even through /proc/PID/exe (CVE-2019-5736). */
int pr_sealed_memfd(const char *name, const void *bytes, size_t length, int executable)
{
	const unsigned int flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
	int fd = memfd_create(name, flags | (executable ? MFD_EXEC : 0)), error;

	if (fd < 0 && errno == EINVAL)
		fd = memfd_create(name, flags);
	if (fd < 0)
		return -errno;
	error = write_all(fd, bytes, length);
	if (!error)
		error = seal(fd, executable);
	if (error < 0) {
		close(fd);
		return error;
	}
	return fd;
}

int pr_init_memfd(void)
{
	return pr_sealed_memfd("pyruntime-init", init_image, sizeof init_image, 1);
}

/* A file system of our own that is mounted nowhere. */
int pr_tmpfs(unsigned int attributes)
{
	const int fs = (int)syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC);
	int fd;

	if (fs < 0)
		return -errno;
	fd = (int)syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0);
	if (fd == 0)
		fd = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, attributes);
	fd = result(fd);
	close(fs);
	return fd;
}

/* The init's image as a file without a name in that directory, open for reading. */
int pr_init_file(int dir_fd)
{
	char path[32];
	int fd, error;
	const int writer = openat(dir_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0500);

	if (writer < 0)
		return -errno;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", writer);
	error = write_all(writer, init_image, sizeof init_image);
	fd = error ? error : result(open(path, O_RDONLY | O_CLOEXEC));
	close(writer);
	return fd;
}

struct child {
	int init_fd, count, first;
	const int *fds;
	const char *argument;
};

/* Whether one of the descriptors from number `n` on is `fd`. */
static int is_wanted(const int *fds, int n, int count, int fd)
{
	for (; n < count; n++)
		if (fds[n] == fd)
			return 1;
	return 0;
}

/* Without room above: what nobody wants is closed, and what is in another's way makes way. */
static int move_in_place(const struct child *c, int *init_fd, int *moved)
{
	for (int fd = c->first; fd < FEW_DESCRIPTORS; fd++)
		if (fd != *init_fd && !is_wanted(moved, 0, c->count, fd))
			SYS(close, fd);
	for (int n = 0; n < c->count; n++) {
		const int to = c->first + n, from = moved[n];
		if (from == to && SYS(fcntl, to, F_SETFD, 0) == 0)
			continue;
		if (*init_fd == to || is_wanted(moved, n + 1, c->count, to)) {
			const int away = (int)SYS(fcntl, to, F_DUPFD_CLOEXEC, to + 1);
			if (away < 0)
				return -1;
			if (*init_fd == to)
				*init_fd = away;
			for (int m = n + 1; m < c->count; m++)
				if (moved[m] == to)
					moved[m] = away;
		}
		if (SYS(dup3, from, to, 0) < 0)
			return -1;
		if (from > to && from != *init_fd && !is_wanted(moved, n + 1, c->count, from))
			SYS(close, from);
	}
	return 0;
}

static int move_above(const struct child *c, int *init_fd, int *moved)
{
	const int end = c->first + c->count;

	if (*init_fd < end) {
		const int away = (int)SYS(fcntl, *init_fd, F_DUPFD_CLOEXEC, end);
		if (away < 0)
			return -1;
		*init_fd = away;
	}
	for (int n = 0; n < c->count; n++) {
		if (moved[n] < c->first || moved[n] >= end || moved[n] == c->first + n)
			continue;
		const int away = (int)SYS(fcntl, moved[n], F_DUPFD_CLOEXEC, end);
		if (away < 0)
			return -1;
		moved[n] = away;
	}
	for (int n = 0; n < c->count; n++) {
		const int to = c->first + n;
		if (moved[n] == to)
			SYS(fcntl, to, F_SETFD, 0);
		else if (SYS(dup3, moved[n], to, 0) < 0)
			return -1;
	}
	return 0;
}

/* Runs in the memory of the parent, which the kernel suspends (CLONE_VFORK): descriptor moves, signal mask, execveat;
 * nothing else (security: R-08). Its descriptor table is its own copy. */
static int run_child(const struct child *c)
{
	const char *argv[] = { "pyruntime-init", c->argument, NULL }, *envp[] = { NULL };
	const uint64_t none = 0;
	int init_fd = c->init_fd, moved[MOST_DESCRIPTORS];

	SYS(close_range, c->first, ~0u, CLOSE_RANGE_CLOEXEC);
	for (int n = 0; n < c->count; n++)
		moved[n] = c->fds[n];
	if (move_above(c, &init_fd, moved) < 0 && move_in_place(c, &init_fd, moved) < 0)
		return 120;
	SYS(rt_sigprocmask, SIG_SETMASK, &none, 0, 8);
	SYS(execveat, init_fd, "", argv, envp, AT_EMPTY_PATH);
	return 121;
}

#if defined(__x86_64__)
static long clone_on_stack(struct clone_args *args, const struct child *c)
{
	long ret = __NR_clone3;
	register const struct child *r12 __asm__("r12") = c;

	__asm__ volatile("syscall\n\t"
			 "test %%eax, %%eax\n\t"
			 "jnz 1f\n\t"
			 "xor %%ebp, %%ebp\n\t"
			 "mov %%r12, %%rdi\n\t"
			 "call *%[run]\n\t"
			 "mov %%eax, %%edi\n\t"
			 "mov %[leave], %%eax\n\t"
			 "syscall\n"
			 "1:"
			 : "+a"(ret)
			 : "D"(args), "S"(sizeof *args),
			   "r"(r12), [run] "b"(run_child), [leave] "i"(__NR_exit_group)
			 : "rcx", "r11", "memory");
	return ret;
}
#else
static long clone_on_stack(struct clone_args *args, const struct child *c)
{
	register long x0 __asm__("x0") = (long)args;
	register long x1 __asm__("x1") = sizeof *args;
	register long x8 __asm__("x8") = __NR_clone3;
	register const struct child *x19 __asm__("x19") = c;
	register int (*x20)(const struct child *) __asm__("x20") = run_child;

	__asm__ volatile("svc 0\n\t"
			 "cbnz x0, 1f\n\t"
			 "mov x29, xzr\n\t"
			 "mov x0, x19\n\t"
			 "blr x20\n\t"
			 "mov x8, %[leave]\n\t"
			 "svc 0\n"
			 "1:"
			 : "+r"(x0)
			 : "r"(x1), "r"(x8), "r"(x19), "r"(x20), [leave] "i"(__NR_exit_group)
			 : "memory", "x30");
	return x0;
}
#endif

static void write_decimal(char *to, int value)
{
	char digits[12];
	int n = 0;

	do
		digits[n++] = (char)('0' + value % 10);
	while (value /= 10);
	while (n)
		*to++ = digits[--n];
	*to = 0;
}

/* Spawn shape A: one vfork-style clone with all new namespaces; nothing of Python is copied. */
int pr_spawn(uint64_t namespaces, int cgroup_fd, int init_fd, const int *fds, int count, int first,
	     int *pidfd)
{
	static uint8_t stack[65536] __attribute__((aligned(16)));
	char argument[12];
	const struct child c = { init_fd, count, first, fds, argument };
	struct clone_args args = {
		.flags = namespaces | CLONE_VM | CLONE_VFORK | CLONE_PIDFD,
		.pidfd = (uint64_t)(uintptr_t)pidfd,
		.exit_signal = SIGCHLD,
		.stack = (uint64_t)(uintptr_t)stack,
		.stack_size = sizeof stack,
	};
	sigset_t all, old;
	long pid;

	if (count > MOST_DESCRIPTORS)
		return -E2BIG;
	write_decimal(argument, first);
	if (cgroup_fd >= 0) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)cgroup_fd;
	}
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &old);
	pid = clone_on_stack(&args, &c);
	sigprocmask(SIG_SETMASK, &old, NULL);
	return (int)pid;
}

int pr_open_tree(int fd, const char *path, unsigned int flags)
{
	return (int)SYS(open_tree, fd, path, flags);
}

int pr_mount_setattr(int fd, unsigned int flags, uint64_t set, uint64_t clear, uint64_t propagation,
		     int userns_fd)
{
	struct mount_attr attr = {
		.attr_set = set,
		.attr_clr = clear,
		.propagation = propagation,
		.userns_fd = (uint64_t)userns_fd,
	};

	return (int)SYS(mount_setattr, fd, "", flags | AT_EMPTY_PATH, &attr, sizeof attr);
}

int pr_umount(const char *path, int flags)
{
	return (int)SYS(umount2, path, flags);
}

int pr_fs_type(int fd, uint64_t *magic)
{
	struct statfs st;

	if (fstatfs(fd, &st) < 0)
		return -errno;
	*magic = (uint64_t)st.f_type;
	return 0;
}

int pr_ns_type(int fd)
{
	return result(ioctl(fd, NS_GET_NSTYPE));
}

int pr_subreaper(int on)
{
	return result(prctl(PR_SET_CHILD_SUBREAPER, on, 0, 0, 0));
}

int pr_capabilities(uint64_t *permitted)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2];
	const long r = SYS(capget, &header, data);

	if (r < 0)
		return (int)r;
	*permitted = data[0].permitted | (uint64_t)data[1].permitted << 32;
	return 0;
}

int pr_pidfd_getfd(int pidfd, int fd)
{
	return (int)SYS(pidfd_getfd, pidfd, fd, 0);
}

/* Flags are judged before the program is read, and there is none at address 0. */
int pr_seccomp_knows(unsigned int flags)
{
	return SYS(seccomp, SECCOMP_SET_MODE_FILTER, flags, 0) == -EFAULT;
}

int pr_cloexec_from(unsigned int first)
{
	return (int)SYS(close_range, first, ~0u, CLOSE_RANGE_CLOEXEC);
}

/* `attributes` is a struct sched_attr, which the kernel may write to. */
int pr_sched_setattr(int pid, void *attributes)
{
	return (int)SYS(sched_setattr, pid, attributes, 0);
}
