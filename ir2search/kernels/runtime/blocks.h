/* Convolutions and pointwise steps in vectors: blocks of 16 outputs, several positions at a time.
   Included by ir2_runtime.c. */

#ifndef IR2_BLOCKS_H
#define IR2_BLOCKS_H

#define LANES 16
#define INLINE static inline __attribute__((always_inline))

/* How a patch lies in memory, and the weights that it meets. */
typedef struct {
    size_t line;    /* bytes from a row of the patch to the next */
    int32_t rows;   /* of the patch */
    size_t whole;   /* whole words of a row, or numbers */
    uint32_t rest;  /* bits of one more word; 0 if there is none */
    size_t weights; /* words or numbers from the weights of a block to those of the next */
} ir2_patch;

#if defined(__AVX512F__)
#include "simd_avx512.h"
#elif defined(__AVX2__)
#include "simd_avx2.h"
#else
#include "simd_neon.h"
#endif

int32_t ir2_lanes(void) { return LANES; }

/* The numbers by output that follow the sums of a block. */
typedef struct {
    floats scale, shift, knee, slope, rise, threshold;
} ir2_vectors;

INLINE ir2_vectors vectors_at(const ir2_step *step, int form, int32_t channel) {
    ir2_vectors vectors;
    const floats zero = spread(0.0f);
    vectors.scale = form & IR2_SCALE ? load(step->scale + channel) : zero;
    vectors.shift = form & IR2_SHIFT ? load(step->shift + channel) : zero;
    vectors.knee = form & IR2_SHIFTED ? load(step->knee + channel) : zero;
    vectors.slope = form & IR2_PRELU ? load(step->slope + channel) : zero;
    vectors.rise = form & IR2_SHIFTED ? load(step->rise + channel) : zero;
    vectors.threshold =
        form & (IR2_SIGNS | IR2_PLUS_MINUS) ? load(step->threshold + channel) : zero;
    return vectors;
}

/* The maps that a step writes and adds, and the sizes of their pixels. */
typedef struct {
    const float *shortcut;
    float *real;
    uint8_t *signs;
    size_t outputs;
    size_t sign_bytes;
} ir2_maps;

INLINE ir2_maps maps_of(const ir2_step *step, uint8_t *arena, size_t images) {
    ir2_maps maps;
    maps.shortcut = (const float *)(void *)(arena + step->shortcut.place * images);
    maps.real = (float *)(void *)(arena + step->real.place * images);
    maps.signs = arena + step->signs.place * images;
    maps.outputs = (size_t)step->outputs;
    maps.sign_bytes = sign_bytes(step->outputs);
    return maps;
}

INLINE void write_bits(const ir2_maps *maps, size_t position, int32_t channel, int lanes,
                       uint32_t bits) {
    uint8_t *to = maps->signs + position * maps->sign_bytes + channel / 8;
    if (lanes > 8) {
        const uint16_t both = (uint16_t)(bits & ((1u << lanes) - 1));
        memcpy(to, &both, 2);
    } else {
        *to = (uint8_t)(bits & ((1u << lanes) - 1));
    }
}

/* Apply all that follows the sums of a block at one position. */
INLINE void finish_block(const ir2_vectors *vectors, const ir2_maps *maps, int form, floats x,
                         size_t position, int32_t channel, int lanes) {
    const size_t at = position * maps->outputs + (size_t)channel;
    if (form & IR2_SCALE)
        x = multiply(x, vectors->scale);
    if (form & IR2_SHIFT)
        x = add(x, vectors->shift);
    if (form & IR2_SHORTCUT)
        x = add(x, lanes == LANES ? load(maps->shortcut + at)
                                  : load_some(maps->shortcut + at, lanes));
    if (form & IR2_HARDTANH)
        x = clip(x);
    if (form & IR2_PRELU) {
        if (form & IR2_SHIFTED)
            x = subtract(x, vectors->knee);
        x = bend(x, vectors->slope);
        if (form & IR2_SHIFTED)
            x = add(x, vectors->rise);
    }
    if (form & (IR2_SIGNS | IR2_PLUS_MINUS)) {
        const uint32_t up = at_least(x, vectors->threshold);
        if (form & IR2_SIGNS)
            write_bits(maps, position, channel, lanes, up);
        if (form & IR2_PLUS_MINUS)
            x = plus_minus(up);
    }
    if (form & (IR2_REAL | IR2_PLUS_MINUS)) {
        if (lanes == LANES)
            store(maps->real + at, x);
        else
            store_some(maps->real + at, x, lanes);
    }
}

/* Where the patches of some output rows are, position by position. */
typedef struct {
    const uint8_t *row_begin;
    int32_t row, column;
    const int32_t *row_borders;
} ir2_walk;

/* The places and the borders of the next positions; the last one is repeated. */
INLINE void next_positions(const ir2_step *step, const ir2_lines *lines, ir2_walk *walk, int count,
                           size_t kinds, const uint8_t *at[POSITIONS],
                           const int32_t *borders[POSITIONS]) {
    int i;
    if (count == POSITIONS && walk->column + POSITIONS < step->columns) { /* in one row */
        const uint8_t *begin = walk->row_begin + (size_t)walk->column * lines->step;
        for (i = 0; i < POSITIONS; ++i) {
            at[i] = begin + (size_t)i * lines->step;
            if (kinds > 0)
                borders[i] =
                    walk->row_borders + step->column_kind[walk->column + i] * kinds;
        }
        walk->column += POSITIONS;
        return;
    }
    for (i = 0; i < POSITIONS; ++i) {
        if (i >= count) {
            at[i] = at[i - 1];
            borders[i] = borders[i - 1];
            continue;
        }
        at[i] = walk->row_begin + (size_t)walk->column * lines->step;
        borders[i] = walk->row_borders;
        if (kinds > 0)
            borders[i] += step->column_kind[walk->column] * kinds;
        if (++walk->column == step->columns) {
            walk->column = 0;
            walk->row_begin += lines->down;
            if (++walk->row < step->rows && kinds > 0)
                walk->row_borders = step->borders + (size_t)step->row_kind[walk->row] *
                                                        (size_t)step->column_kinds * kinds;
        }
    }
}

INLINE void finish_counts(const ir2_vectors *vectors, const ir2_maps *maps, int form,
                          const ints *counts, const int32_t *const *borders, int count,
                          size_t position, int32_t channel, int lanes) {
    int i;
    for (i = 0; i < POSITIONS && i < count; ++i) {
        const ints border = load_ints(borders[i] + channel);
        if (form & IR2_LIMITS)
            write_bits(maps, position + (size_t)i, channel, lanes, at_most(counts[i], border));
        else
            finish_block(vectors, maps, form, to_floats(less_twice(border, counts[i])),
                         position + (size_t)i, channel, lanes);
    }
}

/* A chunk of a convolution of signs; the compiler makes a copy for each constant form. */
INLINE void convolve_signs(const ir2_step *step, const ir2_lines *lines, uint8_t *arena,
                           size_t images, int32_t first, int32_t last, size_t position, int form) {
    const ir2_maps maps = maps_of(step, arena, images);
    const int32_t total = (last - first) * step->columns;
    const size_t words = (lines->patch + 3) / 4, rest = lines->patch % 4;
    const ir2_patch patch = {lines->line, step->size, lines->patch / 4,
                             rest > 0 ? (1u << (8 * rest)) - 1 : 0,
                             words * (size_t)step->size * LANES};
    const size_t kinds = (size_t)(step->outputs + LANES - 1) / LANES * LANES;
    ir2_walk walk = {lines->begin, first, 0,
                     step->borders + step->row_kind[first] * (size_t)step->column_kinds * kinds};
    int32_t done, channel;
    for (done = 0; done < total; done += POSITIONS) {
        const uint8_t *at[POSITIONS];
        const int32_t *borders[POSITIONS];
        const int count = total - done < POSITIONS ? total - done : POSITIONS;
        const uint32_t *bits = step->bits;
        next_positions(step, lines, &walk, count, kinds, at, borders);
        for (channel = 0; channel < step->outputs; channel += LANES) {
            const ir2_vectors vectors = vectors_at(step, form, channel);
            const int lanes = step->outputs - channel < LANES ? step->outputs - channel : LANES;
            ints counts[POSITIONS];
            count_tile(at, &patch, bits, counts);
            if (count == POSITIONS && lanes == LANES)
                finish_counts(&vectors, &maps, form, counts, borders, POSITIONS,
                              position + (size_t)done, channel, LANES);
            else
                finish_counts(&vectors, &maps, form, counts, borders, count,
                              position + (size_t)done, channel, lanes);
            bits += patch.weights;
        }
    }
}

INLINE void finish_sums(const ir2_step *step, const ir2_maps *maps, int form, const floats *sums,
                        int count, size_t position, int32_t channel) {
    const ir2_vectors vectors = vectors_at(step, form, channel);
    const int lanes = step->outputs - channel < LANES ? step->outputs - channel : LANES;
    int i;
    for (i = 0; i < POSITIONS && i < count; ++i)
        finish_block(&vectors, maps, form, sums[i], position + (size_t)i, channel, lanes);
}

INLINE void convolve_numbers(const ir2_step *step, const ir2_lines *lines, uint8_t *arena,
                             size_t images, int32_t first, int32_t last, size_t position,
                             int form) {
    const ir2_maps maps = maps_of(step, arena, images);
    const int32_t total = (last - first) * step->columns;
    const size_t numbers = (size_t)(step->size * step->channels);
    const ir2_patch patch = {lines->line, step->size, numbers, 0,
                             numbers * (size_t)step->size * LANES};
    ir2_walk walk = {lines->begin, first, 0, NULL};
    int32_t done, channel;
    for (done = 0; done < total; done += POSITIONS) {
        const uint8_t *at[POSITIONS];
        const int32_t *borders[POSITIONS];
        const int count = total - done < POSITIONS ? total - done : POSITIONS;
        const float *weights = step->weights;
        const size_t start = position + (size_t)done;
        next_positions(step, lines, &walk, count, 0, at, borders);
        for (channel = 0; channel < step->outputs; channel += LANES) {
            floats sums[POSITIONS], more[POSITIONS];
            if (count == 1) {
                product_line(at[0], &patch, weights, sums);
                finish_sums(step, &maps, form, sums, 1, start, channel);
            } else if (step->outputs - channel > LANES) {
                product_tiles(at, &patch, weights, sums, more);
                finish_sums(step, &maps, form, sums, count, start, channel);
                channel += LANES;
                weights += patch.weights;
                finish_sums(step, &maps, form, more, count, start, channel);
            } else {
                product_tile(at, &patch, weights, sums);
                finish_sums(step, &maps, form, sums, count, start, channel);
            }
            weights += patch.weights;
        }
    }
}

enum {
    NORM = IR2_SCALE | IR2_SHIFT,
    BOTH = IR2_REAL | IR2_SIGNS,
    RPRELU = IR2_PRELU | IR2_SHIFTED
};

#define NUMBERS_CASE(form)                                                                         \
    case (form):                                                                                   \
        convolve_numbers(step, lines, arena, images, first, last, position, (form));               \
        return;

#define SIGNS_CASE(form)                                                                           \
    case (form):                                                                                   \
        convolve_signs(step, lines, arena, images, first, last, position, (form));                 \
        return;

/* Convolve output rows of one image that share their lines; `at` is the first one of all rows. */
static void convolve_chunk(const ir2_step *step, const ir2_lines *lines, uint8_t *arena,
                           size_t images, int32_t first, int32_t last, size_t at) {
    const size_t position = at * (size_t)step->columns;
    if (step->operation == IR2_CONVOLVE_NUMBERS) {
        switch (step->form) { /* the usual forms of the first layer */
            NUMBERS_CASE(NORM | IR2_HARDTANH | BOTH)
            NUMBERS_CASE(NORM | IR2_REAL)
        default:
            convolve_numbers(step, lines, arena, images, first, last, position, step->form);
        }
        return;
    }
    switch (step->form) { /* the usual forms */
        SIGNS_CASE(IR2_REAL)
        SIGNS_CASE(IR2_LIMITS)
        SIGNS_CASE(NORM | IR2_SHORTCUT | IR2_HARDTANH | BOTH)
        SIGNS_CASE(NORM | IR2_SHORTCUT | IR2_HARDTANH | IR2_REAL)
        SIGNS_CASE(NORM | IR2_SHORTCUT | IR2_PRELU | BOTH)
        SIGNS_CASE(NORM | IR2_SHORTCUT | RPRELU | BOTH)
    default:
        convolve_signs(step, lines, arena, images, first, last, position, step->form);
    }
}

/* The mean or the maximum of a window of a block. */
INLINE void pool_block(const ir2_step *step, const float *pixels, ir2_window down,
                       ir2_window across, float *out, int is_mean, int lanes) {
    const float area = (float)((int64_t)(down.end - down.start) * (across.end - across.start));
    floats result = spread(is_mean ? 0.0f : -INFINITY);
    int32_t y, x;
    for (y = down.start; y < down.end; ++y) {
        const size_t first = (size_t)y * (size_t)step->width + (size_t)across.start;
        const float *at = pixels + first * (size_t)step->channels;
        for (x = across.start; x < across.end; ++x, at += step->channels) {
            const floats value = lanes == LANES ? load(at) : load_some(at, lanes);
            result = is_mean ? add(result, value) : larger(value, result);
        }
    }
    if (is_mean)
        result = divide(result, spread(area));
    if (lanes == LANES)
        store(out, result);
    else
        store_some(out, result, lanes);
}

/* The mean or the maximum of a window, written to `out`; `top` is the first row of the image. */
static void pool_numbers(const ir2_step *step, uint8_t *arena, size_t images, size_t top,
                         ir2_window down, ir2_window across, float *out) {
    const float *image = source_row(step, arena, images, top);
    const int is_mean = step->operation == IR2_POOL_MEAN;
    int32_t channel;
    for (channel = 0; channel < step->channels; channel += LANES) {
        const int32_t left = step->channels - channel;
        if (left < LANES)
            pool_block(step, image + channel, down, across, out + channel, is_mean, left);
        else if (is_mean)
            pool_block(step, image + channel, down, across, out + channel, 1, LANES);
        else
            pool_block(step, image + channel, down, across, out + channel, 0, LANES);
    }
}

static void pointwise(const ir2_step *step, uint8_t *arena, size_t images, size_t first,
                      size_t last) {
    const ir2_maps maps = maps_of(step, arena, images);
    const float *source = source_row(step, arena, images, 0);
    const size_t columns = (size_t)step->columns;
    int32_t channel;
    for (channel = 0; channel < step->outputs; channel += LANES) {
        const ir2_vectors vectors = vectors_at(step, step->form, channel);
        const int lanes = step->outputs - channel < LANES ? step->outputs - channel : LANES;
        size_t position;
        for (position = first * columns; position < last * columns; ++position) {
            const float *at = source + position * maps.outputs + channel;
            const floats x = lanes == LANES ? load(at) : load_some(at, lanes);
            finish_block(&vectors, &maps, step->form, x, position, channel, lanes);
        }
    }
}

#endif
