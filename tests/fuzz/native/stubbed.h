/* Included before each source of the init: its system calls go to world.c, its memory functions are
 * compiled with the sanitizers like the rest. */
#ifndef PR_STUBBED_H
#define PR_STUBBED_H

#define memcpy init_memcpy
#define memset init_memset
#define sys6   real_sys6
#include "../../../native/init/sys.h"
#undef sys6
#undef SYS_PICK

/* A system call that the tape asks for, and one that a built-in makes for its own purposes. */
long of_the_tape(long nr, long a, long b, long c, long d, long e, long f);
long of_a_builtin(long nr, long a, long b, long c, long d, long e, long f);

#define sys6 of_the_tape
#define SYS_PICK(nr, a, b, c, d, e, f, ...)                                                        \
	of_a_builtin((nr), (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

#endif
