/* Semihosting: an emulator or a debugger does what the program asks. */

#ifndef BOARD_H
#define BOARD_H

#include <stdint.h>

void put(const char *text);

/* A timer that counts up, 25 million times a second. */
uint32_t ticks(void);

#endif
