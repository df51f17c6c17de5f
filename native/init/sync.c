/* Talking with the host over the socket, going on in a clone, and waiting for `start` over the
 * fifo.
 */
#include <linux/sched.h>
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

/* Takes late values until the host says that we may go on. */
static long wait_for_go(struct player *p, int socket)
{
	static u8 bytes[sizeof(struct message) + 196608];
	struct message m;

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

long synchronise(struct player *p, int socket, long code, i32 number, u16 step)
{
	send_message(socket, (u8)code, step, number, "", 0);
	return wait_for_go(p, socket);
}

/* The container's process must be a child of the runtime and belong to namespaces that only a child
 * can enter. Its stage ends here; the clone waits until the host has written down who it is. */
long clone_sibling(struct player *p, int socket, u64 namespaces, u16 step)
{
	struct clone_args args = { .flags = CLONE_PARENT | namespaces };
	long pid;

	if (namespaces & ~(u64)CLONE_NEWPID)
		return -PR_EBADMSG;
	pid = SYS(clone3, &args, sizeof args);
	if (pid < 0)
		return pid;
	if (pid) {
		send_message(socket, 'K', step, (i32)pid, "", 0);
		leave(0);
	}
	return wait_for_go(p, socket);
}

long wait_for_start(int fd)
{
	u8 bytes[64];

	receive(fd, bytes, sizeof bytes);
	return 0;
}
