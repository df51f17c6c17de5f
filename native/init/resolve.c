/* Resolve-or-create beneath the container's root: a path becomes a descriptor once, by the kernel,
 * and what is missing is made component by component in the parent's descriptor (CVE-2021-30465,
 * CVE-2024-45310). */
#include <linux/fcntl.h>
#include <linux/openat2.h>
#include <linux/stat.h>
#include "tape.h"

#define PATH_LIMIT  4096
#define LINK_LIMIT  40
#define ROUND_LIMIT 4096 /* each round makes a component or follows a link */

static long open_beneath(int root, const char *path, u64 flags, u64 resolve)
{
	struct open_how how = {
		.flags = flags | O_CLOEXEC,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | resolve,
	};
	long fd;
	int tries = 0;

	while (*path == '/')
		path++;
	if (!*path)
		path = ".";
	do
		fd = SYS(openat2, root, path, &how, sizeof how);
	while (is_to_repeat(__NR_openat2, fd, tries++));
	return fd;
}

/* In path: `missing` is the component that is not there, the text before it is its parent. */
struct walk {
	char path[PATH_LIMIT];
	char name[256];
	size_t parent_length, end;
	size_t known; /* of the path was there: a deep one is not walked anew for each part */
	int links;
};

static long open_prefix(int root, struct walk *w, size_t length, u64 rules)
{
	const char kept = w->path[length];
	long fd;

	w->path[length] = 0;
	fd = open_beneath(root, w->path, O_PATH, rules);
	w->path[length] = kept;
	return fd;
}

/* Opens the parent of the first component that does not exist and notes that component's place. */
static long open_parent_of_missing(int root, struct walk *w, u64 rules)
{
	size_t start = w->known, end, n;
	long parent = open_prefix(root, w, start, rules), next;

	if (parent == -PR_ENOENT && start) {
		w->known = 0; /* taken away meanwhile */
		return -PR_EAGAIN;
	}
	while (parent >= 0) {
		while (w->path[start] == '/')
			start++;
		for (end = start; w->path[end] && w->path[end] != '/';)
			end++;
		if (end == start) {
			SYS(close, parent);
			return -PR_EAGAIN; /* all of it exists by now */
		}
		if (end - start >= sizeof w->name) {
			SYS(close, parent);
			return -PR_ENAMETOOLONG;
		}
		for (n = 0; n < end - start; n++)
			w->name[n] = w->path[start + n];
		w->name[n] = 0;
		w->parent_length = start;
		w->end = end;
		next = open_prefix(root, w, end, rules);
		if (next == -PR_ENOENT)
			return parent;
		SYS(close, parent);
		parent = next;
		start = end;
	}
	return parent;
}

/* The missing component exists after all: a link whose target is not there. Its text replaces it in
 * the path. */
static long follow_dangling(int parent, struct walk *w)
{
	char text[PATH_LIMIT], joined[PATH_LIMIT];
	const size_t rest = text_length(w->path + w->end);
	long n = SYS(readlinkat, parent, w->name, text, sizeof text - 1);
	size_t head = w->parent_length;

	if (n == -PR_EINVAL)
		return -PR_EAGAIN; /* not a link: somebody made it meanwhile */
	if (n < 0)
		return n;
	if (++w->links > LINK_LIMIT)
		return -PR_ELOOP;
	if (n && text[0] == '/')
		head = 0;
	if (head + (size_t)n + rest + 1 > sizeof joined)
		return -PR_ENAMETOOLONG;
	memcpy(joined, w->path, head);
	memcpy(joined + head, text, (size_t)n);
	memcpy(joined + head + (size_t)n, w->path + w->end, rest + 1);
	memcpy(w->path, joined, head + (size_t)n + rest + 1);
	w->known = 0;
	return 0;
}

static long make_missing(int parent, struct walk *w, long how, u32 mode)
{
	size_t last = w->end;
	long fd;

	while (w->path[last] == '/')
		last++;
	if (!w->path[last] && (how & HOW_MAKE_FILE)) {
		fd = SYS(openat, parent, w->name,
			 O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
		if (fd >= 0)
			SYS(close, fd);
		return fd < 0 ? fd : 0;
	}
	return SYS(mkdirat, parent, w->name, w->path[last] ? 0755 : mode);
}

/* A model decides between file and directory; the modes are those engines know from runc. */
static long adopt_model(int model, long *how, u32 *mode)
{
	struct statx st;
	const long r = SYS(statx, model, "", 0x1000 /* AT_EMPTY_PATH */, STATX_TYPE, &st);

	if (r < 0)
		return r;
	*how &= ~(long)HOW_MAKE_LIKE;
	if ((st.stx_mode & 0170000) == 0040000) {
		*how |= HOW_MAKE_DIRECTORY;
		*mode = 0755;
	} else {
		*how |= HOW_MAKE_FILE;
		*mode = 0644;
	}
	return 0;
}

long resolve(int root, const char *path, long how, u32 mode, int model)
{
	const u64 rules = (how & HOW_NO_SYMLINKS) ? RESOLVE_NO_SYMLINKS : 0;
	const u64 flags = O_PATH | ((how & HOW_DIRECTORY) ? O_DIRECTORY : 0);
	const size_t length = text_length(path);
	struct walk w;
	long fd, r;
	int round;

	if (how & HOW_MAKE_LIKE) {
		r = adopt_model(model, &how, &mode);
		if (r < 0)
			return r;
	}
	if (length >= sizeof w.path)
		return -PR_ENAMETOOLONG;
	fd = open_beneath(root, path, flags, rules);
	if (fd != -PR_ENOENT || !(how & (HOW_MAKE_DIRECTORY | HOW_MAKE_FILE)))
		return fd;
	memcpy(w.path, path, length + 1);
	w.known = 0;
	w.links = 0;
	for (round = 0; round < ROUND_LIMIT; round++) {
		long parent = open_parent_of_missing(root, &w, rules);
		r = parent;
		if (parent >= 0) {
			r = make_missing((int)parent, &w, how, mode);
			if (!r)
				w.known = w.end;
			if (r == -PR_EEXIST)
				r = rules ? -PR_ELOOP : follow_dangling((int)parent, &w);
			SYS(close, parent);
		}
		if (r < 0 && r != -PR_EAGAIN)
			return r;
		fd = open_beneath(root, w.path, flags, rules);
		if (fd != -PR_ENOENT)
			return fd;
	}
	return -PR_ELOOP;
}
