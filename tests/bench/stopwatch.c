/*
 * Starts programs and says what each of them cost.
 *
 * A runtime verb lasts a few milliseconds, so the measuring process must add next to nothing, and
 * it must be small: the kernel hands the memory high-water mark of the process that called vfork on
 * to its child, and started from an interpreter every runtime would seem to need as much memory as
 * the interpreter.
 *
 *     stopwatch OUT ERR        requests on stdin, one a line, fields divided by tabs; one line of
 * answer for each run  PROGRAM ARGUMENT..  starts it (stdin /dev/null, stdout OUT, stderr ERR, both
 * emptied first), waits for it wait PID                 waits for a container's init, which was
 * re-parented to this process (a subreaper) answer: STATUS WALL_NS CPU_US MAXRSS_KIB   (status:
 * exit code, 128 + signal, or -errno)
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { FIELDS = 64 };

static long long now(void)
{
	struct timespec at;
	clock_gettime(CLOCK_MONOTONIC, &at);
	return at.tv_sec * 1000000000LL + at.tv_nsec;
}

static void answer(long long begin, pid_t pid, int error)
{
	struct rusage used = { 0 };
	int status = 0;
	if (!error && wait4(pid, &status, 0, &used) < 0)
		error = errno;
	long long wall = now() - begin;
	long long cpu = (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000LL +
			used.ru_utime.tv_usec + used.ru_stime.tv_usec;
	int code = error		 ? -error
		   : WIFSIGNALED(status) ? 128 + WTERMSIG(status)
					 : WEXITSTATUS(status);
	printf("%d %lld %lld %ld\n", code, wall, cpu, used.ru_maxrss);
	fflush(stdout);
}

static void run(char **argv, int null, int out, int err)
{
	if (ftruncate(out, 0) < 0 && errno != EINVAL)
		exit(1);
	if (ftruncate(err, 0) < 0 && errno != EINVAL)
		exit(1);
	volatile int failed = 0;
	long long begin = now();
	pid_t pid = vfork();
	if (pid == 0) {
		if (dup2(null, 0) >= 0 && dup2(out, 1) >= 0 && dup2(err, 2) >= 0)
			execv(argv[0], argv);
		failed = errno;
		_exit(127);
	}
	answer(begin, pid, pid < 0 ? errno : 0);
	if (failed)
		exit(1);
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int out = open(argv[1], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	int err = open(argv[2], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (null < 0 || out < 0 || err < 0)
		return 1;
	if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return 1;

	char *line = NULL;
	size_t room = 0;
	ssize_t length;
	while ((length = getline(&line, &room, stdin)) > 0) {
		if (line[length - 1] == '\n')
			line[length - 1] = 0;
		char *words[FIELDS];
		int count = 0;
		for (char *rest = line; rest && count < FIELDS - 1;)
			words[count++] = strsep(&rest, "\t");
		words[count] = NULL;
		if (!strcmp(words[0], "run") && count > 1) {
			run(words + 1, null, out, err);
		} else if (!strcmp(words[0], "wait") && count == 2) {
			answer(now(), (pid_t)atoi(words[1]), 0);
		} else {
			return 2;
		}
	}
	return 0;
}
