/* For watching: inotify of directories, the end of a process that is no child of ours, and room for
 * many. */
#include "shim.h"

#include <errno.h>
#include <linux/pidfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/resource.h>

#ifndef PIDFD_INFO_EXIT /* headers older than Linux 6.15 */
struct pidfd_info {
	uint64_t mask, cgroupid;
	uint32_t pid, tgid, ppid, ruid, rgid, euid, egid, suid, sgid, fsuid, fsgid;
	int32_t exit_code;
};
#define PIDFD_INFO_EXIT (1UL << 3)
#undef PIDFD_GET_INFO
#define PIDFD_GET_INFO _IOWR(0xFF, 11, struct pidfd_info)
#endif

int pr_inotify_init(void)
{
	const int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

	return fd < 0 ? -errno : fd;
}

int pr_inotify_add(int fd, const char *path, unsigned int mask)
{
	const int watch = inotify_add_watch(fd, path, mask);

	return watch < 0 ? -errno : watch;
}

/* 1 and the wait status of a process that was waited for; 0 while it was not. */
int pr_exit_status(int pidfd, int *status)
{
	struct pidfd_info info = { .mask = PIDFD_INFO_EXIT };

	if (ioctl(pidfd, PIDFD_GET_INFO, &info) < 0)
		return -errno;
	if (!(info.mask & PIDFD_INFO_EXIT))
		return 0;
	*status = info.exit_code;
	return 1;
}

/* RLIMIT_NOFILE: soft, hard. */
int pr_open_files(uint64_t *pair)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return -errno;
	pair[0] = limit.rlim_cur;
	pair[1] = limit.rlim_max;
	return 0;
}

int pr_set_open_files(uint64_t soft, uint64_t hard)
{
	const struct rlimit limit = { soft, hard };

	return setrlimit(RLIMIT_NOFILE, &limit) < 0 ? -errno : 0;
}
