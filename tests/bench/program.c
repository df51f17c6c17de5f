/*
 * What the measured containers run: ends at once, or waits for a signal when it has an argument. As
 * a hook it reads the state first, as real ones do: one that does not makes crun 1.8 fail now and
 * then with a broken pipe.
 */
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	char state[4096];
	if (argc > 1 && !strcmp(argv[1], "hook")) {
		while (read(0, state, sizeof state) > 0)
			continue;
		return 0;
	}
	while (argc > 1)
		pause();
	return 0;
}
