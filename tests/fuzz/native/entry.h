#ifndef PR_ENTRY_H
#define PR_ENTRY_H

#include <stddef.h>
#include <stdint.h>

/* 0: refused at the door. 1: played, and ran out. Otherwise it does not return but leaves. */
int play_tape(uint8_t *tape, size_t size);

/* Makes head and end as the door wants them, for damage that is to get further. */
void repair_tape(uint8_t *tape, size_t size);

/* How much of a tape stands before its data: nothing may write there. */
size_t fixed_size(const uint8_t *tape);

#endif
