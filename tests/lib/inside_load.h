/* What limits are felt by: transfers past the page cache, threads in groups of their own. Part of
 * inside.c. */

/* transfer PATH r|w BLOCKS KIB: that many blocks of that size between memory and disk, and the time
 * it took. */
static void probe_transfer(int count, char **words)
{
	(void)count;
	int writes = *words[1] == 'w';
	size_t size = (size_t)atoi(words[3]) << 10;
	struct timespec from, to;
	void *block = NULL;
	int fd = open(words[0], O_DIRECT | O_CLOEXEC | (writes ? O_WRONLY : O_RDONLY));
	int left = fd < 0 || posix_memalign(&block, 4096, size) ? -1 : atoi(words[2]);
	if (block)
		memset(block, 'x', size);
	clock_gettime(CLOCK_MONOTONIC, &from);
	while (left > 0) {
		ssize_t done = writes ? write(fd, block, size) : read(fd, block, size);
		left = done == (ssize_t)size ? left - 1 : -1;
	}
	int problem = errno;
	clock_gettime(CLOCK_MONOTONIC, &to);
	begin();
	errno = problem;
	result("transfer", left);
	number("wall_ms", (to.tv_sec - from.tv_sec) * 1000 + (to.tv_nsec - from.tv_nsec) / 1000000);
	end();
	free(block);
	if (fd >= 0)
		close(fd);
}

struct joining {
	const char *place;
	int done[2];
};

static void *join_and_stay(void *given)
{
	struct joining *joining = given;
	int problem = put(joining->place, O_WRONLY, 0, "0") < 0 ? errno : 0;
	if (write(joining->done[1], &problem, sizeof problem) > 0)
		for (;;)
			pause();
	return NULL;
}

/* thread PATH: one more thread of this process, which writes its 0 there and stays. */
static void probe_thread(int count, char **words)
{
	(void)count;
	static struct joining joining;
	pthread_t thread;
	int problem = 0;
	joining.place = words[0];
	if (pipe2(joining.done, O_CLOEXEC) < 0)
		problem = errno;
	if (!problem)
		problem = pthread_create(&thread, NULL, join_and_stay, &joining);
	if (!problem && read(joining.done[0], &problem, sizeof problem) != sizeof problem)
		problem = EIO;
	errno = problem;
	outcome("thread", words[0], problem ? -1 : 0);
}

static void *outlive(void *leader)
{
	int problem = pthread_join(*(pthread_t *)leader, NULL);
	errno = problem;
	outcome("leave", "", problem ? -1 : 0);
	fflush(stdout);
	while (!problem)
		pause();
	return NULL;
}

/* leave: the main thread ends, and another one, which says so then, stays until it is killed. */
static void probe_leave(int count, char **words)
{
	(void)count;
	(void)words;
	static pthread_t leader;
	pthread_t other;
	leader = pthread_self();
	int problem = pthread_create(&other, NULL, outlive, &leader);
	if (!problem)
		pthread_exit(NULL);
	errno = problem;
	outcome("leave", "", -1);
}

/* member GROUP: a child that moves there and stays until it is killed. */
static void probe_member(int count, char **words)
{
	(void)count;
	char path[4096];
	int done[2], problem = 0;
	snprintf(path, sizeof path, "%s/cgroup.procs", words[0]);
	if (pipe2(done, O_CLOEXEC) < 0)
		problem = errno;
	pid_t child = problem ? -1 : fork();
	if (child == 0) {
		join_and_stay(&(struct joining){ path, { done[0], done[1] } });
		_exit(1);
	}
	if (!problem && (child < 0 || read(done[0], &problem, sizeof problem) != sizeof problem))
		problem = EIO;
	errno = problem;
	outcome("member", words[0], problem ? -1 : 0);
}
