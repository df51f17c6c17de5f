/*
 * The launcher for an interpreter that launcher.c was not proved on: public C API only, shared
 * libpython, the ordinary import system. Slower, but as isolated: no environment, no site, no cwd.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "first_things.h"

/* PREFIX/lib/pyruntime, from where this executable is; 0 if that cannot be told. */
static int pr_library(char *path, size_t size)
{
	static const char tail[] = "/lib/pyruntime";
	ssize_t length = readlink("/proc/self/exe", path, size - 1);

	if (length <= 0 || (size_t)length >= size - sizeof(tail))
		return 0;
	path[length] = '\0';
	for (int level = 0; level < 2; level++) {
		char *slash = strrchr(path, '/');

		if (!slash)
			return 0;
		*slash = '\0';
	}
	memcpy(path + strlen(path), tail, sizeof(tail));
	return 1;
}

static int pr_start(int argc, char **argv)
{
	PyPreConfig pre;
	PyConfig config;
	PyStatus status;

	PyPreConfig_InitIsolatedConfig(&pre);
	pre.utf8_mode = 1;
	status = Py_PreInitialize(&pre);
	if (PyStatus_Exception(status))
		Py_ExitStatusException(status);
	PyConfig_InitIsolatedConfig(&config);
	config.site_import = 0;
	config.install_signal_handlers = 0;
	config.parse_argv = 0;
	config.write_bytecode = 0;
	status = PyConfig_SetBytesString(&config, &config.program_name, PR_INTERPRETER);
	if (!PyStatus_Exception(status))
		status = PyConfig_SetBytesArgv(&config, argc, argv);
	if (!PyStatus_Exception(status))
		status = Py_InitializeFromConfig(&config);
	PyConfig_Clear(&config);
	if (PyStatus_Exception(status))
		Py_ExitStatusException(status);
	return 0;
}

static int pr_main(const char *library)
{
	PyObject *path = PySys_GetObject("path");
	PyObject *argv = PySys_GetObject("argv");
	PyObject *entry = PyUnicode_DecodeFSDefault(library);
	PyObject *module, *rest, *result = NULL;
	long status = -1;

	if (!path || !argv || !entry || PyList_Insert(path, 0, entry))
		return -1;
	module = PyImport_ImportModule("pyruntime.cli.entry");
	rest = PyList_GetSlice(argv, 1, PyList_Size(argv));
	if (module && rest)
		result = PyObject_CallMethod(module, "main", "O", rest);
	if (result)
		status = PyLong_AsLong(result);
	return PyErr_Occurred() ? -1 : (int)(status & 0xff);
}

int main(int argc, char **argv)
{
	char library[PATH_MAX];
	int status;

	pr_check_stdio();
	pr_ignore_write_signals();
	if (!pr_library(library, sizeof(library))) {
		fputs("pyruntime: cannot find its own directory through /proc/self/exe\n", stderr);
		return 1;
	}
	pr_start(argc, argv);
	status = pr_main(library);
	if (status < 0) {
		fputs("pyruntime: internal error, please report it with these lines:\n", stderr);
		PyErr_Print();
		status = 1;
	}
	_exit(status);
}
