/* The interpreter's table of built-in modules; the list itself is in modules.h. */
#include <Python.h>

#include "modules.h"

/* Not in any header: CPython's own config.c declares them in the same way. */
#define PR_DECLARE(name, init) extern PyObject *init(void);
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
