/*
 * The world a tape is played in here: no system call is made. What each would have answered comes
 * from a script in front of the tape, so that damage reaches all that the built-ins decide:
 *
 *   two bytes: n in the lower twelve bits, whether to repair the tape in the highest;
 *   n bytes of script; the tape
 *
 * A call's memory is read and written to the length the kernel would, for the sanitizers to see.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include "../../../native/init/calls.h"
#include "entry.h"

#define SCRIPT_LIMIT 4096
#define REPAIR	     0x80
#define NOT_MINE     LONG_MIN
#define CALL_LIMIT   60000 /* an empty script's answers end every loop long before */

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);
void leave(int status);
long of_the_tape(long nr, long a, long b, long c, long d, long e, long f);
long of_a_builtin(long nr, long a, long b, long c, long d, long e, long f);

static const uint8_t *script, *script_end;
static jmp_buf away;
static unsigned long calls;
static int64_t now;

static void complain(const char *what, long number)
{
	fprintf(stderr, "the init %s (%ld)\n", what, number);
	abort();
}

static unsigned next(unsigned otherwise)
{
	if (++calls > CALL_LIMIT)
		complain("does not come to an end", (long)calls);
	return script < script_end ? *script++ : otherwise;
}

/* Mostly success, for a failure ends most tapes. */
static long answer(long success)
{
	static const uint8_t errnos[] = { EINTR,  ENOENT, EAGAIN,    EEXIST, ENOTDIR, ELOOP,
					  EINVAL, ENOSYS, EACCES,    EPERM,  EBUSY,   EFAULT,
					  EISDIR, ESRCH,  EOVERFLOW, ENOMEM };
	const unsigned byte = next(0);

	return byte < 192 ? success : -(long)errnos[byte % sizeof errnos];
}

static void fill(void *to, size_t size)
{
	uint8_t *bytes = to;

	while (size--)
		*bytes++ = (uint8_t)next('/');
}

static void look_at(const void *from, size_t size)
{
	static volatile uint8_t seen;
	const uint8_t *bytes = from;

	while (size--)
		seen = *bytes++;
	(void)seen;
}

static void look_at_text(const char *text)
{
	look_at(text, strlen(text) + 1);
}

static long some_of(long most)
{
	const long wanted = (long)(next(0) | next(0) << 8);

	return wanted < most ? wanted : most;
}

/* What the host says while the init waits for its go: that, a late value, or noise. */
static long say(uint8_t *to, long room)
{
	const unsigned kind = next(0);
	const uint32_t length = kind % 4 == 1 ? next(0) : 0;

	memset(to, 0, 12);
	to[0] = kind % 4 == 1 ? 'L' : 'G';
	to[2] = (uint8_t)(kind >> 4);
	memcpy(to + 8, &length, 4);
	fill(to + 12, length);
	if (kind % 4 > 1) {
		fill(to, 12);
		return some_of(room);
	}
	return answer(12 + (long)length);
}

static long read_from(uint8_t *to, long room)
{
	long n;

	if (room > 65536) /* only the buffer for the host's words is as large */
		return say(to, room);
	n = room == 64 ? 1 : some_of(room); /* the fifo of `start` */
	fill(to, (size_t)n);
	return answer(n);
}

static long give_stat(struct statx *st)
{
	static const uint16_t modes[] = { S_IFREG | 0755, S_IFDIR | 0755, S_IFREG | 0644, S_IFIFO,
					  S_IFLNK | 0777 };

	memset(st, 0, sizeof *st);
	st->stx_mode = modes[next(0) % 5];
	return answer(0);
}

static long give_events(struct pollfd *fds, long count)
{
	long n;

	for (n = 0; n < count; n++)
		fds[n].revents = (short)(next(n == count - 1 ? 1 : 0) & 0x1f);
	return answer(count);
}

static void check_name(const char *name)
{
	look_at_text(name);
	if (strchr(name, '/'))
		complain("makes more than one component at once", 0);
}

/* Whole records, as the kernel gives them: 19 bytes of head, a name of one or two letters. */
static long give_entries(uint8_t *to)
{
	const unsigned count = next(0) % 4;
	unsigned n;

	for (n = 0; n < count; n++, to += 24) {
		const unsigned kind = next(0) % 4;
		memset(to, 0, 24);
		to[16] = 24;
		to[19] = kind == 1 || kind == 2 ? '.' : (uint8_t)('a' + n);
		to[20] = kind == 2 ? '.' : kind == 3 ? 'x' : 0;
	}
	return answer(24 * (long)count);
}

static long give_attributes(char *to)
{
	const unsigned count = next(0) % 3;

	memcpy(to, "user.a\0user.b", count * 7);
	return answer(7 * (long)count);
}

/* Of a file there is never less than a byte of data between two holes. */
static long seek(long at, long whence)
{
	if (whence == SEEK_DATA)
		return next(0) % 4 ? answer(at + (long)next(0)) : -ENXIO;
	return answer(whence == SEEK_HOLE ? at + 1 + (long)next(0) : at);
}

/* What filling a tmpfs needs beside. */
static long of_a_copy(long nr, long b, long c, long d)
{
	switch (nr) {
	case SYS_getdents64:
		return give_entries((uint8_t *)b);
	case SYS_flistxattr:
		return give_attributes((char *)b);
	case SYS_fgetxattr:
		look_at_text((const char *)b);
		d = some_of(d < 256 ? d : 256);
		fill((void *)c, (size_t)d);
		return answer(d);
	case SYS_fsetxattr:
		look_at_text((const char *)b);
		look_at((const void *)c, (size_t)d);
		return answer(0);
	case SYS_lseek:
		return seek(b, c);
	case SYS_sendfile:
		return answer(some_of(d));
	case SYS_symlinkat:
		check_name((const char *)c);
		return answer(0);
	case SYS_fchownat:
		check_name((const char *)b);
		return answer(0);
	case SYS_utimensat:
		if (b)
			check_name((const char *)b);
		look_at((const void *)c, 2 * sizeof(struct timespec));
		return answer(0);
	case SYS_fchown:
	case SYS_fchmod:
	case SYS_ftruncate:
		return answer(0);
	default:
		return NOT_MINE;
	}
}

static long of_a_file(long nr, long a, long b, long c, long d, long e)
{
	long n;

	(void)a;
	switch (nr) {
	case SYS_read:
		return read_from((uint8_t *)b, c);
	case SYS_write:
		look_at((const void *)b, (size_t)c);
		n = answer(c);
		return n > 0 && next(0) > 200 ? n / 2 : n;
	case SYS_statx:
		look_at_text((const char *)b);
		return give_stat((struct statx *)e);
	case SYS_readlinkat:
		check_name((const char *)b);
		n = some_of(d < PATH_MAX ? d : PATH_MAX - 1);
		fill((void *)c, (size_t)n);
		return next(255) < 192 ? n : -EINVAL;
	case SYS_openat2:
		look_at_text((const char *)b);
		look_at((const void *)c, (size_t)d);
		return answer(7);
	case SYS_openat:
	case SYS_mkdirat:
		check_name((const char *)b);
		return answer(8);
	case SYS_faccessat:
	case SYS_faccessat2:
		look_at_text((const char *)b);
		return answer(0);
	case SYS_newfstatat:
		look_at_text((const char *)b);
		memset((void *)c, 0, sizeof(struct stat));
		return answer(0);
	case SYS_pipe2:
		((int *)a)[0] = 20 + (int)next(0);
		((int *)a)[1] = 21 + (int)next(0);
		return answer(0);
	default:
		return 1;
	}
}

static long of_a_process(long nr, long a, long b, long c)
{
	switch (nr) {
	case SYS_clone:
		*(int *)c = 9;
		return answer(next(1) & 1 ? 1000 : 0);
	case SYS_clone3:
		look_at((const void *)a, (size_t)b);
		return answer(next(1) & 1 ? 1000 : 0);
	case SYS_wait4:
		*(int *)b = (int)(next(0) << 8 | next(0));
		return answer(a);
	case SYS_clock_gettime:
		now += next(10);
		((struct timespec *)b)->tv_sec = now;
		((struct timespec *)b)->tv_nsec = 999999999;
		return 0;
	case SYS_ppoll:
		return give_events((struct pollfd *)a, b);
	case SYS_rt_sigaction:
		look_at((const void *)b, 32);
		return 0;
	case SYS_execve: /* the kernel judges its pointers */
	case SYS_chdir:
	case SYS_close:
	case SYS_close_range:
	case SYS_dup3:
	case SYS_fcntl:
	case SYS_kill:
	case SYS_prctl:
	case SYS_setpgid:
		return answer(0);
	default:
		complain("makes a system call nobody expects of it", nr);
	}
	return 0;
}

long of_a_builtin(long nr, long a, long b, long c, long d, long e, long f)
{
	const long copied = of_a_copy(nr, b, c, d);

	(void)f;
	if (copied != NOT_MINE)
		return copied;
	switch (nr) {
	case SYS_exit_group:
		longjmp(away, (int)a + 1000);
	case SYS_read:
	case SYS_write:
	case SYS_statx:
	case SYS_readlinkat:
	case SYS_openat2:
	case SYS_openat:
	case SYS_mkdirat:
	case SYS_faccessat:
	case SYS_faccessat2:
	case SYS_newfstatat:
	case SYS_pipe2:
		return of_a_file(nr, a, b, c, d, e);
	default:
		return of_a_process(nr, a, b, c);
	}
}

/* What a tape asks for is its own affair, as long as it is in the list. */
long of_the_tape(long nr, long a, long b, long c, long d, long e, long f)
{
	(void)a, (void)b, (void)c, (void)d, (void)e, (void)f;
	switch (nr) {
#define ALLOW(name) case SYS_##name:
		TAPE_CALLS(ALLOW)
#undef ALLOW
		return answer((long)next(3));
	default:
		complain("plays a system call that is not in calls.h", nr);
	}
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
	size_t length, fixed;
	uint8_t *tape, *before;
	int played;

	if (size < 2 + 24)
		return 0;
	length = (size_t)(input[0] | input[1] << 8) % SCRIPT_LIMIT;
	if (length > size - 2 - 24)
		return 0;
	script = input + 2;
	script_end = script + length;
	size -= 2 + length;
	tape = malloc(size);
	before = malloc(size);
	if (!tape || !before)
		abort();
	memcpy(tape, script_end, size);
	if (input[1] & REPAIR)
		repair_tape(tape, size);
	memcpy(before, tape, size);
	calls = 0;
	now = 0;
	played = setjmp(away);
	if (!played)
		played = play_tape(tape, size);
	fixed = fixed_size(before);
	if (played && memcmp(tape, before, fixed))
		complain("writes to the tape outside its data", played);
	free(tape);
	free(before);
	return 0;
}
