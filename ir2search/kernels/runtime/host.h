/* The runtime on a computer, called by ctypes. */

#ifndef IR2_HOST_H
#define IR2_HOST_H

#include "ir2_runtime.h"
#include "threads.h"

/* A network and the memory that it runs in. */
typedef struct {
    const ir2_step *steps;
    uint8_t *arena;
    uint8_t *scratch;
    ir2_threads *threads; /* NULL: one thread */
    size_t images;
    size_t scratch_bytes; /* for each thread */
    int32_t variant;      /* see ir2_variant_name */
} ir2_call;

/* Names of the compiled variants, the fastest first; NULL after the last one. */
const char *ir2_variant_name(int32_t variant);

/* Whether this processor runs a variant. */
int32_t ir2_variant_runs(int32_t variant);

int32_t ir2_variant_lanes(int32_t variant);

/* Write images (N, C, pixels) as (N, pixels, C); returns whether all values are finite. */
int32_t ir2_read_images(const float *images, int64_t count, int64_t channels, int64_t pixels,
                        float *to);

/* Run some steps. Work is shared by threads if it takes one of them least_seconds, which is
   estimated; a negative number takes the usual limit. */
void ir2_run_steps(const ir2_call *call, int32_t first, int32_t last, double least_seconds);

#endif
