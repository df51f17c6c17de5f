/*
 * The C modules the launcher carries. Our hot modules may import these and nothing else from the
 * standard library; freeze.py reads this very list to decide which modules can be frozen, and
 * tests/unit/test_layers.py to decide what a hot module may import.
 *
 * It replaces libpython's config.o, so that expat, zlib, pickle, datetime … are not linked.
 */
#ifndef PYRUNTIME_MODULES_H
#define PYRUNTIME_MODULES_H

/* Those that every interpreter has and needs. */
#define PR_CORE_MODULES(X)                                                                         \
	X(_imp, PyInit__imp)                                                                       \
	X(_warnings, _PyWarnings_Init) X(gc, PyInit_gc) X(marshal, PyMarshal_Init)

#define PR_MODULES(X)                                                                              \
	X(_sha256, PyInit__sha256)                                                                 \
	X(_signal, pr_init_signal)                                                                 \
	X(_socket, PyInit__socket)                                                                 \
	X(_struct, PyInit__struct)                                                                 \
	X(errno, PyInit_errno)                                                                     \
	X(fcntl, PyInit_fcntl)                                                                     \
	X(grp, PyInit_grp)                                                                         \
	X(itertools, PyInit_itertools)                                                             \
	X(math, PyInit_math)                                                                       \
	X(posix, PyInit_posix)                                                                     \
	X(pwd, PyInit_pwd)                                                                         \
	X(select, PyInit_select)                                                                   \
	X(time, PyInit_time)

#endif
