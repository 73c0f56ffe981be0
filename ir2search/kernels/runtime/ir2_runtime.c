#include "ir2_runtime.h"

#include <math.h>
#include <string.h>

/* The rows of an image that output rows read, with zeros around them. */
typedef struct {
    const uint8_t *begin; /* the first patch */
    size_t line;          /* bytes of a row */
    size_t step;          /* bytes from a patch to that of the next column */
    size_t down;          /* bytes from a patch to that of the next row */
    size_t patch;         /* bytes of a patch in one row */
} ir2_lines;

static size_t sign_bytes(int32_t channels) { return ((size_t)channels + 7) / 8; }

static size_t real_bytes(int32_t channels) { return sizeof(float) * (size_t)channels; }

/* A row of a map, of all rows of all images; `bytes` is the size of a row. */
static uint8_t *row_at(const ir2_map *map, uint8_t *arena, size_t images, size_t row,
                       size_t bytes) {
    if (map->rows != NULL)
        return arena + map->rows[row];
    return arena + map->place * images + row * bytes;
}

static float *numbers_at(const ir2_map *map, uint8_t *arena, size_t images, size_t row,
                         int32_t columns, int32_t channels) {
    const size_t bytes = (size_t)columns * real_bytes(channels);
    return (float *)(void *)row_at(map, arena, images, row, bytes);
}

/* A row of numbers that a step reads, of all rows of all images. */
static const float *source_row(const ir2_step *step, uint8_t *arena, size_t images, size_t row) {
    return numbers_at(&step->source, arena, images, row, step->width, step->channels);
}

/* A row of numbers that a step writes, of all rows of all images. */
static float *real_row(const ir2_step *step, uint8_t *arena, size_t images, size_t row) {
    return numbers_at(&step->real, arena, images, row, step->columns, step->outputs);
}

/* Zeros, rows of an image and zeros again, in scratch memory. */
static void copy_rows(const ir2_step *step, size_t pixel, uint8_t *arena, size_t images,
                      size_t image, int32_t top, int32_t bottom, uint8_t *to) {
    const size_t side = (size_t)step->padding * pixel, row = (size_t)step->width * pixel;
    const size_t line = row + 2 * side, before = image * (size_t)step->height;
    int32_t y;
    memset(to, 0, line * (size_t)(bottom - top));
    for (y = top < 0 ? 0 : top; y < bottom && y < step->height; ++y)
        memcpy(to + (size_t)(y - top) * line + side,
               row_at(&step->source, arena, images, before + (size_t)y, row), row);
}

static ir2_lines lines_of(const ir2_step *step, size_t pixel, uint8_t *arena, size_t images,
                          size_t image, uint8_t *scratch, int32_t first, int32_t last) {
    const int32_t top = first * step->stride - step->padding;
    const int32_t bottom = (last - 1) * step->stride - step->padding + step->size;
    ir2_lines lines;
    lines.line = (size_t)(step->width + 2 * step->padding) * pixel;
    lines.step = (size_t)step->stride * pixel;
    lines.down = (size_t)step->stride * lines.line;
    lines.patch = (size_t)step->size * pixel;
    if (step->padding == 0 && (step->source.rows == NULL || bottom - top == 1)) {
        const size_t row = image * (size_t)step->height + (size_t)top;
        lines.begin = row_at(&step->source, arena, images, row, lines.line);
    } else {
        copy_rows(step, pixel, arena, images, image, top, bottom, scratch);
        lines.begin = scratch;
    }
    return lines;
}

/* Where a window starts and ends along one axis, clipped to the map. */
typedef struct {
    int32_t start, end;
} ir2_window;

#ifdef IR2_BLOCKS
#include "blocks.h"
#else

int32_t ir2_lanes(void) { return 1; }

static int32_t count_ones(uint32_t word) {
#if defined(__GNUC__) && (defined(__POPCNT__) || defined(__aarch64__))
    return __builtin_popcount(word);
#else
    word -= (word >> 1) & 0x55555555u;
    word = (word & 0x33333333u) + ((word >> 2) & 0x33333333u);
    word = (word + (word >> 4)) & 0x0F0F0F0Fu;
    return (int32_t)((word * 0x01010101u) >> 24);
#endif
}

/* The number of signs of a patch that differ from the weights of an output. */
static int32_t count_differences(const ir2_lines *lines, int32_t size, const uint8_t *patch,
                                 const uint32_t *bits) {
    int32_t row, count = 0;
    for (row = 0; row < size; ++row) {
        const uint8_t *at = patch + (size_t)row * lines->line;
        size_t left = lines->patch;
        while (left >= 4) {
            uint32_t word;
            memcpy(&word, at, 4);
            count += count_ones(word ^ *bits++);
            at += 4;
            left -= 4;
        }
        if (left > 0) {
            uint32_t word = 0;
            memcpy(&word, at, left);
            count += count_ones(word ^ *bits++);
        }
    }
    return count;
}

static float sum_products(const ir2_step *step, const ir2_lines *lines, const uint8_t *patch,
                          int32_t output) {
    const int32_t own = step->channels / step->groups;
    const int32_t group = output / (step->outputs / step->groups);
    const int32_t row_length = step->groups == 1 ? step->size * own : own;
    const int32_t parts = step->groups == 1 ? 1 : step->size; /* of a row, without other groups */
    const float *weight = step->weights + (size_t)output * (size_t)(step->size * step->size * own);
    float sum = 0.0f;
    int32_t row, part, i;
    for (row = 0; row < step->size; ++row) {
        const float *x = (const float *)(const void *)(patch + (size_t)row * lines->line);
        x += group * own;
        for (part = 0; part < parts; ++part) {
            for (i = 0; i < row_length; ++i)
                sum += x[i] * *weight++;
            x += step->channels;
        }
    }
    return sum;
}

/* The pixels that the results of a position are added to and written to. */
typedef struct {
    const float *shortcut;
    float *real;
    uint8_t *signs;
} ir2_results;

/* Those of the first position of a row, of all rows of all images. */
static ir2_results results_at(const ir2_step *step, uint8_t *arena, size_t images, size_t row) {
    const size_t sign_row = (size_t)step->columns * sign_bytes(step->outputs);
    ir2_results results;
    results.shortcut =
        numbers_at(&step->shortcut, arena, images, row, step->columns, step->outputs);
    results.real = real_row(step, arena, images, row);
    results.signs = row_at(&step->signs, arena, images, row, sign_row);
    return results;
}

static void next_position(const ir2_step *step, ir2_results *results) {
    results->shortcut += step->outputs;
    results->real += step->outputs;
    results->signs += sign_bytes(step->outputs);
}

/* Apply all that follows a sum; returns whether the sign is +1. */
static int finish(const ir2_step *step, const ir2_results *results, float x, int32_t output) {
    const int32_t form = step->form;
    int up = 0;
    if (form & IR2_SCALE)
        x *= step->scale[output];
    if (form & IR2_SHIFT)
        x += step->shift[output];
    if (form & IR2_SHORTCUT)
        x += results->shortcut[output];
    if (form & IR2_HARDTANH) {
        x = x < -1.0f ? -1.0f : x;
        x = x > 1.0f ? 1.0f : x;
    }
    if (form & IR2_PRELU) {
        if (form & IR2_SHIFTED)
            x -= step->knee[output];
        x = x > 0.0f ? x : x * step->slope[output];
        if (form & IR2_SHIFTED)
            x += step->rise[output];
    }
    if (form & (IR2_SIGNS | IR2_PLUS_MINUS))
        up = x >= step->threshold[output];
    if (form & IR2_PLUS_MINUS)
        x = up ? 1.0f : -1.0f;
    if (form & (IR2_REAL | IR2_PLUS_MINUS))
        results->real[output] = x;
    return up;
}

/* Collects the bits of a position and writes whole bytes. */
static void write_sign(const ir2_step *step, const ir2_results *results, int up, int32_t output,
                       uint32_t *byte) {
    *byte |= (uint32_t)up << (output & 7);
    if ((output & 7) == 7 || output == step->outputs - 1) {
        if (step->form & (IR2_SIGNS | IR2_LIMITS))
            results->signs[output >> 3] = (uint8_t)*byte;
        *byte = 0;
    }
}

static void convolve_signs_at(const ir2_step *step, const ir2_lines *lines, const uint8_t *patch,
                              const int32_t *borders, const ir2_results *results) {
    const size_t words = (lines->patch + 3) / 4 * (size_t)step->size;
    uint32_t byte = 0;
    int32_t output;
    for (output = 0; output < step->outputs; ++output) {
        const uint32_t *bits = step->bits + (size_t)output * words;
        const int32_t differ = count_differences(lines, step->size, patch, bits);
        int up;
        if (step->form & IR2_LIMITS)
            up = differ <= borders[output];
        else
            up = finish(step, results, (float)(borders[output] - 2 * differ), output);
        write_sign(step, results, up, output, &byte);
    }
}

static void convolve_numbers_at(const ir2_step *step, const ir2_lines *lines, const uint8_t *patch,
                                const ir2_results *results) {
    uint32_t byte = 0;
    int32_t output;
    for (output = 0; output < step->outputs; ++output) {
        const float sum = sum_products(step, lines, patch, output);
        write_sign(step, results, finish(step, results, sum, output), output, &byte);
    }
}

/* Convolve output rows of one image that share their lines; `at` is the first one of all rows. */
static void convolve_chunk(const ir2_step *step, const ir2_lines *lines, uint8_t *arena,
                           size_t images, int32_t first, int32_t last, size_t at) {
    int32_t row, column;
    for (row = first; row < last; ++row) {
        const uint8_t *patch = lines->begin + (size_t)(row - first) * lines->down;
        ir2_results results = results_at(step, arena, images, at++);
        for (column = 0; column < step->columns; ++column) {
            if (step->operation == IR2_CONVOLVE_SIGNS) {
                const int32_t kind =
                    step->row_kind[row] * step->column_kinds + step->column_kind[column];
                const int32_t *borders = step->borders + (size_t)kind * (size_t)step->outputs;
                convolve_signs_at(step, lines, patch, borders, &results);
            } else {
                convolve_numbers_at(step, lines, patch, &results);
            }
            patch += lines->step;
            next_position(step, &results);
        }
    }
}

static void pointwise(const ir2_step *step, uint8_t *arena, size_t images, size_t first,
                      size_t last) {
    for (; first < last; ++first) {
        const float *source = source_row(step, arena, images, first);
        ir2_results results = results_at(step, arena, images, first);
        int32_t column, output;
        for (column = 0; column < step->columns; ++column) {
            uint32_t byte = 0;
            for (output = 0; output < step->outputs; ++output) {
                const int up = finish(step, &results, *source++, output);
                write_sign(step, &results, up, output, &byte);
            }
            next_position(step, &results);
        }
    }
}

static void add_pixel(float *restrict sums, const float *restrict x, int32_t channels) {
    int32_t channel;
    for (channel = 0; channel < channels; ++channel)
        sums[channel] += x[channel];
}

static void take_larger(float *restrict largest, const float *restrict x, int32_t channels) {
    int32_t channel;
    for (channel = 0; channel < channels; ++channel)
        largest[channel] = x[channel] > largest[channel] ? x[channel] : largest[channel];
}

/* The mean or the maximum of a window, written to `out`; `top` is the first row of the image. */
static void pool_numbers(const ir2_step *step, uint8_t *arena, size_t images, size_t top,
                         ir2_window down, ir2_window across, float *out) {
    const int32_t channels = step->channels;
    const float area = (float)((int64_t)(down.end - down.start) * (across.end - across.start));
    const float start = step->operation == IR2_POOL_MEAN ? 0.0f : -INFINITY;
    int32_t y, x, channel;
    for (channel = 0; channel < channels; ++channel)
        out[channel] = start;
    for (y = down.start; y < down.end; ++y) {
        const float *row = source_row(step, arena, images, top + (size_t)y);
        for (x = across.start; x < across.end; ++x) {
            const float *pixel = row + (size_t)x * (size_t)channels;
            if (step->operation == IR2_POOL_MEAN)
                add_pixel(out, pixel, channels);
            else
                take_larger(out, pixel, channels);
        }
    }
    if (step->operation == IR2_POOL_MEAN)
        for (channel = 0; channel < channels; ++channel)
            out[channel] /= area;
}

#endif

static void convolve(const ir2_step *step, uint8_t *arena, size_t images, uint8_t *scratch,
                     size_t image, int32_t first, int32_t last) {
    const size_t pixel = step->operation == IR2_CONVOLVE_SIGNS ? sign_bytes(step->channels)
                                                               : real_bytes(step->channels);
    while (first < last) {
        const int32_t next = last - first > step->chunk ? first + step->chunk : last;
        const ir2_lines lines =
            lines_of(step, pixel, arena, images, image, scratch, first, next);
        const size_t at = image * (size_t)step->rows + (size_t)first;
        convolve_chunk(step, &lines, arena, images, first, next, at);
        first = next;
    }
}

static ir2_window window_at(const ir2_step *step, int32_t place, int32_t side, int32_t outputs) {
    ir2_window window;
    if (step->form & IR2_ADAPTIVE) {
        window.start = (int32_t)((int64_t)place * side / outputs);
        window.end = (int32_t)((((int64_t)place + 1) * side + outputs - 1) / outputs);
    } else {
        const int32_t start = place * step->stride - step->padding;
        window.start = start < 0 ? 0 : start;
        window.end = start + step->size > side ? side : start + step->size;
    }
    return window;
}

/* +1 if any sign of the window is +1; in falling channels, if all signs are +1. */
static void pool_signs(const ir2_step *step, uint8_t *arena, size_t images, size_t top,
                       ir2_window down, ir2_window across, uint8_t *out) {
    const size_t bytes = sign_bytes(step->channels), line = (size_t)step->width * bytes;
    size_t byte;
    int32_t y, x;
    for (byte = 0; byte < bytes; ++byte) {
        unsigned some = 0, every = 255, falling = step->falling[byte];
        for (y = down.start; y < down.end; ++y) {
            const uint8_t *row =
                row_at(&step->source, arena, images, top + (size_t)y, line);
            for (x = across.start; x < across.end; ++x) {
                some |= row[(size_t)x * bytes + byte];
                every &= row[(size_t)x * bytes + byte];
            }
        }
        out[byte] = (uint8_t)((some & ~falling) | (every & falling));
    }
}

static void pool_row(const ir2_step *step, uint8_t *arena, size_t images, size_t image,
                     int32_t row) {
    const ir2_window down = window_at(step, row, step->height, step->rows);
    const size_t top = image * (size_t)step->height;
    const size_t at = image * (size_t)step->rows + (size_t)row;
    const size_t bytes = sign_bytes(step->channels);
    float *real = real_row(step, arena, images, at);
    uint8_t *signs =
        row_at(&step->signs, arena, images, at, (size_t)step->columns * bytes);
    int32_t column;
    for (column = 0; column < step->columns; ++column) {
        const ir2_window across = window_at(step, column, step->width, step->columns);
        if (step->operation == IR2_POOL_SIGNS)
            pool_signs(step, arena, images, top, down, across, signs + (size_t)column * bytes);
        else
            pool_numbers(step, arena, images, top, down, across,
                         real + (size_t)column * (size_t)step->channels);
    }
}

static void copy_row(const ir2_step *step, uint8_t *arena, size_t images, size_t image,
                     int32_t row) {
    const size_t top = image * (size_t)step->height + (size_t)row * (size_t)step->stride;
    const float *from = source_row(step, arena, images, top);
    float *to = real_row(step, arena, images, image * (size_t)step->rows + (size_t)row);
    int32_t column;
    if (step->operation == IR2_SUBSAMPLE)
        memset(to, 0, (size_t)step->columns * real_bytes(step->outputs));
    to += step->before;
    for (column = 0; column < step->columns; ++column) {
        memcpy(to, from, real_bytes(step->copied));
        to += step->outputs;
        from += (size_t)step->channels * (size_t)step->stride;
    }
}

static void shuffle_row(const ir2_step *step, uint8_t *arena, size_t images, size_t row) {
    const int32_t own = step->channels / step->groups;
    const float *from = source_row(step, arena, images, row);
    float *to = real_row(step, arena, images, row);
    int32_t column, group, i;
    for (column = 0; column < step->columns; ++column) {
        for (i = 0; i < own; ++i)
            for (group = 0; group < step->groups; ++group)
                *to++ = from[group * own + i];
        from += step->channels;
    }
}

static void flatten(const ir2_step *step, uint8_t *arena, size_t images, size_t image) {
    const size_t height = (size_t)step->height, width = (size_t)step->width;
    const size_t channels = (size_t)step->channels;
    float *to = real_row(step, arena, images, image);
    size_t channel, y, x;
    for (y = 0; y < height; ++y) {
        const float *from = source_row(step, arena, images, image * height + y);
        for (x = 0; x < width; ++x)
            for (channel = 0; channel < channels; ++channel)
                to[(channel * height + y) * width + x] = *from++;
    }
}

/* Round to a whole number, halves to the even one; x is at most 2^22 in size. */
static float round_to_even(float x) {
    const float magic = 12582912.0f; /* 1.5 * 2^23: its sums have no fraction */
    return (x + magic) - magic;
}

static void eight_bits(const ir2_step *step, uint8_t *arena, size_t images, size_t row) {
    const size_t count = (size_t)step->columns * (size_t)step->channels;
    const float *from = source_row(step, arena, images, row);
    float *to = real_row(step, arena, images, row);
    const float units = (float)step->units;
    size_t i;
    for (i = 0; i < count; ++i) {
        float x = from[i] * units;
        x = x < -128.0f ? -128.0f : x;
        x = x > 127.0f ? 127.0f : x;
        to[i] = round_to_even(x) / units;
    }
}

static void read_pixels(const ir2_step *step, uint8_t *arena, const uint8_t *pixels, size_t first,
                        size_t last) {
    const uint8_t *from = pixels + first * (size_t)step->columns * (size_t)step->outputs;
    for (; first < last; ++first) {
        float *to = real_row(step, arena, 1, first);
        int32_t column, output;
        for (column = 0; column < step->columns; ++column)
            for (output = 0; output < step->outputs; ++output)
                *to++ = ((float)*from++ / 255.0f - step->shift[output]) / step->scale[output];
    }
}

static void run_row(const ir2_step *step, uint8_t *arena, size_t images, size_t row) {
    const size_t image = row / (size_t)step->rows;
    const int32_t own = (int32_t)(row % (size_t)step->rows);
    switch (step->operation) {
    case IR2_POOL_MEAN:
    case IR2_POOL_MAX:
    case IR2_POOL_SIGNS:
        pool_row(step, arena, images, image, own);
        break;
    case IR2_COPY:
    case IR2_SUBSAMPLE:
        copy_row(step, arena, images, image, own);
        break;
    case IR2_SHUFFLE:
        shuffle_row(step, arena, images, row);
        break;
    case IR2_FLATTEN:
        flatten(step, arena, images, image);
        break;
    default:
        eight_bits(step, arena, images, row);
        break;
    }
}

void ir2_run_rows(const ir2_step *step, uint8_t *arena, size_t images, uint8_t *scratch,
                  size_t first, size_t last) {
    const size_t rows = (size_t)step->rows;
    if (step->operation == IR2_POINTWISE) {
        pointwise(step, arena, images, first, last);
        return;
    }
    while (first < last) {
        if (step->operation <= IR2_CONVOLVE_NUMBERS) { /* up to the end of an image */
            const size_t image = first / rows, end = (image + 1) * rows;
            const size_t next = end < last ? end : last;
            convolve(step, arena, images, scratch, image, (int32_t)(first - image * rows),
                     (int32_t)(next - image * rows));
            first = next;
        } else {
            run_row(step, arena, images, first++);
        }
    }
}

void ir2_run(const ir2_step *steps, const ir2_rows *order, int32_t count, uint8_t *arena,
             const uint8_t *pixels) {
    int32_t i;
    for (i = 0; i < count; ++i) {
        const ir2_step *step = &steps[order[i].step];
        if (step->operation == IR2_PIXELS)
            read_pixels(step, arena, pixels, order[i].first, order[i].last);
        else
            ir2_run_rows(step, arena, 1, arena + step->scratch, order[i].first, order[i].last);
    }
}
