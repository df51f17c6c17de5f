/* Modes and sizes of terminals. */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include "shim.h"

static int result(long value)
{
	return value < 0 ? -errno : (int)value;
}

/* A background job is stopped here (SIGTTOU), and interrupted by the signal that continues it. */
static int set_mode(int fd, const struct termios *mode)
{
	int r;

	do
		r = tcsetattr(fd, TCSANOW, mode);
	while (r < 0 && errno == EINTR);
	return result(r);
}

/* cfmakeraw(3) but for output, which still gets its carriage returns; what was there before is kept
 * in `saved`, unless that is NULL. */
int pr_raw_terminal(int fd, void *saved, size_t room)
{
	struct termios mode;

	if (saved && room < sizeof mode)
		return -EINVAL;
	if (tcgetattr(fd, &mode) < 0)
		return -errno;
	if (saved)
		memcpy(saved, &mode, sizeof mode);
	cfmakeraw(&mode);
	mode.c_oflag |= OPOST;
	return set_mode(fd, &mode);
}

/* A pty's newlines go out as they are written. */
int pr_plain_newlines(int master)
{
	struct termios mode;

	if (tcgetattr(master, &mode) < 0)
		return -errno;
	mode.c_oflag &= ~(tcflag_t)ONLCR;
	return set_mode(master, &mode);
}

int pr_restore_terminal(int fd, const void *saved)
{
	return set_mode(fd, saved);
}

int pr_copy_window_size(int from, int to)
{
	struct winsize size;

	return ioctl(from, TIOCGWINSZ, &size) < 0 || ioctl(to, TIOCSWINSZ, &size) < 0 ? -errno : 0;
}
