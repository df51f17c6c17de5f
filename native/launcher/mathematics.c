/*
 * The functions of libm that the interpreter refers to, each of which loads libm when it is called.
 *
 * Hardly a verb computes what the processor does not by itself, but all of them had libm mapped,
 * bound and half a MiB of it resident: its functions come in variants, and the loader runs code
 * beside each of those that are referred to, which chooses one.
 */
#include <dlfcn.h>
#include <string.h>
#include <unistd.h>

static void *pr_libm(const char *name)
{
	static const char text[] = "pyruntime: cannot load libm.so.6\n";
	void *library = dlopen("libm.so.6", RTLD_NOW);
	void *function = library ? dlsym(library, name) : NULL;

	if (!function) {
		ssize_t ignored = write(2, text, sizeof(text) - 1);

		(void)ignored;
		_exit(1);
	}
	return function;
}

/* dlsym's result is a function; the standard has no cast for that. */
#define PR_FUNCTION(name, parameters, arguments)                                                   \
	double name parameters;                                                                    \
	double name parameters                                                                     \
	{                                                                                          \
		static double(*function) parameters;                                               \
		void *found;                                                                       \
                                                                                                   \
		if (!function) {                                                                   \
			found = pr_libm(#name);                                                    \
			memcpy(&function, &found, sizeof(found));                                  \
		}                                                                                  \
		return function arguments;                                                         \
	}
#define PR_OF_ONE(name) PR_FUNCTION(name, (double x), (x))
#define PR_OF_TWO(name) PR_FUNCTION(name, (double x, double y), (x, y))

PR_OF_ONE(acos)
PR_OF_ONE(acosh)
PR_OF_ONE(asin)
PR_OF_ONE(asinh)
PR_OF_ONE(atan)
PR_OF_ONE(atanh)
PR_OF_ONE(cbrt)
PR_OF_ONE(ceil)
PR_OF_ONE(cos)
PR_OF_ONE(cosh)
PR_OF_ONE(erf)
PR_OF_ONE(erfc)
PR_OF_ONE(exp)
PR_OF_ONE(exp2)
PR_OF_ONE(expm1)
PR_OF_ONE(floor)
PR_OF_ONE(log10)
PR_OF_ONE(log1p)
PR_OF_ONE(log2)
PR_OF_ONE(round)
PR_OF_ONE(sin)
PR_OF_ONE(sinh)
PR_OF_ONE(sqrt)
PR_OF_ONE(tan)
PR_OF_ONE(tanh)
PR_OF_TWO(atan2)
PR_OF_TWO(fmod)
PR_OF_TWO(hypot)
PR_OF_TWO(nextafter)
PR_OF_TWO(pow)

/*
 * int() asks for these two, once, to know how much room a decimal number needs: constants, which
 * the compiler computes to the last bit as libm does.
 */
double log(double x);
double log(double x)
{
	static double (*function)(double x);
	void *found;

	if (x == 10.0)
		return __builtin_log(10.0);
	if (x == (double)(1 << 30))
		return __builtin_log((double)(1 << 30));
	if (!function) {
		found = pr_libm("log");
		memcpy(&function, &found, sizeof(found));
	}
	return function(x);
}

void sincos(double x, double *sine, double *cosine);
void sincos(double x, double *sine, double *cosine)
{
	static void (*function)(double x, double *sine, double *cosine);
	void *found;

	if (!function) {
		found = pr_libm("sincos");
		memcpy(&function, &found, sizeof(found));
	}
	function(x, sine, cosine);
}
