/*
 * Descriptors 0, 1 and 2 must be taken before anything is opened: otherwise the first file we open
 * (a state file, a cgroup file) would become "stderr", and a later message would be written into
 * it.
 */
#ifndef PYRUNTIME_FIRST_THINGS_H
#define PYRUNTIME_FIRST_THINGS_H

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static void pr_check_stdio(void)
{
	for (int fd = 0; fd <= 2; fd++) {
		struct stat st;

		if (fcntl(fd, F_GETFD) >= 0)
			continue;
		/*
		 * The lowest free number is fd itself. A /dev/null that is not the kernel's null
		 * device (a file left by a broken container) would collect what we write.
		 * There is nobody to tell: the exit status has to do.
		 */
		if (open("/dev/null", O_RDWR | O_NOFOLLOW | O_NOCTTY) != fd)
			_exit(1);
		if (fstat(fd, &st) || !S_ISCHR(st.st_mode) || st.st_rdev != makedev(1, 3))
			_exit(1);
	}
}

/*
 * A write that fails is an error with a sentence and an undo, also for a pipe without a reader and
 * beneath the caller's RLIMIT_FSIZE. What we start gets the default back.
 */
static void pr_ignore_write_signals(void)
{
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
}

#endif
