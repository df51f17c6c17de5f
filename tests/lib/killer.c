/* Ends a command by SIGKILL at a chosen system call, and leaves what it had made behind.
 *
 *     killer host N CMD…   at the N-th system call the command itself enters
 *     killer init N CMD…   when its first child enters that child's N-th system call; the child is
 * let go
 *     killer clone N CMD…  the same for the first child of that child, which goes on in its place
 *     killer init-dies N CMD…, killer clone-dies N CMD…  it is that child which is killed
 *
 * With N 0, or beyond the last call, nothing is killed. The last line on stderr is `calls TOTAL
 * status S`: how many calls were counted, and the command's exit status (137 when it was killed).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *const sides[] = { "host", "init", "clone", "init-dies", "clone-dies" };
static const long traces = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXEC;
static const long follows = PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE;
static pid_t command, child, grandchild;
static const pid_t *counted = &command;
static int child_dies;
static long limit, count;

static void die(const char *what)
{
	perror(what);
	if (command > 0)
		kill(command, SIGKILL);
	exit(120);
}

static void start(char **words)
{
	int status;

	command = fork();
	if (command < 0)
		die("fork");
	if (command == 0) {
		if (ptrace(PTRACE_TRACEME, 0, 0, 0) < 0)
			_exit(120);
		raise(SIGSTOP);
		execvp(words[0], words);
		perror(words[0]);
		_exit(127);
	}
	if (waitpid(command, &status, 0) != command || !WIFSTOPPED(status))
		die("waitpid");
}

static void set_options(int with_children)
{
	const long own = PTRACE_O_EXITKILL | traces;

	if (ptrace(PTRACE_SETOPTIONS, command, 0, own | (with_children ? follows : 0)) < 0)
		die("ptrace");
}

static int is_entry(pid_t pid)
{
	struct __ptrace_syscall_info info;

	memset(&info, 0, sizeof info);
	ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info);
	return info.op == PTRACE_SYSCALL_INFO_ENTRY;
}

static void go_on(pid_t pid, int signal)
{
	/* ESRCH: somebody killed it meanwhile, its end is reported next. */
	if (ptrace(pid == *counted ? PTRACE_SYSCALL : PTRACE_CONT, pid, 0, signal) < 0 &&
	    errno != ESRCH)
		die("ptrace");
}

/* The first process the command makes is the init, the first that one makes may be its clone; later
 * ones are hooks and are nobody's business. */
static void meet(pid_t pid)
{
	const int with_clone = counted == &grandchild && !child;

	if (!child)
		child = pid;
	else if (counted == &grandchild && !grandchild)
		grandchild = pid;
	else {
		ptrace(PTRACE_DETACH, pid, 0, 0);
		return;
	}
	ptrace(PTRACE_SETOPTIONS, pid, 0, traces | (with_clone ? follows : 0));
	go_on(pid, 0);
}

static int end_command(void)
{
	int status;

	kill(command, SIGKILL);
	while (waitpid(command, &status, __WALL) == command && !WIFSIGNALED(status) &&
	       !WIFEXITED(status))
		;
	if (child > 0)
		ptrace(PTRACE_DETACH, child, 0, 0);
	if (grandchild > 0)
		ptrace(PTRACE_DETACH, grandchild, 0, 0);
	return status;
}

/* Returns whether the end has come; `status` is then the command's. */
static int handle(pid_t pid, int *status)
{
	const int signal = WSTOPSIG(*status), event = *status >> 16;

	if (!WIFSTOPPED(*status)) {
		if (pid == child)
			child = -1;
		if (pid == grandchild)
			grandchild = -1;
		return pid == command;
	}
	if (pid != command && pid != child && pid != grandchild) {
		meet(pid);
		return 0;
	}
	if (signal == (SIGTRAP | 0x80)) {
		if (is_entry(pid) && ++count == limit) {
			if (child_dies) {
				kill(pid, SIGKILL);
				return 0;
			}
			*status = end_command();
			return 1;
		}
		go_on(pid, 0);
	} else if (event) {
		if (pid == command && event != PTRACE_EVENT_EXEC)
			set_options(0); /* it has made its first child */
		if (pid == child && event != PTRACE_EVENT_EXEC)
			ptrace(PTRACE_SETOPTIONS, child, 0, traces);
		go_on(pid, 0);
	} else {
		go_on(pid, signal == SIGSTOP || signal == SIGTRAP ? 0 : signal);
	}
	return 0;
}

int main(int argc, char **argv)
{
	int status = 0, side;
	pid_t pid;

	for (side = 0; argc >= 4 && side < 5 && strcmp(argv[1], sides[side]); side++)
		;
	if (argc < 4 || side == 5) {
		fprintf(stderr, "usage: killer host|init|clone|init-dies|clone-dies N CMD...\n");
		return 120;
	}
	if (side)
		counted = side % 2 ? &child : &grandchild;
	child_dies = side > 2;
	limit = strtol(argv[2], NULL, 10);
	start(argv + 3);
	set_options(side > 0);
	go_on(command, 0);
	do {
		pid = waitpid(-1, &status, __WALL);
		if (pid < 0)
			die("waitpid");
	} while (!handle(pid, &status));
	fprintf(stderr, "calls %ld status %d\n", count,
		WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
	return 0;
}
