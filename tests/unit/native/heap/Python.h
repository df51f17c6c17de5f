/* Stands in for the interpreter's header: what native/launcher/heap.c wants of it. */
#include <stddef.h>

typedef struct {
	void *context;
	void *(*malloc)(void *context, size_t size);
	void *(*calloc)(void *context, size_t count, size_t each);
	void *(*realloc)(void *context, void *memory, size_t size);
	void (*free)(void *context, void *memory);
} PyMemAllocatorEx;

typedef struct {
	void *context;
	void *(*alloc)(void *context, size_t size);
	void (*free)(void *context, void *memory, size_t size);
} PyObjectArenaAllocator;

enum { PYMEM_DOMAIN_RAW };

void PyMem_SetAllocator(int domain, PyMemAllocatorEx *allocator);
void PyObject_SetArenaAllocator(PyObjectArenaAllocator *allocator);
