/* tmpcopyup: a new tmpfs is filled from the directory it covers, by descriptors, with the rights
 * and the ids of the container. The tree is the image's: nothing is followed, nothing of it is
 * opened that could wait or act (security: R-23). Links stay links, holes stay holes; owners,
 * modes, times and extended attributes come along; devices, sockets and fifos are left out; the
 * room is the tmpfs's. */
#include <linux/fcntl.h>
#include <linux/stat.h>
#include "tape.h"

#define READING	    (O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)
#define MAKING	    (O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC)
#define DEPTH	    256 /* directories within each other; a deeper tree is somebody's trap */
#define BLOCK	    (1l << 20)
#define SEEK_DATA   3
#define SEEK_HOLE   4
#define OVERFLOW_ID 65534 /* how an owner is shown that the user namespace does not know */

struct entry { /* getdents64(2) */
	u64 inode, offset;
	u16 length;
	u8 type;
	char name[];
};

static char names[65536], value[65536];

static long copy_directory(struct player *p, int from, int to, int depth);

/* What a tmpfs, or one without all rights, cannot take, and what is gone meanwhile. */
static int is_dispensable(long r)
{
	return r == -PR_EOPNOTSUPP || r == -PR_EPERM || r == -PR_ENODATA;
}

static long copy_attributes(int from, int to)
{
	const long size = SYS(flistxattr, from, names, sizeof names);
	long at, n;

	if (size < 0)
		return is_dispensable(size) ? 0 : size;
	for (at = 0; at < size; at += (long)text_length(names + at) + 1) {
		n = SYS(fgetxattr, from, names + at, value, sizeof value);
		if (n >= 0)
			n = SYS(fsetxattr, to, names + at, value, n, 0);
		if (n < 0 && !is_dispensable(n))
			return n;
	}
	return 0;
}

static long set_times(int fd, const char *name, const struct statx *st, int flags)
{
	/* the layout of struct timespec; what is unused in it is 0 */
	const struct statx_timestamp times[2] = { st->stx_atime, st->stx_mtime };

	return SYS(utimensat, fd, name, times, flags);
}

/* The owner first: a change of it takes set-id bits and capabilities away. */
static long finish(int from, int to, const struct statx *st)
{
	const int is_known = st->stx_uid != OVERFLOW_ID && st->stx_gid != OVERFLOW_ID;
	long r = SYS(fchown, to, st->stx_uid, st->stx_gid);

	if (!r)
		r = copy_attributes(from, to);
	if (!r)
		r = SYS(fchmod, to, st->stx_mode & (is_known ? 07777 : 01777));
	return r ? r : set_times(to, NULL, st, 0);
}

/* One stretch of data after the other; what lies between them are holes. */
static long copy_data(int from, int to, long size)
{
	long at = 0, end, n;

	while ((at = SYS(lseek, from, at, SEEK_DATA)) >= 0) {
		end = SYS(lseek, from, at, SEEK_HOLE);
		n = end < 0 ? end : SYS(lseek, from, at, 0);
		if (n < 0 || (n = SYS(lseek, to, at, 0)) < 0)
			return n;
		for (; at < end; at += n) {
			n = SYS(sendfile, to, from, 0, end - at < BLOCK ? end - at : BLOCK);
			if (n == -PR_EINTR)
				n = 0;
			else if (n <= 0)
				return n; /* somebody made it shorter meanwhile */
		}
	}
	return at == -PR_ENXIO ? SYS(ftruncate, to, size) : at;
}

/* A file or a directory, whichever it still is. */
static long copy_content(struct player *p, int from, const char *name, int to,
			 const struct statx *st, int depth)
{
	const int is_directory = S_ISDIR(st->stx_mode);
	const long flags = READING | (is_directory ? O_DIRECTORY : 0);
	const long in = SYS(openat, from, name, flags);
	struct statx found;
	long out = -1, r = in < 0 ? in : SYS(statx, in, "", AT_EMPTY_PATH, STATX_TYPE, &found);

	if (!r && (found.stx_mode ^ st->stx_mode) & S_IFMT)
		r = -PR_ELOOP; /* swapped since we looked */
	if (!r && is_directory)
		r = SYS(mkdirat, to, name, 0700);
	if (!r) {
		out = SYS(openat, to, name, is_directory ? flags : MAKING, 0600);
		r = out < 0 ? out : 0;
	}
	if (!r && is_directory)
		r = copy_directory(p, (int)in, (int)out, depth - 1);
	else if (!r)
		r = copy_data((int)in, (int)out, (long)st->stx_size);
	if (!r)
		r = finish((int)in, (int)out, st);
	SYS(close, in);
	SYS(close, out);
	return r;
}

static long copy_link(int from, const char *name, int to, const struct statx *st)
{
	long r = SYS(readlinkat, from, name, value, sizeof value - 1);

	if (r < 0)
		return r;
	value[r] = 0;
	r = SYS(symlinkat, value, to, name);
	if (!r)
		r = SYS(fchownat, to, name, st->stx_uid, st->stx_gid, AT_SYMLINK_NOFOLLOW);
	return r ? r : set_times(to, name, st, AT_SYMLINK_NOFOLLOW);
}

static long copy_entry(struct player *p, int from, const char *name, int to, int depth)
{
	const int dots = name[0] != '.' ? 0 : name[1] != '.' ? 1 : 2;
	struct statx st;
	const long r = SYS(statx, from, name, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &st);

	if (r < 0 || (dots && !name[dots]))
		return r; /* `.` and `..` are nobody's entries */
	if (S_ISDIR(st.stx_mode) || S_ISREG(st.stx_mode))
		return copy_content(p, from, name, to, &st, depth);
	return S_ISLNK(st.stx_mode) ? copy_link(from, name, to, &st) : 0;
}

static long copy_directory(struct player *p, int from, int to, int depth)
{
	u8 room[2048] __attribute__((aligned(8)));
	long size, at, r;

	if (!depth)
		return -PR_ELOOP;
	while ((size = SYS(getdents64, from, room, sizeof room)) > 0)
		for (at = 0; at < size;) {
			const struct entry *e = (const void *)(room + at);
			at += e->length;
			r = copy_entry(p, from, e->name, to, depth);
			if (!r || r == -PR_ENOENT)
				continue; /* removed meanwhile */
			if (!p->text_length) {
				p->text_length = (u32)text_length(e->name);
				memcpy(p->text, e->name, p->text_length);
			}
			return r;
		}
	return size;
}

/* Both may be O_PATH; with `owner` the directory itself gets that of the one it covers. */
long copy_tree(struct player *p, int source, int target, long owner)
{
	const long in = SYS(openat, source, ".", READING | O_DIRECTORY);
	const long out = SYS(openat, target, ".", READING | O_DIRECTORY);
	struct statx st;
	long r = in < 0 ? in : SYS(statx, in, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &st);

	if (!r)
		r = out < 0 ? out : copy_directory(p, (int)in, (int)out, DEPTH);
	if (!r && owner)
		r = SYS(fchown, out, st.stx_uid, st.stx_gid);
	if (!r)
		r = copy_attributes((int)in, (int)out);
	SYS(close, in);
	SYS(close, out);
	return r;
}
