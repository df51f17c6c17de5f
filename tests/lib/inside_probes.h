/* The small commands: one thing tried, its outcome printed. Part of inside.c. */

static void outcome(const char *command, const char *path, long value)
{
	int saved = errno;
	begin();
	errno = saved;
	result(command, value);
	if (path)
		string("path", path);
	end();
}

static void probe_exit(int count, char **words)
{
	(void)count;
	fflush(stdout);
	exit(atoi(words[0]));
}

static void probe_cat(int count, char **words)
{
	(void)count;
	begin();
	int problem = file_text("data", words[0]);
	errno = problem;
	result("cat", problem ? -1 : 0);
	string("path", words[0]);
	end();
}

static long put(const char *path, int flags, mode_t mode, const char *text)
{
	int fd = open(path, flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, mode);
	if (fd < 0)
		return -1;
	long done = write(fd, text, strlen(text));
	int saved = errno;
	close(fd);
	errno = saved;
	return done;
}

static void probe_write(int count, char **words)
{
	(void)count;
	outcome("write", words[0], put(words[0], O_WRONLY, 0, words[1]));
}

static void probe_create(int count, char **words)
{
	mode_t mode = count > 2 ? (mode_t)strtol(words[2], NULL, 8) : 0666;
	outcome("create", words[0], put(words[0], O_WRONLY | O_CREAT | O_EXCL, mode, words[1]));
}

static void probe_stat(int count, char **words)
{
	(void)count;
	struct stat st;
	int done = lstat(words[0], &st);
	begin();
	result("stat", done);
	string("path", words[0]);
	if (done == 0)
		stat_members(&st);
	link_text("link", words[0]);
	end();
}

static void probe_ls(int count, char **words)
{
	(void)count;
	int fd = open(words[0], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	begin();
	result("ls", fd);
	string("path", words[0]);
	list_directory("entries", words[0]);
	end();
	if (fd >= 0)
		close(fd);
}

static void probe_mkdir(int count, char **words)
{
	(void)count;
	outcome("mkdir", words[0], mkdir(words[0], 0777));
}

static void probe_unlink(int count, char **words)
{
	(void)count;
	outcome("unlink", words[0], remove(words[0]));
}

static mode_t node_type(const char *letter)
{
	return *letter == 'b' ? S_IFBLK : *letter == 'p' ? S_IFIFO : S_IFCHR;
}

/* mknod PATH c|b|p MAJOR MINOR: makes the node and leaves it. */
static void probe_mknod(int count, char **words)
{
	(void)count;
	dev_t device = makedev((unsigned)atoi(words[2]), (unsigned)atoi(words[3]));
	outcome("mknod", words[0], mknod(words[0], node_type(words[1]) | 0666, device));
}

/* device PATH c|b MAJOR MINOR [r|w]: makes it, opens it, removes it; which of the two failed is in
 * "stage". */
static void probe_device(int count, char **words)
{
	dev_t device = makedev((unsigned)atoi(words[2]), (unsigned)atoi(words[3]));
	int flags = count > 4 ? (*words[4] == 'w' ? O_WRONLY : O_RDONLY) : O_RDWR;
	const char *stage = "mknod";
	long done = mknod(words[0], node_type(words[1]) | 0666, device);
	if (done == 0) {
		stage = "open";
		done = open(words[0], flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
		int saved = errno;
		if (done >= 0)
			close((int)done);
		unlink(words[0]);
		errno = saved;
	}
	begin();
	result("device", done);
	string("stage", stage);
	end();
}

/* open PATH r|w|rw|d: d is a directory. */
static void probe_open(int count, char **words)
{
	(void)count;
	int flags = !strcmp(words[1], "r")   ? O_RDONLY
		    : !strcmp(words[1], "w") ? O_WRONLY
		    : !strcmp(words[1], "d") ? O_RDONLY | O_DIRECTORY
					     : O_RDWR;
	int fd = open(words[0], flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	outcome("open", words[0], fd);
	if (fd >= 0)
		close(fd);
}

static void probe_chdir(int count, char **words)
{
	(void)count;
	outcome("chdir", words[0], chdir(words[0]));
}

/* Tries to make a file in every mount point there is: {"/": "EROFS", "/tmp": "", …}. */
static void probe_trywrite(int count, char **words)
{
	(void)count, (void)words;
	char line[8192], path[4096], probe[4200];
	FILE *table = fopen("/proc/self/mountinfo", "re");
	begin();
	result("trywrite", table ? 0 : -1);
	open_as("mounts", '{');
	while (table && fgets(line, sizeof line, table)) {
		struct stat st;
		if (sscanf(line, "%*s %*s %*s %*s %4095s", path) != 1 || stat(path, &st) < 0)
			continue;
		snprintf(probe, sizeof probe, "%s/.trywrite", path);
		long done = S_ISDIR(st.st_mode) ? put(probe, O_WRONLY | O_CREAT, 0600, "x")
						: put(path, O_WRONLY, 0, "");
		string(path, done < 0 ? errno_name(errno) : "");
		if (S_ISDIR(st.st_mode))
			unlink(probe);
	}
	close_as('}');
	end();
	if (table)
		fclose(table);
}

static void probe_pause(int count, char **words)
{
	(void)count, (void)words;
	outcome("pause", NULL, 0);
	fflush(stdout);
	for (;;)
		pause();
}

/* wait [CODE]: prints every signal it gets; TERM and INT end it with CODE. */
static void probe_wait(int count, char **words)
{
	sigset_t all;
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	outcome("wait", NULL, 0);
	for (;;) {
		fflush(stdout);
		int got = sigwaitinfo(&all, NULL);
		begin();
		string("cmd", "got");
		number("signal", got);
		end();
		if (got == SIGTERM || got == SIGINT)
			break;
	}
	fflush(stdout);
	exit(count ? atoi(words[0]) : 0);
}

/* A child that stays until it is killed. */
static void probe_spawn(int count, char **words)
{
	(void)count, (void)words;
	pid_t child = fork();
	if (child == 0)
		for (;;)
			pause();
	begin();
	result("spawn", child);
	number("child", child);
	end();
}

static void probe_signal(int count, char **words)
{
	(void)count;
	fflush(stdout);
	outcome("signal", NULL, kill(getpid(), atoi(words[0])));
}

static void probe_echo(int count, char **words)
{
	(void)count;
	puts(words[0]);
}

static void probe_stderr(int count, char **words)
{
	(void)count;
	dprintf(2, "%s\n", words[0]);
}

static void probe_read(int count, char **words)
{
	(void)count, (void)words;
	char text[4096];
	ssize_t got = read(0, text, sizeof text - 1);
	begin();
	result("read", got);
	text[got > 0 ? got : 0] = 0;
	string("data", text);
	end();
}

static void probe_winsize(int count, char **words)
{
	(void)count, (void)words;
	struct winsize size = { 0 };
	int done = ioctl(0, TIOCGWINSZ, &size);
	begin();
	result("winsize", done);
	number("rows", size.ws_row);
	number("columns", size.ws_col);
	end();
}

static void probe_winch(int count, char **words)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGWINCH);
	sigprocmask(SIG_BLOCK, &set, NULL);
	outcome("ready", NULL, 0);
	fflush(stdout);
	sigwaitinfo(&set, NULL);
	probe_winsize(count, words);
}

/* syscall NUMBER ARG…: an ARG is a number (any base) or s:TEXT. */
static void probe_syscall(int count, char **words)
{
	long args[6] = { 0 };
	for (int i = 1; i < count && i < 7; i++)
		args[i - 1] = strncmp(words[i], "s:", 2) ? strtol(words[i], NULL, 0)
							 : (long)(words[i] + 2);
	long value = syscall(strtol(words[0], NULL, 0), args[0], args[1], args[2], args[3], args[4],
			     args[5]);
	begin();
	result("syscall", value);
	number("value", value);
	end();
}

/* alloc MIB: touches that much memory. Beyond the limit it does not come back. */
static void probe_alloc(int count, char **words)
{
	(void)count;
	size_t size = (size_t)atoi(words[0]) << 20;
	char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (size_t i = 0; memory != MAP_FAILED && i < size; i += 4096)
		memory[i] = 1;
	outcome("alloc", NULL, memory == MAP_FAILED ? -1 : 0);
}

static void probe_forks(int count, char **words)
{
	(void)count;
	int wanted = atoi(words[0]), made = 0;
	pid_t children[256];
	while (made < wanted && made < 256) {
		children[made] = fork();
		if (children[made] < 0)
			break;
		if (children[made] == 0)
			for (;;)
				pause();
		made++;
	}
	begin();
	result("forks", made < wanted ? -1 : 0);
	number("made", made);
	end();
	for (int i = 0; i < made; i++)
		kill(children[i], SIGKILL);
	while (wait(NULL) > 0)
		;
}

static void probe_exec(int count, char **words)
{
	(void)count;
	fflush(stdout);
	execve(words[0], words, environ);
	outcome("exec", words[0], -1);
}

static void probe_tryexec(int count, char **words)
{
	int status = 0;
	fflush(stdout);
	pid_t child = fork();
	if (child == 0) {
		probe_exec(count, words);
		fflush(stdout);
		_exit(99);
	}
	waitpid(child, &status, 0);
	begin();
	string("cmd", "tryexec");
	number("status", WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
	end();
}

static void probe_setuid(int count, char **words)
{
	(void)count;
	uid_t uid = (uid_t)atoi(words[0]);
	outcome("setuid", NULL, setresgid(uid, uid, uid) || setresuid(uid, uid, uid) ? -1 : 0);
}

static void probe_ids(int count, char **words)
{
	(void)count, (void)words;
	begin();
	string("cmd", "ids");
	report_ids();
	report_caps();
	end();
}

/* spin MS: burns that much processor time and says how much wall time it took. */
static void probe_spin(int count, char **words)
{
	(void)count;
	struct timespec from, to, before, used;
	long wanted = atol(words[0]);
	clock_gettime(CLOCK_MONOTONIC, &from);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before); /* a slow machine's start took some */
	do
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
	while ((used.tv_sec - before.tv_sec) * 1000 + (used.tv_nsec - before.tv_nsec) / 1000000 <
	       wanted);
	clock_gettime(CLOCK_MONOTONIC, &to);
	begin();
	string("cmd", "spin");
	number("wall_ms", (to.tv_sec - from.tv_sec) * 1000 + (to.tv_nsec - from.tv_nsec) / 1000000);
	end();
}

/* swap ONE OTHER: lets two names change places until it is killed; half of every race test. */
static void probe_swap(int count, char **words)
{
	(void)count;
	for (;;)
		syscall(SYS_renameat2, AT_FDCWD, words[0], AT_FDCWD, words[1],
			2); /* RENAME_EXCHANGE */
}
