/* Talking with the host over the socket, and waiting for `start` over the fifo. */
#include "tape.h"

/* Reads one message; the host's end of file means that it died, and so do we (security: R-26). */
static long receive(int socket, u8 *bytes, size_t size)
{
	for (;;) {
		const long n = SYS(read, socket, bytes, size);
		if (n > 0)
			return n;
		if (n != -PR_EINTR)
			leave(113);
	}
}

/* A late value goes into its declared slot and nowhere else. */
static int fill_slot(struct player *p, const struct message *m, const u8 *bytes, long got)
{
	const struct slot *slot = &p->slots[m->step];

	if (m->step >= p->slot_count || m->length > slot->size ||
	    (long)(sizeof *m + m->length) != got)
		return -PR_EBADMSG;
	memcpy(p->data + slot->offset, bytes, m->length);
	p->data[slot->offset + m->length] = 0;
	return 0;
}

long synchronise(struct player *p, int socket, long code)
{
	static u8 bytes[sizeof(struct message) + 65536];
	struct message m;

	send_message(socket, (u8)code, 0, 0, "", 0);
	for (;;) {
		const long n = receive(socket, bytes, sizeof bytes);
		if (n < (long)sizeof m)
			return -PR_EBADMSG;
		memcpy(&m, bytes, sizeof m);
		if (m.type == 'G')
			return 0;
		if (m.type != 'L' || fill_slot(p, &m, bytes + sizeof m, n) < 0)
			return -PR_EBADMSG;
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

/* Pid 1 of a pid namespace ignores signals without a handler; a created container must still end on
 * TERM. */
static void listen_to_signals(void)
{
	static const u8 fatal[] = {
		1, 2, 3, 10, 12, 14, 15
	}; /* HUP INT QUIT USR1 USR2 ALRM TERM */
	struct action action = { .handler = end_by_signal };
	size_t n;

	action.flags = 0x04000000; /* SA_RESTORER: the handler does not return */
	for (n = 0; n < sizeof fatal; n++)
		SYS(rt_sigaction, fatal[n], &action, 0, 8);
}

long wait_for_start(int fd)
{
	u8 bytes[64];

	listen_to_signals();
	receive(fd, bytes, sizeof bytes);
	return 0;
}
