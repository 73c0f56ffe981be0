/* The runtime on a computer: the fastest instructions that the processor has, threads, batches. */

#include "host.h"

#include <math.h>
#include <string.h>

#include "threads.h"

/* Estimated seconds for one thread; shorter work is not shared. */
static const double LEAST_SECONDS = 2e-5;
static const double SECONDS_WORD = 4e-11, SECONDS_NUMBER = 2e-11, SECONDS_OUTPUT = 3e-10;

#define DECLARE(variant)                                                                           \
    int32_t ir2_lanes_##variant(void);                                                             \
    void ir2_run_rows_##variant(const ir2_step *, uint8_t *, size_t, uint8_t *, size_t, size_t);
#define ENTRY(variant, supported)                                                                  \
    { #variant, ir2_lanes_##variant, ir2_run_rows_##variant, supported }

static int always(void) { return 1; }

DECLARE(portable)
#ifdef IR2_HAS_X86
DECLARE(avx2)
DECLARE(avx512)
DECLARE(vpopcntdq)

static int has_avx2(void) {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
           __builtin_cpu_supports("popcnt");
}

static int has_avx512(void) {
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
}

static int has_vpopcntdq(void) {
    return has_avx512() && __builtin_cpu_supports("avx512vpopcntdq");
}
#endif
#ifdef IR2_HAS_NEON
DECLARE(neon)
#endif

static const struct {
    const char *name;
    int32_t (*lanes)(void);
    void (*run_rows)(const ir2_step *, uint8_t *, size_t, uint8_t *, size_t, size_t);
    int (*supported)(void);
} VARIANTS[] = {
#ifdef IR2_HAS_X86
    ENTRY(vpopcntdq, has_vpopcntdq),
    ENTRY(avx512, has_avx512),
    ENTRY(avx2, has_avx2),
#endif
#ifdef IR2_HAS_NEON
    ENTRY(neon, always),
#endif
    ENTRY(portable, always),
};

const char *ir2_variant_name(int32_t variant) {
    const int32_t count = (int32_t)(sizeof VARIANTS / sizeof VARIANTS[0]);
    return variant < count ? VARIANTS[variant].name : NULL;
}

int32_t ir2_variant_runs(int32_t variant) { return VARIANTS[variant].supported(); }

int32_t ir2_variant_lanes(int32_t variant) { return VARIANTS[variant].lanes(); }

int32_t ir2_read_images(const float *images, int64_t count, int64_t channels, int64_t pixels,
                        float *to) {
    int finite = 1;
    for (int64_t image = 0; image < count; ++image)
        for (int64_t channel = 0; channel < channels; ++channel) {
            float *out = to + image * pixels * channels + channel;
            for (int64_t pixel = 0; pixel < pixels; ++pixel) {
                const float x = *images++;
                finite &= fabsf(x) < INFINITY;
                out[pixel * channels] = x;
            }
        }
    return finite;
}

static double seconds_of(const ir2_step *step, size_t images) {
    const double positions = (double)images * step->rows * step->columns;
    double output = SECONDS_OUTPUT;
    if (step->operation == IR2_CONVOLVE_SIGNS)
        output += SECONDS_WORD * ((step->size * ((step->channels + 7) / 8) + 3) / 4) * step->size;
    else if (step->operation == IR2_CONVOLVE_NUMBERS)
        output += SECONDS_NUMBER * step->size * step->size * step->channels / step->groups;
    else if (step->operation <= IR2_POOL_SIGNS && step->operation != IR2_POINTWISE)
        output *= (double)step->height * step->width / ((double)step->rows * step->columns);
    return positions * step->outputs * output;
}

typedef struct {
    const ir2_call *call;
    const ir2_step *step;
    size_t rows, part;
} rows_job;

static void run_part(const void *argument, int number) {
    const rows_job *job = argument;
    const ir2_call *call = job->call;
    const size_t first = (size_t)number * job->part;
    const size_t last = first + job->part < job->rows ? first + job->part : job->rows;
    if (first < last)
        VARIANTS[call->variant].run_rows(job->step, call->arena, call->images,
                                         call->scratch + (size_t)number * call->scratch_bytes,
                                         first, last);
}

void ir2_run_steps(const ir2_call *call, int32_t first, int32_t last, double least_seconds) {
    for (; first < last; ++first) {
        const ir2_step *step = &call->steps[first];
        rows_job job = {call, step, call->images * (size_t)step->rows, 0};
        size_t parts = (size_t)ir2_threads_count(call->threads);
        const double least = least_seconds < 0 ? LEAST_SECONDS : least_seconds;
        if (parts > 1 && seconds_of(step, call->images) < least)
            parts = 1;
        job.part = (job.rows + parts - 1) / parts;
        ir2_threads_run(call->threads, run_part, &job, (int)parts);
    }
}
