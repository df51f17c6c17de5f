/* `inside report`: one object with everything a process can learn about itself. Part of inside.c.
 */

extern char **environ;

static void report_words(void)
{
	open_as("argv", '[');
	for (int i = 0; i < saved_argc; i++)
		string(NULL, saved_argv[i]);
	close_as(']');
	open_as("env", '[');
	for (char **entry = environ; *entry; entry++)
		string(NULL, *entry);
	close_as(']');
	char cwd[4096] = "";
	/* The raw call: libc turns a directory outside the root into ENOENT and would hide it. */
	syscall(SYS_getcwd, cwd, sizeof cwd);
	string("cwd", cwd);
}

static void report_ids(void)
{
	uid_t r = 0, e = 0, s = 0;
	gid_t groups[1024];
	number("pid", getpid());
	number("ppid", getppid());
	number("sid", getsid(0));
	number("pgid", getpgid(0));
	getresuid(&r, &e, &s);
	open_as("uid", '[');
	number(NULL, r), number(NULL, e), number(NULL, s);
	close_as(']');
	getresgid(&r, &e, &s);
	open_as("gid", '[');
	number(NULL, r), number(NULL, e), number(NULL, s);
	close_as(']');
	int count = getgroups(1024, groups);
	open_as("groups", '[');
	for (int i = 0; i < count; i++)
		number(NULL, groups[i]);
	close_as(']');
	mode_t mask = umask(0);
	umask(mask);
	number("umask", mask);
}

static void cap_set(const char *key, uint64_t set)
{
	char text[32];
	snprintf(text, sizeof text, "%016llx", (unsigned long long)set);
	string(key, text);
}

static void report_caps(void)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2] = { 0 };
	uint64_t bounding = 0, ambient = 0;
	syscall(SYS_capget, &header, data);
	for (int cap = 0; cap < 64; cap++) {
		if (prctl(PR_CAPBSET_READ, cap, 0, 0, 0) == 1)
			bounding |= 1ULL << cap;
		if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, cap, 0, 0) == 1)
			ambient |= 1ULL << cap;
	}
	open_as("caps", '{');
	cap_set("effective", data[0].effective | (uint64_t)data[1].effective << 32);
	cap_set("permitted", data[0].permitted | (uint64_t)data[1].permitted << 32);
	cap_set("inheritable", data[0].inheritable | (uint64_t)data[1].inheritable << 32);
	cap_set("bounding", bounding);
	cap_set("ambient", ambient);
	close_as('}');
	number("securebits", prctl(PR_GET_SECUREBITS));
	number("keepcaps", prctl(PR_GET_KEEPCAPS));
	number("no_new_privs", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
	number("seccomp", prctl(PR_GET_SECCOMP));
	number("dumpable", prctl(PR_GET_DUMPABLE));
	int death = 0;
	prctl(PR_GET_PDEATHSIG, &death);
	number("pdeathsig", death);
}

static void report_limits(void)
{
	static const char *const names[] = { "CPU",	 "FSIZE", "DATA",   "STACK",
					     "CORE",	 "RSS",	  "NPROC",  "NOFILE",
					     "MEMLOCK",	 "AS",	  "LOCKS",  "SIGPENDING",
					     "MSGQUEUE", "NICE",  "RTPRIO", "RTTIME" };
	open_as("rlimits", '{');
	for (int i = 0; i < 16; i++) {
		struct rlimit limit = { 0, 0 };
		getrlimit((enum __rlimit_resource)i, &limit);
		open_as(names[i], '[');
		number(NULL, (long long)limit.rlim_cur); /* unlimited reads as -1 */
		number(NULL, (long long)limit.rlim_max);
		close_as(']');
	}
	close_as('}');
}

struct attributes { /* struct sched_attr: its header does not go with <sched.h> of older libcs */
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
};

static void report_scheduler(void)
{
	struct attributes a = { 0 };

	if (syscall(SYS_sched_getattr, 0, &a, sizeof a, 0) < 0)
		return;
	open_as("scheduler", '{');
	number("policy", a.policy);
	number("flags", (long long)a.flags);
	number("nice", a.nice);
	number("priority", a.priority);
	number("runtime", (long long)a.runtime);
	number("deadline", (long long)a.deadline);
	number("period", (long long)a.period);
	close_as('}');
}

/* A kernel without NUMA has no such call, and a report no such member. */
static void report_memory_policy(void)
{
	unsigned long nodes[64] = { 0 };
	int mode = 0;

	if (syscall(SYS_get_mempolicy, &mode, nodes, 8 * sizeof nodes, NULL, 0) < 0)
		return;
	open_as("mempolicy", '{');
	number("mode", mode);
	open_as("nodes", '[');
	for (unsigned n = 0; n < 8 * sizeof nodes; n++)
		if (nodes[n / 64] >> n % 64 & 1)
			number(NULL, n);
	close_as(']');
	close_as('}');
}

static void report_scheduling(void)
{
	cpu_set_t cpus;
	number("personality", personality(0xffffffff));
	number("timerslack", prctl(PR_GET_TIMERSLACK));
	report_scheduler();
	report_memory_policy();
	number("policy", sched_getscheduler(0));
	number("nice", getpriority(PRIO_PROCESS, 0));
	number("ioprio", syscall(SYS_ioprio_get, 1, 0));
	open_as("affinity", '[');
	if (sched_getaffinity(0, sizeof cpus, &cpus) == 0)
		for (int i = 0; i < CPU_SETSIZE; i++)
			if (CPU_ISSET(i, &cpus))
				number(NULL, i);
	close_as(']');
}

static void report_signals(void)
{
	sigset_t blocked;
	struct sigaction action;
	sigprocmask(SIG_BLOCK, NULL, &blocked);
	open_as("blocked", '[');
	for (int i = 1; i <= 64; i++)
		if (sigismember(&blocked, i) == 1)
			number(NULL, i);
	close_as(']');
	open_as("ignored", '[');
	for (int i = 1; i <= 64; i++)
		if (sigaction(i, NULL, &action) == 0 && action.sa_handler == SIG_IGN)
			number(NULL, i);
	close_as(']');
}

static void report_names(void)
{
	static const char *const spaces[] = { "cgroup", "ipc",	"mnt",	"net",
					      "pid",	"time", "user", "uts" };
	struct utsname names;
	char path[64];
	uname(&names);
	string("hostname", names.nodename);
	string("domainname", names.domainname);
	string("machine", names.machine);
	open_as("namespaces", '{');
	for (size_t i = 0; i < sizeof spaces / sizeof *spaces; i++) {
		snprintf(path, sizeof path, "/proc/self/ns/%s", spaces[i]);
		link_text(spaces[i], path);
	}
	close_as('}');
	link_text("exe", "/proc/self/exe");
	struct stat root;
	if (stat("/", &root) == 0) {
		open_as("root", '{');
		stat_members(&root);
		close_as('}');
	}
}

static void report_fds(void)
{
	open_as("fds", '[');
	for (int fd = 0; fd < 1024; fd++) {
		struct stat st;
		char path[64];
		if (fstat(fd, &st) < 0)
			continue;
		open_as(NULL, '{');
		number("fd", fd);
		stat_members(&st);
		number("flags", fcntl(fd, F_GETFL));
		number("tty", isatty(fd));
		snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
		link_text("link", path);
		close_as('}');
	}
	close_as(']');
	int tty = open("/dev/tty", O_RDWR | O_CLOEXEC);
	number("controlling_tty", tty >= 0);
	if (tty >= 0)
		close(tty);
}

static void list_directory(const char *key, const char *directory)
{
	struct dirent *entry;
	DIR *dir = opendir(directory);
	next(key);
	if (!dir) {
		printf("null");
		return;
	}
	putchar('{');
	comma = 0;
	while ((entry = readdir(dir))) {
		struct stat st;
		char path[4096];
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
		if (lstat(path, &st) < 0)
			continue;
		open_as(entry->d_name, '{');
		stat_members(&st);
		link_text("link", path);
		close_as('}');
	}
	closedir(dir);
	close_as('}');
}

static void report_interfaces(void)
{
	struct if_nameindex *all = if_nameindex();
	int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	open_as("interfaces", '{');
	for (struct if_nameindex *one = all; one && one->if_index; one++) {
		struct ifreq request = { 0 };
		strncpy(request.ifr_name, one->if_name, IFNAMSIZ - 1);
		if (ioctl(sock, SIOCGIFFLAGS, &request) == 0)
			number(one->if_name, (unsigned short)request.ifr_flags);
	}
	close_as('}');
	if (all)
		if_freenameindex(all);
	close(sock);
}

static void report_keyring(void)
{
	char text[256] = "";
	long id =
		syscall(SYS_keyctl, 0, -3, 0); /* KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING */
	number("keyring", id);
	if (id > 0 && syscall(SYS_keyctl, 6, id, text, sizeof text) > 0) /* KEYCTL_DESCRIBE */
		string("keyring_name", text);
	else
		string("keyring_name", NULL);
}

/* Seconds of the two clocks that a time namespace moves. */
static void report_clocks(void)
{
	struct timespec now;
	open_as("clocks", '{');
	clock_gettime(CLOCK_MONOTONIC, &now);
	number("monotonic", now.tv_sec);
	clock_gettime(CLOCK_BOOTTIME, &now);
	number("boottime", now.tv_sec);
	close_as('}');
}

static void report_files(void)
{
	static const char *const paths[] = { "/proc/self/status",    "/proc/self/mountinfo",
					     "/proc/self/cgroup",    "/proc/self/oom_score_adj",
					     "/proc/self/limits",    "/proc/self/stat",
					     "/proc/self/comm",	     "/proc/self/attr/current",
					     "/proc/self/uid_map",   "/proc/self/gid_map",
					     "/proc/self/setgroups", "/proc/self/timens_offsets" };
	open_as("files", '{');
	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
		file_text(paths[i], paths[i]);
	close_as('}');
}

static void report(int count, char **words)
{
	(void)count, (void)words;
	begin();
	string("cmd", "report");
	report_fds(); /* first: nothing of ours is open yet */
	report_words();
	report_ids();
	report_caps();
	report_limits();
	report_scheduling();
	report_signals();
	report_names();
	report_interfaces();
	report_keyring();
	report_clocks();
	list_directory("dev", "/dev");
	report_files();
	end();
}
