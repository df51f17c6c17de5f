/*
 * The installed `pyruntime`: CPython embedded with only its core initialised, the package frozen
 * in.
 *
 * An engine starts this program for every verb, so the interpreter's start-up is most of what a
 * small verb costs. What is left out, and why that is sound:
 *
 *   _init_main = 0        no path computing, no importlib of files, no encodings, no stdio objects:
 *                         our hot modules need none of them (write(2) goes through posix.write)
 *   own frozen tables     see frozen.c, which freeze.py writes: libpython's own hundred frozen
 *                         modules are never linked, which halves the pages touched
 *   own inittab           only the C modules in modules.h
 *   own allocators        heap.c: one huge page instead of 250 page faults
 *   isolated              no environment variable, no cwd, no site, no user directory is ever read
 *
 * These are names of CPython's private and provisional C API. build.py therefore builds this file
 * for the one minor version it was proved on and takes plain.c for every other.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <internal/pycore_runtime.h>

#include <string.h>
#include <unistd.h>

#include "heap.h"
#include "first_things.h"

/* From the generated frozen.c. */
extern const struct _frozen pr_frozen_modules[];

static _Noreturn void pr_die(const char *what)
{
	static const char head[] = "pyruntime: internal error: the interpreter did not start: ";
	ssize_t ignored;

	ignored = write(2, head, sizeof(head) - 1);
	ignored = write(2, what, strlen(what));
	ignored = write(2, "\n", 1);
	(void)ignored;
	_exit(1);
}

static void pr_start(void)
{
	PyPreConfig pre;
	PyConfig config;
	PyStatus status;

	PyPreConfig_InitIsolatedConfig(&pre);
	pre.utf8_mode = 1;
	pre.configure_locale = 0;
	pre.coerce_c_locale = 0;
	status = Py_PreInitialize(&pre);
	if (PyStatus_Exception(status))
		pr_die(status.err_msg ? status.err_msg : "unknown reason");

	pr_set_allocators();
	PyConfig_InitIsolatedConfig(&config);
	config.site_import = 0;
	config.install_signal_handlers = 0;
	config.configure_c_stdio = 0;
	config.parse_argv = 0;
	config.pathconfig_warnings = 0;
	config.write_bytecode = 0;
	config.code_debug_ranges = 0;
	config._init_main = 0;
	PyImport_FrozenModules = pr_frozen_modules;
	/*
	 * A verb lives for milliseconds; the collector would only find what exit frees anyway. It
	 * is switched off here and not by PyGC_Disable() because it would run twice while the
	 * static types are made (6 % of the start).
	 */
	_PyRuntime._main_interpreter.gc.enabled = 0;
	status = Py_InitializeFromConfig(&config);
	if (PyStatus_Exception(status))
		pr_die(status.err_msg ? status.err_msg : "unknown reason");
}

static PyObject *pr_arguments(int argc, char **argv)
{
	PyObject *list = PyList_New(argc);

	for (int i = 0; list && i < argc; i++) {
		PyObject *text = PyUnicode_DecodeUTF8(argv[i], (Py_ssize_t)strlen(argv[i]),
						      "surrogateescape");
		if (!text) {
			Py_CLEAR(list);
			break;
		}
		PyList_SET_ITEM(list, i, text);
	}
	return list;
}

/* pyruntime.cli.main.main(sys.argv[1:]) -> exit status, or -1 with an exception set. */
static int pr_main(int argc, char **argv)
{
	PyObject *arguments = pr_arguments(argc, argv);
	PyObject *module, *rest, *result;
	long status = -1;

	if (!arguments || PySys_SetObject("argv", arguments))
		return -1;
	module = PyImport_ImportModule("pyruntime.cli.main");
	rest = module ? PyList_GetSlice(arguments, 1, argc) : NULL;
	result = rest ? PyObject_CallMethod(module, "main", "O", rest) : NULL;
	if (result)
		status = PyLong_AsLong(result);
	if (PyErr_Occurred())
		return -1;
	return (int)(status & 0xff);
}

int main(int argc, char **argv)
{
	static const char bug[] = "pyruntime: internal error, please report it with these lines:\n";
	int status;

	pr_check_stdio();
	pr_ignore_write_signals();
	pr_start();
	status = pr_main(argc, argv);
	if (status < 0) {
		ssize_t ignored = write(2, bug, sizeof(bug) - 1);

		(void)ignored;
		PyErr_Print();
		status = 1;
	}
	/* Nothing is buffered and nothing needs a destructor: finalising would only cost time. */
	_exit(status);
}
