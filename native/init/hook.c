/* A hook of the container's side: run a program with the state on its stdin, bounded output and a
 * deadline. */
#include "tape.h"

#define CLOCK_MONOTONIC_ 1
#define POLLIN_		 1
#define POLLOUT_	 4
#define O_NONBLOCK_	 04000
#define SIGCHLD_	 17

struct pollfd {
	int fd;
	short events, revents;
};

struct timespec {
	i64 seconds, nanoseconds;
};

/* The block in the tape's data: six numbers, the pointers already relocated. */
struct request {
	const char *path;
	char *const *argv, *const *envp;
	const char *input;
	u64 input_length; /* 0: up to its NUL, for a late value */
	u64 timeout_ms;	  /* 0: none */
};
#define TIMEOUT_LIMIT (1ull << 62) /* the end of it must be a time of the clock */

struct channel {
	int ours, theirs;
	u32 length;
	char text[MESSAGE_TEXT / 2 - 8];
};

static i64 now_ms(void)
{
	struct timespec t = { 0, 0 };
	SYS(clock_gettime, CLOCK_MONOTONIC_, &t);
	return t.seconds * 1000 + t.nanoseconds / 1000000;
}

static long open_channel(struct channel *c, int inward)
{
	int ends[2];
	const long r = SYS(pipe2, ends, 02000000);

	if (r < 0)
		return r;
	c->ours = ends[inward ? 0 : 1];
	c->theirs = ends[inward ? 1 : 0];
	c->length = 0;
	SYS(fcntl, c->ours, 4 /* F_SETFL */, O_NONBLOCK_);
	return 0;
}

static _Noreturn void run_child(const struct request *q, const struct channel *c)
{
	int n, error;

	SYS(setpgid, 0, 0);
	for (n = 0; n < 3; n++) /* 0..2 are always open in us, so no pipe sits there */
		SYS(dup3, c[n].theirs, n, 0);
	SYS(close_range, 3, ~0u, 4 /* CLOSE_RANGE_CLOEXEC: the fourth pipe lives until execve */);
	SYS(prctl, 1 /* PR_SET_PDEATHSIG */, 9);
	error = (int)-SYS(execve, q->path, q->argv, q->envp);
	SYS(write, c[3].theirs, &error, sizeof error);
	leave(127);
}

/* Keeps the tail: the last words of a hook say why it failed. */
static void drain(struct channel *c)
{
	char block[512];
	long n = SYS(read, c->ours, block, sizeof block), at;

	if (n <= 0 && n != -PR_EAGAIN && n != -PR_EINTR) {
		SYS(close, c->ours);
		c->ours = -1;
	}
	for (at = 0; at < n; at++) {
		if (c->length == sizeof c->text) {
			memcpy(c->text, c->text + c->length / 2, c->length / 2);
			c->length /= 2;
		}
		c->text[c->length++] = block[at];
	}
}

static void feed(struct channel *c, const char **input, u64 *left)
{
	const long n = SYS(write, c->ours, *input, *left);

	if (n > 0) {
		*input += n;
		*left -= (u64)n;
	}
	if (!*left || (n < 0 && n != -PR_EAGAIN && n != -PR_EINTR)) {
		SYS(close, c->ours); /* a hook need not read its input */
		c->ours = -1;
	}
}

/* Serves the three pipes until the hook has exited; the pipes may outlive it in a daemon, so they
 * do not decide. */
static long serve(const struct request *q, struct channel *c, int pidfd)
{
	const i64 end = q->timeout_ms ? now_ms() + (i64)q->timeout_ms : 0;
	const char *input = q->input;
	u64 left = q->input_length ? q->input_length : text_length(input);
	int rounds = 0; /* after the exit: a daemon of the hook's may write for ever */

	for (;;) {
		struct pollfd fds[4] = { { c[0].ours, POLLOUT_, 0 },
					 { c[1].ours, POLLIN_, 0 },
					 { c[2].ours, POLLIN_, 0 },
					 { pidfd, POLLIN_, 0 } };
		struct timespec wait = { 0, 0 };
		i64 rest = end - now_ms();
		long r;

		if (end && rest <= 0)
			return -PR_ETIME;
		wait.seconds = rest / 1000;
		wait.nanoseconds = rest % 1000 * 1000000;
		r = SYS(ppoll, fds, 4, end ? &wait : NULL, NULL, 8);
		if (r < 0 && r != -PR_EINTR)
			return r;
		if (r <= 0)
			continue;
		if (fds[0].revents)
			feed(&c[0], &input, &left);
		if (fds[1].revents)
			drain(&c[1]);
		if (fds[2].revents)
			drain(&c[2]);
		if (fds[3].revents &&
		    (!((fds[1].revents | fds[2].revents) & POLLIN_) || ++rounds > 64))
			return 0;
	}
}

static void explain(struct player *p, const struct channel *c)
{
	memcpy(p->text, c[1].text, c[1].length);
	p->text[c[1].length] = 0;
	memcpy(p->text + c[1].length + 1, c[2].text, c[2].length);
	p->text_length = c[1].length + 1 + c[2].length;
}

/* A hook may end without reading its input: that breaks the pipe and must not end the init. */
static void set_broken_pipe(u64 handler)
{
	const u64 action[4] = { handler, 0, 0, 0 };

	SYS(rt_sigaction, 13 /* SIGPIPE */, action, 0, 8);
}

static int is_inside_data(const struct player *p, const struct request *q)
{
	const u64 at = (u64)(uintptr_t)q->input - (u64)(uintptr_t)p->data;

	return at < p->data_size && q->input_length <= p->data_size - at;
}

/* 0, an errno, or (the program's wait status) - 0x100000: the host tells these apart. */
long hook(struct player *p, const u64 *block)
{
	static struct channel c[4]; /* stdin, stdout, stderr, and why execve failed */
	struct request q;
	int pidfd = -1, n, status = 0, error;
	long pid, r = 0;

	memcpy(&q, block, sizeof q);
	if (!is_inside_data(p, &q) || q.timeout_ms >= TIMEOUT_LIMIT)
		return -PR_EBADMSG;
	for (n = 0; n < 4 && !r; n++)
		r = open_channel(&c[n], n != 0);
	if (r < 0)
		return r;
	pid = SYS(clone, 0x1000 | SIGCHLD_, 0, &pidfd, 0,
		  0); /* CLONE_PIDFD; a plain fork: own memory */
	if (pid == 0)
		run_child(&q, c);
	for (n = 0; n < 4; n++)
		SYS(close, c[n].theirs);
	set_broken_pipe(1 /* SIG_IGN */);
	r = pid < 0 ? pid : serve(&q, c, pidfd);
	set_broken_pipe(0 /* SIG_DFL */);
	if (pid > 0) {
		if (r < 0) {
			SYS(kill, -pid, 9);
			SYS(kill, pid, 9);
		}
		while (SYS(wait4, pid, &status, 0, NULL) == -PR_EINTR)
			;
		SYS(close, pidfd);
	}
	if (SYS(read, c[3].ours, &error, sizeof error) == sizeof error)
		r = -error;
	for (n = 0; n < 4; n++)
		if (c[n].ours >= 0)
			SYS(close, c[n].ours);
	if (!r && status)
		r = -(long)(0x100000 | (status & 0xffff));
	if (r < 0)
		explain(p, c);
	return r;
}
