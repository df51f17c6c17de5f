/* System calls and the few words of C that a program without a libc needs. */
#ifndef PR_SYS_H
#define PR_SYS_H

#include <asm/unistd.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int32_t i32;
typedef int64_t i64;

enum {
	PR_EPERM = 1,
	PR_ENOENT = 2,
	PR_EINTR = 4,
	PR_EIO = 5,
	PR_ENXIO = 6,
	PR_E2BIG = 7,
	PR_ENOEXEC = 8,
	PR_EAGAIN = 11,
	PR_ENOMEM = 12,
	PR_EACCES = 13,
	PR_EEXIST = 17,
	PR_ENOTDIR = 20,
	PR_EISDIR = 21,
	PR_EINVAL = 22,
	PR_ETXTBSY = 26,
	PR_ENAMETOOLONG = 36,
	PR_ENOSYS = 38,
	PR_ELOOP = 40,
	PR_ENODATA = 61,
	PR_ETIME = 62,
	PR_EBADMSG = 74,
	PR_ELIBBAD = 80,
	PR_EOPNOTSUPP = 95,
};

#if defined(__x86_64__)
static inline long sys6(long nr, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long ret;
	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}
#elif defined(__aarch64__)
static inline long sys6(long nr, long a, long b, long c, long d, long e, long f)
{
	register long x8 __asm__("x8") = nr;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	register long x5 __asm__("x5") = f;
	__asm__ volatile("svc 0"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
			 : "memory");
	return x0;
}
#else
#error "pyruntime's init knows x86-64 and arm64"
#endif

#define SYS_PICK(nr, a, b, c, d, e, f, ...)                                                        \
	sys6((nr), (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))
#define SYS(name, ...) SYS_PICK(__NR_##name, ##__VA_ARGS__, 0, 0, 0, 0, 0, 0)

static inline size_t text_length(const char *s)
{
	size_t n = 0;
	while (s[n])
		n++;
	return n;
}

void *memcpy(void *to, const void *from, size_t n);
void *memset(void *to, int c, size_t n);
_Noreturn void leave(int status);

/* openat2(2) answers EAGAIN to a confined `..` whenever something was mounted or renamed meanwhile,
 * anywhere; the kernel has released the number that close(2) was given, whatever it says. */
static inline int is_to_repeat(u32 nr, long result, int tries)
{
	if (result == -PR_EINTR)
		return nr != __NR_close;
	return result == -PR_EAGAIN && nr == __NR_openat2 && tries < 128;
}

#endif
