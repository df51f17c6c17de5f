/* The interpreter's table of built-in modules; the list itself is in modules.h. */
#include <Python.h>

#include <internal/pycore_pylifecycle.h>

#include "modules.h"

/*
 * The module takes its two constants from a state that the skipped part of the interpreter's start
 * would have set up; no handler is installed by this.
 */
static PyObject *pr_init_signal(void)
{
	extern PyObject *PyInit__signal(void);

	return _PySignal_Init(0) < 0 ? NULL : PyInit__signal();
}

/* Not in any header: CPython's own config.c declares them in the same way. */
#define PR_DECLARE(name, init) PyObject *init(void);
PR_CORE_MODULES(PR_DECLARE)
PR_MODULES(PR_DECLARE)

#define PR_ROW(name, init) { #name, init },
struct _inittab _PyImport_Inittab[] = {
	PR_CORE_MODULES(PR_ROW)
	/* No init function: the interpreter makes these two itself. */
	{ "builtins", NULL },
	{ "sys", NULL },
	PR_MODULES(PR_ROW){ NULL, NULL },
};
