/*
 * Asks the launcher's heap for memory, grows, shrinks and gives it back at random, and looks after
 * each step whether what was written is still there. Says how many blocks lay outside of the row.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <Python.h>

#include "heap.h"

enum { BLOCKS = 300, STEPS = 20000, ARENA = 1 << 20 };

static PyMemAllocatorEx heap;
static PyObjectArenaAllocator arenas;
static unsigned char *blocks[BLOCKS];
static size_t sizes[BLOCKS];
static uint64_t seed = 88172645463325252ULL;

void PyMem_SetAllocator(int domain, PyMemAllocatorEx *allocator)
{
	heap = *allocator;
}

void PyObject_SetArenaAllocator(PyObjectArenaAllocator *allocator)
{
	arenas = *allocator;
}

static void expect(int right, const char *what)
{
	if (right)
		return;
	fprintf(stderr, "%s\n", what);
	exit(1);
}

static size_t number(size_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (size_t)(seed % below);
}

static size_t some_size(void)
{
	static const size_t most[] = { 1, 900, 900, 900, 8000, 8000, 66000, 200000 };

	return number(most[number(8)]);
}

static void check(size_t which, size_t size)
{
	for (size_t at = 0; at < size; at++)
		expect(blocks[which][at] == (unsigned char)which, "a block has changed");
}

static void step(size_t which)
{
	size_t size = some_size();

	check(which, blocks[which] ? sizes[which] : 0);
	if (!blocks[which] && number(2)) {
		blocks[which] = heap.calloc(NULL, 1, size);
		for (size_t at = 0; at < size; at++)
			expect(!blocks[which][at], "calloc gave a block that is not zero");
	} else if (!blocks[which]) {
		blocks[which] = heap.malloc(NULL, size);
	} else if (number(2)) {
		blocks[which] = heap.realloc(NULL, blocks[which], size);
		check(which, size < sizes[which] ? size : sizes[which]);
	} else {
		heap.free(NULL, blocks[which]);
		blocks[which] = NULL;
		return;
	}
	expect(blocks[which] != NULL, "no memory");
	expect((uintptr_t)blocks[which] % 16 == 0, "a block is not aligned");
	memset(blocks[which], (int)which, size);
	sizes[which] = size;
}

int main(void)
{
	unsigned char *first, *again, *arena;
	size_t outside = 0;

	pr_set_allocators();
	first = heap.malloc(NULL, 1);
	heap.free(NULL, first);
	for (int count = 0; count < STEPS; count++)
		step(number(BLOCKS));
	for (size_t which = 0; which < BLOCKS; which++) {
		outside += blocks[which] && (uintptr_t)(blocks[which] - first) > ARENA;
		heap.free(NULL, blocks[which]);
	}
	again = heap.malloc(NULL, 1);
	expect(first == again, "what was given back is lost");
	for (int count = 0; count < 3; count++) {
		arena = arenas.alloc(NULL, ARENA);
		memset(arena, 1, ARENA);
		expect(arena + ARENA <= again || arena > again, "an arena lies on the row");
		arenas.free(NULL, arena, ARENA);
	}
	*again = 1;
	printf("%zu\n", outside);
	return 0;
}
