/* A JSON writer on stdout, and the names of errnos. Part of inside.c. */

static int saved_argc;
static char **saved_argv;
static int comma; /* whether the next member needs one before it */

static void raw_string(const char *text, size_t length)
{
	putchar('"');
	for (size_t i = 0; i < length; i++) {
		unsigned char c = (unsigned char)text[i];
		if (c == '"' || c == '\\')
			printf("\\%c", c);
		else if (c < 0x20 || c >= 0x7f)
			printf("\\u%04x", c); /* bytes as Latin-1: the reader encodes them back */
		else
			putchar(c);
	}
	putchar('"');
}

static void next(const char *key)
{
	if (comma)
		putchar(',');
	comma = 1;
	if (key) {
		raw_string(key, strlen(key));
		putchar(':');
	}
}

static void open_as(const char *key, char bracket)
{
	next(key);
	putchar(bracket);
	comma = 0;
}

static void close_as(char bracket)
{
	putchar(bracket);
	comma = 1;
}

static void begin(void)
{
	comma = 0;
	putchar('{');
}

static void end(void)
{
	puts("}");
	comma = 0;
}

static void number(const char *key, long long value)
{
	next(key);
	printf("%lld", value);
}

static void string(const char *key, const char *text)
{
	next(key);
	if (text)
		raw_string(text, strlen(text));
	else
		printf("null");
}

static const char *errno_name(int number_)
{
	const char *name = number_ ? strerrorname_np(number_) : "";
	return name ? name : "UNKNOWN";
}

static void result(const char *command, long outcome)
{
	int saved = errno;
	string("cmd", command);
	string("errno", outcome < 0 ? errno_name(saved) : "");
}

/* The text of a file as a member, null if it cannot be read. Returns 0, or the errno. */
static int file_text(const char *key, const char *path)
{
	static char text[1 << 18];
	size_t length = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	int problem = fd < 0 ? errno : 0;
	while (fd >= 0 && length < sizeof text) {
		ssize_t got = read(fd, text + length, sizeof text - length);
		if (got < 0)
			problem = errno;
		if (got <= 0)
			break;
		length += (size_t)got;
	}
	if (fd >= 0)
		close(fd);
	next(key);
	if (problem)
		printf("null");
	else
		raw_string(text, length);
	return problem;
}

static const char *type_name(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return "file";
	case S_IFDIR:
		return "dir";
	case S_IFLNK:
		return "link";
	case S_IFCHR:
		return "char";
	case S_IFBLK:
		return "block";
	case S_IFIFO:
		return "fifo";
	case S_IFSOCK:
		return "socket";
	default:
		return "other";
	}
}

static void link_text(const char *key, const char *path)
{
	char text[4096];
	ssize_t length = readlink(path, text, sizeof text);
	next(key);
	if (length < 0)
		printf("null");
	else
		raw_string(text, (size_t)length);
}

static void stat_members(const struct stat *st)
{
	string("type", type_name(st->st_mode));
	number("mode", st->st_mode & 07777);
	number("uid", st->st_uid);
	number("gid", st->st_gid);
	number("size", st->st_size);
	number("dev", (long long)st->st_dev);
	number("ino", (long long)st->st_ino);
	number("major", major(st->st_rdev));
	number("minor", minor(st->st_rdev));
}
