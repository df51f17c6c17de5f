/* main.c with a way in that takes the tape from memory. Its _start is the C library's. */
#define __asm__(...) struct no_entry
#include "../../../native/init/main.c"
#undef __asm__
#include "entry.h"

int play_tape(uint8_t *tape, size_t size)
{
	static struct player p;

	__builtin_memset(&p, 0, sizeof p); /* half a MiB: not by the init's own loop */
	p.socket = 4;
	if (size < sizeof(struct tape_header) || size > TAPE_LIMIT || arrange(&p, tape, size) < 0)
		return 0;
	play(&p);
	return 1;
}

void repair_tape(uint8_t *tape, size_t size)
{
	struct tape_header *h = (void *)tape;

	h->magic = TAPE_MAGIC;
	h->version = TAPE_VERSION;
	if (fixed_size(tape) < size)
		h->data_size = (uint32_t)(size - fixed_size(tape));
	tape[size - 1] = 0;
}

size_t fixed_size(const uint8_t *tape)
{
	const struct tape_header *h = (const void *)tape;

	return sizeof *h + h->insns_size + (((size_t)h->reloc_count * 4 + 7) & ~(size_t)7) +
	       h->slot_count * sizeof(struct slot);
}
