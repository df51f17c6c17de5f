/* The memory a verb lives in, given to the interpreter before it starts. */
#ifndef PYRUNTIME_HEAP_H
#define PYRUNTIME_HEAP_H

void pr_set_allocators(void);

#endif
