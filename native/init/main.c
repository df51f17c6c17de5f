/* The container's first process: loads the tape, checks it, plays it. */
#include <linux/mman.h>
#include <linux/prctl.h>
#include <linux/stat.h>
#include "tape.h"

#if defined(__aarch64__)
#define PAGE 65536ul /* kernels have pages of 4, 16 or 64 KiB */
#else
#define PAGE 4096ul
#endif
#define PR_AT_EMPTY_PATH 0x1000

void *memcpy(void *to, const void *from, size_t n)
{
	u8 *d = to;
	const u8 *s = from;
	while (n--)
		*d++ = *s++;
	return to;
}

void *memset(void *to, int c, size_t n)
{
	u8 *d = to;
	while (n--)
		*d++ = (u8)c;
	return to;
}

_Noreturn void leave(int status)
{
	for (;;)
		SYS(exit_group, status);
}

void send_message(int fd, u8 type, u16 step, i32 number, const char *text, u32 length)
{
	u8 bytes[sizeof(struct message) + MESSAGE_TEXT];
	struct message m = { type, 0, step, number, length > MESSAGE_TEXT ? MESSAGE_TEXT : length };

	memcpy(bytes, &m, sizeof m);
	memcpy(bytes + sizeof m, text, m.length);
	while (SYS(write, fd, bytes, sizeof m + m.length) == -PR_EINTR)
		;
}

/* Maps the tape privately with an unmapped page behind it, so that the kernel's own copies stop
 * there too. */
static u8 *load(int fd, u64 *size)
{
	struct statx st;
	u64 room;
	long at;

	if (SYS(statx, fd, "", PR_AT_EMPTY_PATH, STATX_SIZE, &st) < 0)
		return NULL;
	*size = st.stx_size;
	if (*size < sizeof(struct tape_header) || *size > TAPE_LIMIT)
		return NULL;
	room = (*size + PAGE - 1) & ~(PAGE - 1);
	at = SYS(mmap, 0, room + PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (at < 0)
		return NULL;
	at = SYS(mmap, at, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, fd, 0);
	return at < 0 ? NULL : (u8 *)at;
}

/* Every count, offset and end is judged here, once; the player then relies on it. */
static int arrange(struct player *p, u8 *tape, u64 size)
{
	const struct tape_header *h = (const void *)tape;
	const u64 insns = h->insns_size;
	const u64 relocs = ((u64)h->reloc_count * sizeof(u32) + 7) & ~7ull;
	const u64 slots = (u64)h->slot_count * sizeof(struct slot);
	const u32 *reloc;
	u32 n;

	if (h->magic != TAPE_MAGIC || h->version != TAPE_VERSION)
		return -PR_EBADMSG;
	if (insns + relocs + slots + h->data_size + sizeof *h != size || !h->data_size || insns % 8)
		return -PR_EBADMSG;
	p->insns = tape + sizeof *h;
	p->insns_end = p->insns + insns;
	reloc = (const void *)(tape + sizeof *h + insns);
	p->slots = (const void *)(tape + sizeof *h + insns + relocs);
	p->data = tape + sizeof *h + insns + relocs + slots;
	p->slot_count = h->slot_count;
	p->data_size = h->data_size;
	if (p->data[p->data_size - 1])
		return -PR_EBADMSG; /* the last string would not end */
	for (n = 0; n < h->slot_count; n++)
		if (p->slots[n].offset >= p->data_size ||
		    p->slots[n].size >= p->data_size - p->slots[n].offset)
			return -PR_EBADMSG;
	for (n = 0; n < h->reloc_count; n++) {
		u64 value;
		if (reloc[n] % 8 || (u64)reloc[n] + 8 > p->data_size)
			return -PR_EBADMSG;
		memcpy(&value, p->data + reloc[n], 8);
		if (value >= p->data_size)
			return -PR_EBADMSG;
		value += (u64)(uintptr_t)p->data;
		memcpy(p->data + reloc[n], &value, 8);
	}
	return 0;
}

int kind_of(const struct insn *i, int argument)
{
	return argument < i->count ? i->kinds >> (2 * argument) & 3 : KIND_VALUE;
}

/* Reads an argument the way its kind says; buffers must begin inside the data. */
static int argument(const struct player *p, int kind, u64 raw, long *value)
{
	if (kind == KIND_VALUE)
		*value = (long)raw;
	else if (kind == KIND_REGISTER && raw < TAPE_REGISTERS)
		*value = ~p->complements[raw];
	else if (kind == KIND_BUFFER && raw < p->data_size)
		*value = (long)(uintptr_t)(p->data + raw);
	else
		return -PR_EBADMSG;
	return 0;
}

/* The instruction at `at`, or NULL where no whole one is. */
static const struct insn *instruction(const struct player *p, const u8 *at)
{
	const struct insn *i = (const void *)at;

	if ((size_t)(p->insns_end - at) < sizeof *i || i->count > ARGUMENTS ||
	    (size_t)(p->insns_end - at) < sizeof *i + i->count * sizeof(u64))
		return NULL;
	return i;
}

static const u8 *after(const struct insn *i)
{
	return (const u8 *)i + sizeof *i + i->count * sizeof(u64);
}

_Noreturn static void fail(struct player *p, const struct insn *i, long error)
{
	if (i->log < TAPE_REGISTERS && ~p->complements[i->log] >= 0 && !p->text_length) {
		const long n = SYS(read, ~p->complements[i->log], p->text, sizeof p->text);
		p->text_length = n > 0 ? (u32)n : 0;
	}
	send_message(p->socket, 'E', i->step, (i32)error, p->text, p->text_length);
	leave(111);
}

/* Skips only over whole instructions. */
static const u8 *skip(struct player *p, const struct insn *from)
{
	const u8 *at = after(from);
	u16 n;

	for (n = 0; n < from->skip; n++) {
		const struct insn *i = instruction(p, at);
		if (!i)
			fail(p, from, PR_EBADMSG);
		at = after(i);
	}
	return at;
}

static int is_accepted(const struct insn *i, long error)
{
	int n;

	for (n = 0; n < 4; n++)
		if (i->ok[n] && i->ok[n] == error)
			return 1;
	return 0;
}

static void play(struct player *p)
{
	static const struct insn torn = { .step = 0xffff, .log = NO_REGISTER };
	const u8 *at = p->insns;

	while (at < p->insns_end) {
		const struct insn *i = instruction(p, at);
		long a[ARGUMENTS] = { 0 }, result, value = 0;
		int n;

		if (!i)
			fail(p, &torn, PR_EBADMSG);
		for (n = 0; n < i->count; n++)
			if (argument(p, kind_of(i, n), i->arg[n], &a[n]) < 0)
				fail(p, i, PR_EBADMSG);
		at = after(i);
		result = execute(p, i, a, &value);
		if (result < 0) {
			if (!is_accepted(i, -result))
				fail(p, i, -result);
			p->text_length = 0;
			at = skip(p, i);
		} else if ((i->op == OP_EXPECT && !result) || i->op == OP_JUMP) {
			at = skip(p, i);
		} else if (i->out != NO_REGISTER) {
			if (i->out >= TAPE_REGISTERS)
				fail(p, i, PR_EBADMSG);
			p->complements[i->out] =
				~(i->op == OP_SET || i->op == OP_LOAD ? value : result);
		}
	}
}

struct action {
	void (*handler)(int);
	unsigned long flags;
	void (*restorer)(void);
	u64 mask;
};

static void end_by_signal(int signal)
{
	leave(128 + signal);
}

/* Callers hand down ignored and blocked signals (Python itself ignores PIPE and XFSZ); programs
 * expect none. Pid 1 of a pid namespace ignores signals without a handler, and a created container
 * must still end on TERM. */
static void reset_signals(void)
{
	static const u8 fatal[] = {
		1, 2, 3, 10, 12, 14, 15
	}; /* HUP INT QUIT USR1 USR2 ALRM TERM */
	struct action action = { 0 };
	const u64 none = 0;
	size_t n;

	for (n = 1; n <= 64; n++)
		SYS(rt_sigaction, n, &action, 0, 8); /* KILL and STOP refuse, which is right */
	action.handler = end_by_signal;
	action.flags = 0x04000000; /* SA_RESTORER: the handler does not return */
	for (n = 0; n < sizeof fatal; n++)
		SYS(rt_sigaction, fatal[n], &action, 0, 8);
	SYS(rt_sigprocmask, 2 /* SIG_SETMASK */, &none, 0, 8);
}

/* argv[1] is the number of the tape's descriptor, the socket is the next one. */
static int first_descriptor(long *stack)
{
	const char *digits = stack[0] == 2 ? (const char *)stack[2] : "";
	int n = 0;

	while (*digits >= '0' && *digits <= '9' && n < 100000)
		n = n * 10 + (*digits++ - '0');
	return *digits ? 0 : n;
}

__attribute__((used)) _Noreturn void start_init(long *stack)
{
	static struct player p; /* in .bss: the stack of a container's init stays small */
	u64 size = 0;
	u8 *tape;
	int fd;

	/* Nobody may look into this process before the program replaces it (CVE-2016-9962). */
	SYS(prctl, PR_SET_DUMPABLE, 0, 0, 0, 0);
	fd = first_descriptor(stack);
	if (fd < 3 || !(tape = load(fd, &size)))
		leave(110); /* started by somebody else, through /proc/PID/exe */
	p.socket = fd + 1;
	if (arrange(&p, tape, size) < 0) {
		send_message(p.socket, 'E', 0xffff, PR_EBADMSG, "", 0);
		leave(111);
	}
	reset_signals();
	play(&p); /* the descriptor of the tape keeps its number taken until the tape sweeps it away
		   */
	leave(112); /* a tape ends in exec */
}

#if defined(__x86_64__)
__asm__(".globl _start\n_start:\n\txor %ebp, %ebp\n\tmov %rsp, %rdi\n\tand $-16, %rsp\n\tcall "
	"start_init\n");
#else
__asm__(".globl _start\n_start:\n\tmov x29, xzr\n\tmov x30, xzr\n\tmov x0, sp\n\tbl start_init\n");
#endif
