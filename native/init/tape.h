/* The tape: what Python wrote, as pyruntime/plan/tape.py packs it. All numbers little-endian. */
#ifndef PR_TAPE_H
#define PR_TAPE_H

#include "sys.h"

#define TAPE_MAGIC     0x45504154u /* "TAPE" */
#define TAPE_VERSION   1
#define ARGUMENTS      6
#define TAPE_LIMIT     (16u << 20)
#define TAPE_REGISTERS 0xffffu
#define NO_REGISTER    0xffffu

struct tape_header {
	u32 magic, version;
	u32 insns_size, reloc_count, slot_count, data_size;
};

enum { KIND_VALUE = 0, KIND_REGISTER = 1, KIND_BUFFER = 2 };

struct insn {
	u8 op;
	u8 count;  /* arguments that follow */
	u16 kinds; /* two bits an argument: how it is read */
	u8 ok[4];  /* errnos that count as success; the player then skips `skip` instructions */
	u16 step;  /* which step of the plan to blame */
	u16 skip;  /* forward only */
	u16 out;   /* register that takes the result */
	u16 log;   /* register with a file system context whose log explains a failure */
	u32 nr;	   /* system call number */
	u32 unused;
	u64 arg[];
};

struct slot { /* a late value: where it goes and how long it may be */
	u32 offset, size;
};

enum op {
	OP_SYSCALL = 0,
	OP_STORE,   /* buffer, value, width */
	OP_LOAD,    /* buffer, width -> out */
	OP_EXPECT,  /* value or buffer, width, mask, wanted, errno (0: skip instead) */
	OP_JUMP,    /* skip */
	OP_SET,	    /* value -> out */
	OP_DECIMAL, /* buffer, value, base (8, else 10): digits and a NUL, 24 bytes at most */
	OP_RESOLVE, /* root fd, path, how, mode, model fd -> out */
	OP_SYNC,    /* socket, code, number for the host */
	OP_HOME,    /* passwd fd, uid, buffer, size */
	OP_LOOKUP,  /* name, PATH, buffer, size */
	OP_HOOK,    /* block */
	OP_WAIT,    /* fd, report fd */
	OP_EXEC,    /* path, argv, envp, report fd, text or 0, whether it is said first */
	OP_CLONE,   /* socket, flags of new namespaces: goes on in a child of our parent */
	OP_COPY,    /* covered directory, tmpfs, whether it gets the owner: fills it */
	OP_COUNT,
};

enum resolve_how {
	HOW_MAKE_DIRECTORY = 1,
	HOW_MAKE_FILE = 2,
	HOW_MAKE_LIKE = 4,
	HOW_NO_SYMLINKS = 8,
	HOW_DIRECTORY = 16,
};

struct message { /* both directions of the socket, and the report fifo */
	u8 type, unused;
	u16 step;
	i32 number;
	u32 length;
};
#define MESSAGE_TEXT 1024

struct player {
	const u8 *insns, *insns_end;
	u32 slot_count, data_size;
	const struct slot *slots;
	u8 *data;
	i64 complements[TAPE_REGISTERS]; /* ~value: untouched memory reads as -1 and costs no page
					  */
	int socket;			 /* where failures are told */
	u32 text_length;
	char text[MESSAGE_TEXT]; /* what a failing built-in has to say */
};

long resolve(int root, const char *path, long how, u32 mode, int model);
long hook(struct player *p, const u64 *block);
long find_home(int passwd, u32 uid, char *to, size_t size);
long look_up(const char *name, const char *path, char *to, size_t size);
long synchronise(struct player *p, int socket, long code, i32 number, u16 step);
long clone_sibling(struct player *p, int socket, u64 namespaces, u16 step);
long wait_for_start(int fd);
long copy_tree(struct player *p, int source, int target, long owner);
void send_message(int fd, u8 type, u16 step, i32 number, const char *text, u32 length);
int kind_of(const struct insn *i, int argument);
long execute(struct player *p, const struct insn *i, const long *a, long *value);

#endif
