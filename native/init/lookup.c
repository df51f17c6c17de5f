/* What must be read inside the container: HOME from its passwd, the program from its PATH. */
#include <asm/stat.h>
#include <linux/stat.h>
#include "tape.h"

#define PASSWD_LIMIT (64u << 20)
#define LINE_LIMIT   1024
#define AT_FDCWD_    (-100)
#define AT_EACCESS_  0x200
#define X_OK_	     1

/* The field number `wanted` of a line, or NULL; ends it with a NUL. */
static char *field(char *line, int wanted)
{
	char *end;

	while (wanted--) {
		while (*line && *line != ':')
			line++;
		if (!*line++)
			return NULL;
	}
	for (end = line; *end && *end != ':';)
		end++;
	*end = 0;
	return line;
}

static int is_uid(const char *digits, u32 uid)
{
	u64 n = 0;

	if (!*digits)
		return 0;
	for (; *digits >= '0' && *digits <= '9' && n <= 0xffffffffu; digits++)
		n = n * 10 + (u64)(*digits - '0');
	return !*digits && n == uid;
}

/* A malformed line is skipped. Later fields first: field() ends what it finds with a NUL. */
static int take_home(char *line, u32 uid, char *to, size_t size)
{
	char *home = field(line, 5), *id = field(line, 2);
	size_t n;

	if (!home || !id || !is_uid(id, uid) || home[0] != '/')
		return 0;
	n = text_length(home);
	if (n + 1 > size)
		return 0;
	memcpy(to, home, n + 1);
	return 1;
}

/* Leaves `to` as it was when nothing fits; the file is the image's, so only a regular file of
 * bounded size is read. */
long find_home(int passwd, u32 uid, char *to, size_t size)
{
	char block[4096], line[LINE_LIMIT];
	size_t used = 0, total = 0;
	struct statx st;
	long n, at;
	int too_long = 0;

	if (SYS(statx, passwd, "", 0x1000 /* AT_EMPTY_PATH */, STATX_TYPE, &st) < 0 ||
	    (st.stx_mode & 0170000) != 0100000)
		return 0;
	while (total < PASSWD_LIMIT && (n = SYS(read, passwd, block, sizeof block)) > 0) {
		total += (size_t)n;
		for (at = 0; at < n; at++) {
			if (block[at] != '\n') {
				too_long |= used >= sizeof line - 1;
				if (!too_long)
					line[used++] = block[at];
				continue;
			}
			line[used] = 0;
			if (!too_long && take_home(line, uid, to, size))
				return 0;
			used = 0;
			too_long = 0;
		}
	}
	line[used] = 0;
	if (!too_long)
		take_home(line, uid, to, size);
	return 0;
}

/* Without no_new_privs the container's filter is already loaded, and an old allow list, which knows
 * neither statx nor faccessat2, answers with its errno: EPERM or ENOSYS. Their elders then do. */
static int is_unknown(long r)
{
	return r == -PR_EPERM || r == -PR_ENOSYS;
}

static long mode_of(const char *path, u32 *mode)
{
	struct statx now;
	struct stat old;
	long r = SYS(statx, AT_FDCWD_, path, 0, STATX_TYPE | STATX_MODE, &now);

	if (!is_unknown(r)) {
		*mode = now.stx_mode;
		return r;
	}
	r = SYS(newfstatat, AT_FDCWD_, path, &old, 0);
	*mode = old.st_mode;
	return r;
}

static long judge(const char *path)
{
	u32 mode = 0;
	long r = mode_of(path, &mode);

	if (r < 0)
		return r;
	if ((mode & 0170000) == 0040000)
		return -PR_EISDIR;
	r = SYS(faccessat2, AT_FDCWD_, path, X_OK_, AT_EACCESS_);
	if (is_unknown(r)) /* the real ids, which are the effective ones by now */
		r = SYS(faccessat, AT_FDCWD_, path, X_OK_);
	if (is_unknown(r))
		return mode & 0111 ? 0 : -PR_EACCES;
	return r;
}

static int has_slash(const char *name)
{
	for (; *name; name++)
		if (*name == '/')
			return 1;
	return 0;
}

/* No descriptor is used here: RLIMIT_NOFILE may already be the container's. */
long look_up(const char *name, const char *path, char *to, size_t size)
{
	const size_t length = text_length(name);
	long found = -PR_ENOENT;

	if (length + 1 > size)
		return -PR_ENAMETOOLONG;
	if (has_slash(name)) {
		memcpy(to, name, length + 1);
		return judge(to);
	}
	while (length) {
		const char *end = path;
		size_t head;

		while (*end && *end != ':')
			end++;
		head = (size_t)(end - path);
		if (head && head + length + 2 <= size) { /* an empty part would be the cwd */
			memcpy(to, path, head);
			to[head] = '/';
			memcpy(to + head + 1, name, length + 1);
			if (!judge(to))
				return 0;
		}
		if (!*end)
			break;
		path = end + 1;
	}
	return found;
}
