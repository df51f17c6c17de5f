/*
 * What a container looks like from the inside, as JSON.
 *
 * One static program, the only file a test's root file system needs. Its arguments are commands
 * divided by
 * `--`; each prints one JSON object on a line of its own, so that a test compares data and never
 * the text of somebody's `ps`. A command that fails says so in "errno" (the symbol, "" for success)
 * and the next one runs.
 *
 *     inside report                      everything it can see (inside_report.h)
 *     inside cat /etc/passwd -- exit 3   several, in order (inside_probes.h)
 *     inside keep user network           namespaces for others to join (inside_spaces.h)
 *
 * The report uses system calls rather than /proc wherever both would do: a container may have no
 * /proc. The parts are headers of one translation unit so that `gcc -static -O2 inside.c` is the
 * whole build.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "inside_json.h"
#include "inside_report.h"
#include "inside_probes.h"
#include "inside_spaces.h"
#include "inside_notify.h"
#include "inside_load.h"

struct command {
	const char *name;
	int least; /* how many arguments it needs */
	void (*run)(int count, char **words);
};

static const struct command commands[] = {
	{ "report", 0, report },
	{ "exit", 1, probe_exit },
	{ "cat", 1, probe_cat },
	{ "write", 2, probe_write },
	{ "create", 2, probe_create },
	{ "stat", 1, probe_stat },
	{ "ls", 1, probe_ls },
	{ "mkdir", 1, probe_mkdir },
	{ "unlink", 1, probe_unlink },
	{ "mknod", 4, probe_mknod },
	{ "open", 2, probe_open },
	{ "chdir", 1, probe_chdir },
	{ "trywrite", 0, probe_trywrite },
	{ "pause", 0, probe_pause },
	{ "wait", 0, probe_wait },
	{ "spawn", 0, probe_spawn },
	{ "signal", 1, probe_signal },
	{ "echo", 1, probe_echo },
	{ "stderr", 1, probe_stderr },
	{ "read", 0, probe_read },
	{ "winsize", 0, probe_winsize },
	{ "winch", 0, probe_winch },
	{ "syscall", 1, probe_syscall },
	{ "alloc", 1, probe_alloc },
	{ "forks", 1, probe_forks },
	{ "exec", 1, probe_exec },
	{ "tryexec", 1, probe_tryexec },
	{ "setuid", 1, probe_setuid },
	{ "device", 4, probe_device },
	{ "ids", 0, probe_ids },
	{ "spin", 1, probe_spin },
	{ "swap", 2, probe_swap },
	{ "transfer", 4, probe_transfer },
	{ "thread", 1, probe_thread },
	{ "leave", 0, probe_leave },
	{ "member", 1, probe_member },
	{ "keep", 1, probe_keep },
	{ "stalk", 2, probe_stalk },
	{ "hold", 0, probe_hold },
	{ "notify", 1, probe_notify },
	{ "notify-fd", 1, probe_notify_fd },
	{ "notify-many", 2, probe_notify_many },
};

static void run_one(int count, char **words)
{
	for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
		if (strcmp(commands[i].name, words[0]))
			continue;
		if (count - 1 < commands[i].least)
			break;
		commands[i].run(count - 1, words + 1);
		fflush(stdout);
		return;
	}
	fprintf(stderr, "inside: `%s` is not a command, or lacks an argument\n", words[0]);
	exit(64);
}

int main(int argc, char **argv)
{
	saved_argc = argc;
	saved_argv = argv;
	int first = 1;
	for (int i = 1; i <= argc; i++) {
		if (i < argc && strcmp(argv[i], "--"))
			continue;
		if (i > first)
			run_one(i - first, argv + first);
		first = i + 1;
	}
	return 0;
}
