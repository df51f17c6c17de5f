/* Namespaces kept for others to join, and a process that stalks those who join. Part of inside.c.
 */

struct space {
	const char *name;
	int flag;
};

static const struct space spaces[] = {
	{ "pid", CLONE_NEWPID },       { "network", CLONE_NEWNET },
	{ "mount", CLONE_NEWNS },      { "ipc", CLONE_NEWIPC },
	{ "uts", CLONE_NEWUTS },       { "user", CLONE_NEWUSER },
	{ "cgroup", CLONE_NEWCGROUP }, { "time", 0x80 }, /* CLONE_NEWTIME */
};

static int space_flag(const char *name)
{
	for (size_t i = 0; i < sizeof spaces / sizeof *spaces; i++)
		if (!strcmp(spaces[i].name, name))
			return spaces[i].flag;
	fprintf(stderr, "inside: `%s` is no kind of namespace\n", name);
	exit(64);
}

/* Says where it is and waits for a byte. */
static int halt_at(const char *place, pid_t pid)
{
	char byte;
	begin();
	string("cmd", place);
	number("pid", pid);
	end();
	fflush(stdout);
	return read(0, &byte, 1) == 1;
}

static void must(long done, const char *what)
{
	if (done < 0) {
		outcome(what, NULL, done);
		fflush(stdout);
		exit(1);
	}
}

/* keep KIND…: new namespaces of these kinds until stdin ends. It halts twice for what only somebody
 * outside may write: at "maps" in the new user namespace and at "offsets" before the first process
 * of the new time namespace; then it says "kept" with the pid of the process that holds them all.
 */
static void probe_keep(int count, char **words)
{
	int flags = 0;
	for (int i = 0; i < count; i++)
		flags |= space_flag(words[i]);
	if (flags & CLONE_NEWUSER) {
		must(unshare(CLONE_NEWUSER), "unshare");
		if (!halt_at("maps", getpid()))
			return;
		must(setresgid(0, 0, 0), "setresgid");
		must(setresuid(0, 0, 0), "setresuid");
		prctl(PR_SET_DUMPABLE, 1, 0, 0, 0); /* its owner opens /proc/PID/ns */
	}
	must(unshare(flags & ~CLONE_NEWUSER), "unshare");
	if (flags & CLONE_NEWUTS)
		must(sethostname("keeper", 6), "sethostname");
	if (flags & space_flag("time") && !halt_at("offsets", getpid()))
		return;
	pid_t child = 0;
	if (flags & (CLONE_NEWPID | space_flag("time"))) {
		child = fork();
		must(child, "fork");
		if (child == 0)
			for (;;)
				pause();
	}
	while (halt_at("kept", child ? child : getpid()))
		;
	if (child) {
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
	}
}

/* Whether a look at what belongs to a process succeeds: the same right for all of them. */
static int may_open(pid_t pid, const char *name)
{
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static int may_read_link(pid_t pid, const char *name, char *target, size_t size)
{
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
	ssize_t length = readlink(path, target, size - 1);
	target[length < 0 ? 0 : length] = 0;
	return length >= 0;
}

struct haul {
	long seen, denied, breaches;
	char first[128];
};

static void breach(struct haul *all, const char *how, const char *what)
{
	if (all->breaches++ == 0)
		snprintf(all->first, sizeof all->first, "%s %.100s", how, what);
}

/* The kernel lets nobody attach while an execve changes what a process is, so what its program is
 * right after tells what was caught; the name can only be read by who may trace. */
static void stalk_by_tracing(pid_t pid, const char *own, struct haul *all)
{
	int status = 0;
	char target[256];
	while (ptrace(PTRACE_SEIZE, pid, 0, 0) < 0) {
		if (errno != EPERM)
			return;
		all->denied++;
	}
	if (may_read_link(pid, "exe", target, sizeof target) && strcmp(target, own))
		breach(all, "traced", target);
	while (waitpid(pid, &status, __WALL) == pid && WIFSTOPPED(status))
		ptrace(PTRACE_CONT, pid, 0, status >> 16 ? 0 : WSTOPSIG(status));
}

/* What can be opened while its program is not yet the one of the container. */
static void stalk_by_looking(pid_t pid, const char *own, struct haul *all)
{
	static const char *const files[] = { "mem", "maps", "environ", "fd", "cwd", "root" };
	char target[256];
	for (;;) {
		int opened = -1;
		for (size_t i = 0; i < sizeof files / sizeof *files && opened < 0; i++)
			if (may_open(pid, files[i]))
				opened = (int)i;
		errno = 0;
		int readable = may_read_link(pid, "exe", target, sizeof target);
		if (readable && strcmp(target, own))
			breach(all, opened < 0 ? "exe" : files[opened], target);
		else if (readable || errno == ENOENT || errno == ESRCH)
			return;
		else
			all->denied++;
	}
}

/* The first process after that one; 0 where there is none. */
static pid_t newcomer(pid_t last)
{
	struct dirent *entry;
	pid_t first = 0;
	DIR *proc = opendir("/proc");
	while (proc && (entry = readdir(proc))) {
		pid_t pid = atoi(entry->d_name);
		if (pid > last && (!first || pid < first))
			first = pid;
	}
	if (proc)
		closedir(proc);
	return first;
}

/* stalk trace|look|kill OWN: everything that becomes a process here, until TERM; OWN is the program
 * that the newcomers are to execute, which is anybody's to look at. */
static void probe_stalk(int count, char **words)
{
	(void)count;
	struct haul all = { 0 };
	struct timespec none = { 0, 0 };
	sigset_t term;
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigprocmask(SIG_BLOCK, &term, NULL);
	outcome("stalking", NULL, 0);
	fflush(stdout);
	pid_t last = getpid(), pid;
	while (sigtimedwait(&term, NULL, &none) < 0) {
		pid = newcomer(last);
		if (!pid)
			continue;
		all.seen++;
		last = pid;
		if (*words[0] == 'k')
			all.breaches += kill(pid, SIGKILL) < 0 && errno != ESRCH;
		else if (*words[0] == 't')
			stalk_by_tracing(pid, words[1], &all);
		else
			stalk_by_looking(pid, words[1], &all);
	}
	begin();
	string("cmd", "stalked");
	number("seen", all.seen);
	number("denied", all.denied);
	number("breaches", all.breaches);
	string("first", all.first);
	end();
}
