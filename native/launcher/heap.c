/*
 * The memory a verb lives in: one huge page, where the kernel gives one.
 *
 * An interpreter touches some 250 fresh pages before it runs a line of ours. Each costs a fault,
 * and in a virtual machine that is 2 to 3 µs: a quarter of the whole start. One fault for 2 MiB
 * costs 0.1 ms. The first MiB of it is the interpreter's first arena (objects up to 512 bytes);
 * 640 KiB serve larger requests: a row of blocks, of which free neighbours are joined and the first
 * that is large enough is taken. Without that a `create`, which grows many dictionaries, ran over
 * into half a MiB of ordinary pages. A second arena begins in what is left of the huge page and
 * ends in ordinary ones behind it. What comes after these are full goes the usual way, mmap(2) and
 * malloc(3), and is freed, so a foreground `run` of months does not grow. So do the largest
 * requests: they are tables and buffers of which few pages are touched.
 *
 * Without huge pages (disabled, or none free, which the kernel finds out without trying hard) the
 * same region consists of ordinary ones, as before. The price is 1.5 MiB more resident at the peak.
 * There is one thread, so nothing is locked.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "heap.h"

#define PR_REGION  (2UL << 20)
#define PR_ARENA   (1UL << 20)
#define PR_ROW	   (640UL << 10)
#define PR_LARGEST (128UL << 10)
/* What a block is too large by becomes a block of its own from this size on. */
#define PR_LEAST 256UL

struct pr_block {
	size_t size;		 /* of the memory behind these two, which is what is handed out */
	struct pr_block *before; /* in the row */
	/* Only in a block that is free, else NULL or memory that was handed out. */
	struct pr_block *next, *last;
};

#define PR_HEAD offsetof(struct pr_block, next)
#define PR_FREE 1UL /* in size, which is a multiple of 16 */

static char *pr_arenas[2]; /* NULL once it was handed out */
static char *pr_first;	   /* of the row of large blocks */
static char *pr_next;	   /* what was not needed so far */
static char *pr_clean;	   /* what was never handed out, and is as zero as it was made */
static char *pr_end;
static struct pr_block *pr_newest; /* the block in front of pr_next */
static struct pr_block pr_ring = { .next = &pr_ring, .last = &pr_ring };

static int pr_in_row(const void *memory)
{
	return (uintptr_t)memory - (uintptr_t)pr_first < (uintptr_t)(pr_end - pr_first);
}

static struct pr_block *pr_block_of(void *memory)
{
	return (struct pr_block *)(void *)((char *)memory - PR_HEAD);
}

static void *pr_memory_of(struct pr_block *block)
{
	return (char *)block + PR_HEAD;
}

static struct pr_block *pr_behind(struct pr_block *block)
{
	return (struct pr_block *)(void *)((char *)block + PR_HEAD + (block->size & ~PR_FREE));
}

/* Something of at least 16 bytes, room for the links of a free block. */
static size_t pr_rounded(size_t size)
{
	return size ? (size + 15) & ~15UL : 16;
}

static void pr_unlink(struct pr_block *block)
{
	block->next->last = block->last;
	block->last->next = block->next;
	block->size &= ~PR_FREE;
}

/* Makes one block of two neighbours. */
static void pr_join(struct pr_block *block, struct pr_block *behind)
{
	block->size += PR_HEAD + behind->size;
	if (behind == pr_newest)
		pr_newest = block;
	else
		pr_behind(block)->before = block;
}

static void pr_give_back(struct pr_block *block)
{
	struct pr_block *behind = pr_behind(block);

	if (block != pr_newest && (behind->size & PR_FREE)) {
		pr_unlink(behind);
		pr_join(block, behind);
	}
	if (block->before && (block->before->size & PR_FREE)) {
		behind = block;
		block = block->before;
		pr_unlink(block);
		pr_join(block, behind);
	}
	if (block == pr_newest) {
		pr_next = (char *)block;
		pr_newest = block->before;
		return;
	}
	block->size |= PR_FREE;
	block->next = pr_ring.next;
	block->last = &pr_ring;
	block->next->last = pr_ring.next = block;
}

/* Gives back what a block is too large by. */
static void pr_cut(struct pr_block *block, size_t size)
{
	struct pr_block *behind;

	if (block->size - size < PR_LEAST)
		return;
	behind = (struct pr_block *)(void *)((char *)block + PR_HEAD + size);
	behind->size = block->size - size - PR_HEAD;
	behind->before = block;
	if (block == pr_newest)
		pr_newest = behind;
	else
		pr_behind(block)->before = behind;
	block->size = size;
	pr_give_back(behind);
}

static void *pr_take(size_t size)
{
	struct pr_block *block;

	if (size > PR_LARGEST)
		return NULL;
	size = pr_rounded(size);
	for (block = pr_ring.next; block != &pr_ring; block = block->next) {
		if (block->size >= size) {
			pr_unlink(block);
			pr_cut(block, size);
			return pr_memory_of(block);
		}
	}
	if ((size_t)(pr_end - pr_next) < PR_HEAD + size)
		return NULL;
	block = (struct pr_block *)(void *)pr_next;
	block->size = size;
	block->before = pr_newest;
	pr_newest = block;
	pr_next += PR_HEAD + size;
	if (pr_next > pr_clean)
		pr_clean = pr_next;
	return pr_memory_of(block);
}

static void *pr_malloc(void *context, size_t size)
{
	void *memory = pr_take(size);

	/* The interpreter wants a distinct block for a request of nothing. */
	return memory ? memory : malloc(size ? size : 1);
}

static void *pr_calloc(void *context, size_t count, size_t each)
{
	char *clean = pr_clean;
	size_t size, used;
	char *memory;

	if (__builtin_mul_overflow(count, each, &size))
		return NULL;
	memory = pr_take(size);
	if (!memory)
		return calloc(1, size ? size : 1);
	used = memory < clean ? (size_t)(clean - memory) : 0;
	return memset(memory, 0, used < size ? used : size);
}

static void pr_free(void *context, void *memory)
{
	if (!pr_in_row(memory))
		free(memory);
	else
		pr_give_back(pr_block_of(memory));
}

static void *pr_realloc(void *context, void *memory, size_t size)
{
	struct pr_block *block;
	void *moved;

	if (!memory)
		return pr_malloc(context, size);
	if (!pr_in_row(memory))
		return realloc(memory, size ? size : 1);
	block = pr_block_of(memory);
	if (size <= block->size) {
		pr_cut(block, pr_rounded(size));
		return memory;
	}
	moved = pr_malloc(context, size);
	if (moved) {
		memcpy(moved, memory, block->size);
		pr_give_back(block);
	}
	return moved;
}

static void *pr_arena_alloc(void *context, size_t size)
{
	void *arena;

	/* The interpreter's own stack comes from here too, in pieces of 16 KiB. */
	for (size_t i = 0; size == PR_ARENA && i < 2; i++) {
		arena = pr_arenas[i];
		pr_arenas[i] = NULL;
		if (arena)
			return arena;
	}
	arena = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return arena == MAP_FAILED ? NULL : arena;
}

/* An arena in the region is unmapped like any other; its addresses are not used again. */
static void pr_arena_free(void *context, void *arena, size_t size)
{
	munmap(arena, size);
}

void pr_set_allocators(void)
{
	PyMemAllocatorEx raw = { NULL, pr_malloc, pr_calloc, pr_realloc, pr_free };
	PyObjectArenaAllocator arenas = { NULL, pr_arena_alloc, pr_arena_free };
	size_t room = PR_REGION + PR_ROW;
	char *space = mmap(NULL, PR_REGION + room, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (space == MAP_FAILED)
		return;
	space = (char *)(((uintptr_t)space + PR_REGION - 1) & ~(PR_REGION - 1));
	pr_arenas[0] = space;
	pr_first = pr_next = pr_clean = space + PR_ARENA;
	pr_end = pr_arenas[1] = pr_first + PR_ROW;
	/* A refusal means ordinary pages. */
	(void)madvise(space, PR_REGION, MADV_HUGEPAGE);
	PyMem_SetAllocator(PYMEM_DOMAIN_RAW, &raw);
	PyObject_SetArenaAllocator(&arenas);
}
