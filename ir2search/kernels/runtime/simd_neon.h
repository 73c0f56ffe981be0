/* A block is four vectors of NEON, on 64-bit ARM. */

#ifndef IR2_SIMD_NEON_H
#define IR2_SIMD_NEON_H

#include <arm_neon.h>

#define POSITIONS 4
#define PARTS 4 /* vectors of a block */

typedef struct {
    float32x4_t part[PARTS];
} floats;
typedef struct {
    int32x4_t part[PARTS];
} ints;

#define EACH(type, result, expression)                                                             \
    type result;                                                                                   \
    int p;                                                                                         \
    for (p = 0; p < PARTS; ++p)                                                                    \
        result.part[p] = (expression);                                                             \
    return result;

INLINE floats spread(float x) { EACH(floats, y, vdupq_n_f32(x)) }
INLINE floats load(const float *at) { EACH(floats, y, vld1q_f32(at + 4 * p)) }
INLINE void store(float *at, floats x) {
    int p;
    for (p = 0; p < PARTS; ++p)
        vst1q_f32(at + 4 * p, x.part[p]);
}
INLINE floats load_some(const float *at, int lanes) {
    float all[LANES] = {0};
    memcpy(all, at, sizeof(float) * (size_t)lanes);
    return load(all);
}
INLINE void store_some(float *at, floats x, int lanes) {
    float all[LANES];
    store(all, x);
    memcpy(at, all, sizeof(float) * (size_t)lanes);
}
INLINE floats add(floats x, floats y) { EACH(floats, z, vaddq_f32(x.part[p], y.part[p])) }
INLINE floats subtract(floats x, floats y) { EACH(floats, z, vsubq_f32(x.part[p], y.part[p])) }
INLINE floats multiply(floats x, floats y) { EACH(floats, z, vmulq_f32(x.part[p], y.part[p])) }

INLINE floats divide(floats x, floats y) { EACH(floats, z, vdivq_f32(x.part[p], y.part[p])) }

/* x where it is larger, else y. */
INLINE floats larger(floats x, floats y) {
    EACH(floats, z, vbslq_f32(vcgtq_f32(x.part[p], y.part[p]), x.part[p], y.part[p]))
}

INLINE ints load_ints(const int32_t *at) { EACH(ints, y, vld1q_s32(at + 4 * p)) }
INLINE floats to_floats(ints x) { EACH(floats, y, vcvtq_f32_s32(x.part[p])) }

/* x - 2 y */
INLINE ints less_twice(ints x, ints y) {
    EACH(ints, z, vsubq_s32(x.part[p], vaddq_s32(y.part[p], y.part[p])))
}

/* One bit for each lane that is all ones. */
INLINE uint32_t bits_of(const uint32x4_t *is) {
    const uint32x4_t lane = {1, 2, 4, 8};
    uint32_t bits = 0;
    int p;
    for (p = 0; p < PARTS; ++p)
        bits |= vaddvq_u32(vandq_u32(is[p], lane)) << (4 * p);
    return bits;
}
INLINE uint32_t at_most(ints x, ints limit) {
    uint32x4_t is[PARTS];
    int p;
    for (p = 0; p < PARTS; ++p)
        is[p] = vcleq_s32(x.part[p], limit.part[p]);
    return bits_of(is);
}
INLINE uint32_t at_least(floats x, floats limit) {
    uint32x4_t is[PARTS];
    int p;
    for (p = 0; p < PARTS; ++p)
        is[p] = vcgeq_f32(x.part[p], limit.part[p]);
    return bits_of(is);
}

/* From -1 to 1; not a number stays so. */
INLINE floats clip(floats x) {
    const float32x4_t one = vdupq_n_f32(1.0f), minus = vdupq_n_f32(-1.0f);
    EACH(floats, y, vminq_f32(vmaxq_f32(x.part[p], minus), one))
}

/* Negative numbers, zero and not a number times slope. */
INLINE floats bend(floats x, floats slope) {
    const float32x4_t zero = vdupq_n_f32(0.0f);
    EACH(floats, y, vbslq_f32(vcgtq_f32(x.part[p], zero), x.part[p],
                              vmulq_f32(x.part[p], slope.part[p])))
}

INLINE floats plus_minus(uint32_t up) {
    const uint32x4_t lane = {1, 2, 4, 8};
    EACH(floats, y, vbslq_f32(vtstq_u32(vdupq_n_u32(up >> (4 * p)), lane), vdupq_n_f32(1.0f),
                              vdupq_n_f32(-1.0f)))
}

#define MOST_WORDS 31 /* ones of so many words fit in a byte */

INLINE void add_bytes(ints *counts, uint8x16_t (*bytes)[PARTS]) {
    int i, p;
    for (i = 0; i < POSITIONS; ++i)
        for (p = 0; p < PARTS; ++p) {
            const uint32x4_t sums = vpaddlq_u16(vpaddlq_u8(bytes[i][p]));
            counts[i].part[p] = vaddq_s32(counts[i].part[p], vreinterpretq_s32_u32(sums));
            bytes[i][p] = vdupq_n_u8(0);
        }
}

/* For each position, the number of signs of its patch that differ from the weights of a block. */
INLINE void count_tile(const uint8_t *const *at, const ir2_patch *patch, const uint32_t *bits,
                       ints *counts) {
    const size_t words = patch->whole + (patch->rest != 0);
    uint8x16_t bytes[POSITIONS][PARTS];
    size_t word, start = 0;
    int32_t row;
    int i, p, held = 0;
    for (i = 0; i < POSITIONS; ++i)
        for (p = 0; p < PARTS; ++p) {
            counts[i].part[p] = vdupq_n_s32(0);
            bytes[i][p] = vdupq_n_u8(0);
        }
    for (row = 0; row < patch->rows; ++row, start += patch->line) {
        for (word = 0; word < words; ++word, bits += LANES) {
            const uint32_t kept = word < patch->whole ? ~0u : patch->rest;
            for (i = 0; i < POSITIONS; ++i) { /* weights are 0 outside `kept` */
                uint32_t value;
                uint32x4_t x;
                memcpy(&value, at[i] + start + 4 * word, 4);
                x = vdupq_n_u32(value & kept);
                for (p = 0; p < PARTS; ++p) {
                    const uint32x4_t differ = veorq_u32(x, vld1q_u32(bits + 4 * p));
                    bytes[i][p] = vaddq_u8(bytes[i][p], vcntq_u8(vreinterpretq_u8_u32(differ)));
                }
            }
            if (++held == MOST_WORDS) {
                add_bytes(counts, bytes);
                held = 0;
            }
        }
    }
    add_bytes(counts, bytes);
}

/* The sums of products of patches with the weights of a block; products are added in order. */
INLINE void products(const uint8_t *const *at, int positions, const ir2_patch *patch,
                     const float *weights, floats *sums) {
    size_t start = 0, number;
    int32_t row;
    int i, p;
    for (i = 0; i < positions; ++i)
        sums[i] = spread(0.0f);
    for (row = 0; row < patch->rows; ++row, start += patch->line)
        for (number = 0; number < patch->whole; ++number, weights += LANES) {
            const floats w = load(weights);
            for (i = 0; i < positions; ++i) {
                float value;
                memcpy(&value, at[i] + start + 4 * number, 4);
                for (p = 0; p < PARTS; ++p)
                    sums[i].part[p] = vfmaq_n_f32(sums[i].part[p], w.part[p], value);
            }
        }
}

INLINE void product_tile(const uint8_t *const *at, const ir2_patch *patch, const float *weights,
                         floats *sums) {
    products(at, POSITIONS, patch, weights, sums);
}

INLINE void product_tiles(const uint8_t *const *at, const ir2_patch *patch, const float *weights,
                          floats *sums, floats *more) {
    products(at, POSITIONS, patch, weights, sums);
    products(at, POSITIONS, patch, weights + patch->weights, more);
}

INLINE void product_line(const uint8_t *at, const ir2_patch *patch, const float *weights,
                         floats *sums) {
    products(&at, 1, patch, weights, sums);
}

#endif
