/* Classifies the images of images.h: prints a line of words for each, its class and the bits of its
   logits. On a board it then prints a line with the timer's ticks of each step. */

#include "network.c"

#include <string.h>

#include "images.h"

#ifdef __arm__
#include "board.h"
#else
#include <stdio.h>
static void put(const char *text) { fputs(text, stdout); }
#endif

static void put_word(uint32_t word, char end) {
    char text[10];
    int i;
    for (i = 0; i < 8; ++i)
        text[i] = "0123456789abcdef"[word >> (28 - 4 * i) & 15u];
    text[8] = end;
    text[9] = 0;
    put(text);
}

#ifdef __arm__
static void time_steps(void) {
    static uint32_t total[STEP_COUNT];
    int32_t i, step;
    for (i = 0; i < ORDER_COUNT; ++i) {
        const uint32_t before = ticks();
        ir2_run(STEPS, &ORDER[i], 1, arena.bytes, IMAGES[0]);
        total[ORDER[i].step] += ticks() - before;
    }
    for (step = 0; step < STEP_COUNT; ++step)
        put_word(total[step], step == STEP_COUNT - 1 ? '\n' : ' ');
}
#endif

int main(void) {
    int image, i;
    for (image = 0; image < IMAGE_COUNT; ++image) {
        put_word((uint32_t)ir2_classify(IMAGES[image]), ' ');
        for (i = 0; i < IR2_CLASSES; ++i) {
            uint32_t word;
            memcpy(&word, ir2_logits() + i, sizeof word);
            put_word(word, i == IR2_CLASSES - 1 ? '\n' : ' ');
        }
    }
#ifdef __arm__
    time_steps();
#endif
    return 0;
}
