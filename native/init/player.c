/* One instruction: the system call, the small operations on data, and the way into the built-ins.
 */
#include "calls.h"
#include "tape.h"

static int is_allowed(u32 nr)
{
	switch (nr) {
#define ALLOW(name) case __NR_##name:
		TAPE_CALLS(ALLOW)
#undef ALLOW
		return 1;
	default:
		return 0;
	}
}

/* The last byte of the data ends its last string: nothing of ours writes there, whatever overlaps.
 */
static long writable(const struct player *p)
{
	return (long)p->data_size - 1;
}

/* The width must be 1, 2, 4 or 8, and the bytes must lie in the data. */
static int is_inside(const struct player *p, long at, long width)
{
	const long start = (long)(uintptr_t)p->data;

	if (width != 1 && width != 2 && width != 4 && width != 8)
		return 0;
	return at >= start && at - start <= writable(p) - width;
}

static u64 load_bytes(long at, long width)
{
	u64 value = 0;
	memcpy(&value, (const void *)(uintptr_t)at,
	       (size_t)width); /* little-endian on both architectures */
	return value;
}

static long store(const struct player *p, const long *a)
{
	if (!is_inside(p, a[0], a[2]))
		return -PR_EBADMSG;
	memcpy((void *)(uintptr_t)a[0], &a[1], (size_t)a[2]);
	return 0;
}

static long expect(const struct player *p, const struct insn *i, const long *a)
{
	u64 value = (u64)a[0];

	if (kind_of(i, 0) == KIND_BUFFER) {
		if (!is_inside(p, a[0], a[1]))
			return -PR_EBADMSG;
		value = load_bytes(a[0], a[1]);
	}
	if ((value & (u64)a[2]) == (u64)a[3])
		return 1;
	return a[4] > 0 && a[4] < 4096 ? -a[4] : 0;
}

static long decimal(const struct player *p, long at, long value, u64 base)
{
	const long room = (long)(uintptr_t)p->data + (long)p->data_size - at;
	u64 rest = value < 0 ? 0 - (u64)value : (u64)value;
	char digits[24], *to = (char *)(uintptr_t)at;
	int n = 0;

	if (room < 24)
		return -PR_EBADMSG;
	do
		digits[n++] = (char)('0' + rest % base);
	while (rest /= base);
	if (value < 0)
		digits[n++] = '-';
	while (n)
		*to++ = digits[--n];
	*to = 0;
	return 0;
}

/* A pointer argument that names `size` writable bytes of the data. */
static int has_room(const struct player *p, const struct insn *i, int n, long at, long size)
{
	return kind_of(i, n) == KIND_BUFFER && size > 0 && size <= writable(p) &&
	       at - (long)(uintptr_t)p->data <= writable(p) - size;
}

static int are_buffers(const struct insn *i, int first, int count)
{
	for (; count--; first++)
		if (kind_of(i, first) != KIND_BUFFER)
			return 0;
	return 1;
}

/* The kernel's words for what execve(2) refuses, as the host spells them. */
static const char *words_of(long error)
{
	static const struct {
		int error;
		const char *words;
	} table[] = {
		{ PR_EPERM, "operation not permitted" },
		{ PR_ENOENT, "no such file or directory" },
		{ PR_EIO, "input/output error" },
		{ PR_E2BIG, "argument list too long" },
		{ PR_ENOEXEC, "exec format error" },
		{ PR_ENOMEM, "cannot allocate memory" },
		{ PR_EACCES, "permission denied" },
		{ PR_ENOTDIR, "not a directory" },
		{ PR_EISDIR, "is a directory" },
		{ PR_EINVAL, "invalid argument" },
		{ PR_ETXTBSY, "text file busy" },
		{ PR_ELOOP, "too many levels of symbolic links" },
		{ PR_ELIBBAD, "accessing a corrupted shared library" },
	};
	size_t n;

	for (n = 0; n < sizeof table / sizeof *table; n++)
		if (table[n].error == error)
			return table[n].words;
	return "it cannot be executed";
}

/* Writes to the container's stderr, which is its log: a reader of the log does not see what `start` prints. */
static void say(struct player *p, const char *what, long error)
{
	const char *parts[] = { what, ": ", words_of(error), "\n" };
	size_t used = 0, n;

	for (n = 0; n < sizeof parts / sizeof *parts; n++) {
		const size_t length = text_length(parts[n]);
		if (used + length > sizeof p->text)
			return;
		memcpy(p->text + used, parts[n], length);
		used += length;
	}
	SYS(write, 2, p->text, used);
}

#define TEXT(n) ((char *)(uintptr_t)a[n])

static _Noreturn void become(struct player *p, const struct insn *i, const long *a)
{
	long error;

	send_message((int)a[3], 'X', i->step, 0, "", 0);
	error = SYS(execve, a[0], a[1], a[2]);
	/* `run` ends us when it has read the report; `start` must not wait for a reader of stderr. */
	if (a[4] && a[5])
		say(p, TEXT(4), -error);
	send_message((int)a[3], 'E', i->step, (i32)-error, p->text, 0);
	if (a[4] && !a[5])
		say(p, TEXT(4), -error);
	leave(error == -PR_ENOENT ? 127 : 126);
}

static long call(const struct insn *i, const long *a)
{
	long r;
	int tries = 0;

	if (!is_allowed(i->nr))
		return -PR_ENOSYS;
	do
		r = sys6(i->nr, a[0], a[1], a[2], a[3], a[4], a[5]);
	while (is_to_repeat(i->nr, r, tries++));
	return r;
}

/* A negative result is an errno; what may be negative and no errno goes into `value`. */
long execute(struct player *p, const struct insn *i, const long *a, long *value)
{
	switch (i->op) {
	case OP_SYSCALL:
		return call(i, a);
	case OP_STORE:
		return store(p, a);
	case OP_LOAD:
		if (!is_inside(p, a[0], a[1]))
			return -PR_EBADMSG;
		*value = (long)load_bytes(a[0], a[1]);
		return 0;
	case OP_EXPECT:
		return expect(p, i, a);
	case OP_JUMP:
		return 0;
	case OP_SET:
		*value = a[0];
		return 0;
	case OP_DECIMAL:
		return are_buffers(i, 0, 1) ? decimal(p, a[0], a[1], a[2] == 8 ? 8 : 10) : -PR_EBADMSG;
	case OP_RESOLVE:
		return are_buffers(i, 1, 1)
			       ? resolve((int)a[0], TEXT(1), a[2], (u32)a[3], (int)a[4])
			       : -PR_EBADMSG;
	case OP_SYNC:
		return synchronise(p, (int)a[0], a[1], (i32)a[2], i->step);
	case OP_HOME:
		return has_room(p, i, 2, a[2], a[3])
			       ? find_home((int)a[0], (u32)a[1], TEXT(2), (size_t)a[3])
			       : -PR_EBADMSG;
	case OP_LOOKUP:
		return are_buffers(i, 0, 2) && has_room(p, i, 2, a[2], a[3])
			       ? look_up(TEXT(0), TEXT(1), TEXT(2), (size_t)a[3])
			       : -PR_EBADMSG;
	case OP_HOOK:
		return has_room(p, i, 0, a[0], 48) ? hook(p, (const u64 *)TEXT(0)) : -PR_EBADMSG;
	case OP_WAIT:
		p->socket = (int)a[1]; /* from now on failures are start's */
		return wait_for_start((int)a[0]);
	case OP_EXEC:
		if (!are_buffers(i, 0, 3) || (a[4] && !are_buffers(i, 4, 1)))
			return -PR_EBADMSG;
		become(p, i, a);
	case OP_CLONE:
		return clone_sibling(p, (int)a[0], (u64)a[1], i->step);
	case OP_COPY:
		return copy_tree(p, (int)a[0], (int)a[1], a[2]);
	default:
		return -PR_EBADMSG;
	}
}
