/* Start-up of Arm's boards MPS2 with a Cortex-M: the emulator has loaded and cleared all memory. */

#include "board.h"

#define REGISTER(address) (*(volatile uint32_t *)(address))
#define TIMER 0x40000000u /* CMSDK timer 0, which counts down */
#define WRITE0 0x04u
#define EXIT 0x18u
#define FAULT 0x20023u
#define APPLICATION_EXIT 0x20026u

int main(void);
extern uint32_t stack_top;

static void ask(uint32_t operation, uint32_t argument) {
    register uint32_t r0 __asm__("r0") = operation;
    register uint32_t r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
}

void put(const char *text) { ask(WRITE0, (uint32_t)text); }

uint32_t ticks(void) { return ~REGISTER(TIMER + 4); }

void reset(void) {
    REGISTER(0xE000ED88u) |= 0xFu << 20; /* allow the unit for floats, if there is one */
    __asm__ volatile("dsb\n\tisb");
    REGISTER(TIMER + 4) = 0xFFFFFFFFu;
    REGISTER(TIMER + 8) = 0xFFFFFFFFu;
    REGISTER(TIMER) = 1;
    main();
    ask(EXIT, APPLICATION_EXIT);
}

void fault(void) {
    put("fault\n");
    ask(EXIT, FAULT);
}

/* The first words that a Cortex-M reads. */
__attribute__((section(".vectors"), used)) static const struct {
    uint32_t *stack;
    void (*handlers[6])(void);
} VECTORS = {&stack_top, {reset, fault, fault, fault, fault, fault}};
