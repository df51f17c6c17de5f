/* What the measured containers run: ends at once, or waits for a signal when it has an argument. */
#include <unistd.h>

int main(int argc, char **argv)
{
    (void)argv;
    while (argc > 1) pause();
    return 0;
}
