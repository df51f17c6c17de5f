/* What a program says to the service manager through NOTIFY_SOCKET (sd_notify(3)). Part of
 * inside.c. */

static int notify_socket(struct sockaddr_un *address)
{
	const char *path = getenv("NOTIFY_SOCKET");
	memset(address, 0, sizeof *address);
	address->sun_family = AF_UNIX;
	if (!path || strlen(path) >= sizeof address->sun_path) {
		errno = ENOENT;
		return -1;
	}
	strcpy(address->sun_path, path);
	return socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
}

/* Goes on when USR1 comes. */
static void probe_hold(int count, char **words)
{
	(void)count, (void)words;
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	outcome("hold", NULL, 0);
	fflush(stdout);
	sigwaitinfo(&set, NULL);
}

/* One datagram per word. */
static void probe_notify(int count, char **words)
{
	for (int i = 0; i < count; i++) {
		struct sockaddr_un address;
		int fd = notify_socket(&address);
		long done = fd < 0 ? -1
				   : sendto(fd, words[i], strlen(words[i]), 0,
					    (struct sockaddr *)&address, sizeof address);
		int saved = errno;
		close(fd);
		errno = saved;
		outcome("notify", words[i], done);
	}
}

/* notify-fd TEXT: with the writing end of a pipe; then waits until nobody holds that end any more.
 */
static void probe_notify_fd(int count, char **words)
{
	(void)count;
	struct sockaddr_un address;
	int ends[2], fd = notify_socket(&address);
	char room[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec text = { words[0], strlen(words[0]) };
	struct msghdr message = { &address, sizeof address, &text, 1, room, sizeof room, 0 };
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	long done = fd < 0 ? -1 : pipe2(ends, O_CLOEXEC);
	if (!done) {
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(header), &ends[1], sizeof(int));
		done = sendmsg(fd, &message, 0);
		close(ends[1]);
		struct pollfd end = { ends[0], POLLIN, 0 };
		if (done >= 0 && poll(&end, 1, 10000) != 1) {
			errno = ETIMEDOUT;
			done = -1;
		}
	}
	outcome("notify-fd", words[0], done);
}

/* notify-many NUMBER BYTES: how many were taken. */
static void probe_notify_many(int count, char **words)
{
	(void)count;
	struct sockaddr_un address;
	int fd = notify_socket(&address), size = 1 << 20;
	size_t bytes = (size_t)atol(words[1]);
	char *text = malloc(bytes + 1);
	memset(text, '\n', bytes);
	memcpy(text, "READY=1", bytes < 7 ? bytes : 7);
	if (bytes <= 7)
		memset(text, 'x', bytes);
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
	long sent = 0;
	for (long left = atol(words[0]); left > 0; left--)
		sent += sendto(fd, text, bytes, 0, (struct sockaddr *)&address, sizeof address) >=
			0;
	outcome("notify-many", NULL, sent);
}
