/* A block is two vectors of AVX2. */

#ifndef IR2_SIMD_AVX2_H
#define IR2_SIMD_AVX2_H

#include <immintrin.h>

#define POSITIONS 4

typedef struct {
    __m256 low, high;
} floats;
typedef struct {
    __m256i low, high;
} ints;

INLINE floats pair(__m256 low, __m256 high) {
    const floats both = {low, high};
    return both;
}

/* All bits set for lanes that exist, of eight from `first`. */
INLINE __m256i some(int lanes, int first) {
    const __m256i order = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(lanes - first), order);
}

INLINE floats spread(float x) { return pair(_mm256_set1_ps(x), _mm256_set1_ps(x)); }
INLINE floats load(const float *at) {
    return pair(_mm256_loadu_ps(at), _mm256_loadu_ps(at + 8));
}
INLINE floats load_some(const float *at, int lanes) {
    return pair(_mm256_maskload_ps(at, some(lanes, 0)), _mm256_maskload_ps(at + 8, some(lanes, 8)));
}
INLINE void store(float *at, floats x) {
    _mm256_storeu_ps(at, x.low);
    _mm256_storeu_ps(at + 8, x.high);
}
INLINE void store_some(float *at, floats x, int lanes) {
    _mm256_maskstore_ps(at, some(lanes, 0), x.low);
    _mm256_maskstore_ps(at + 8, some(lanes, 8), x.high);
}
INLINE floats add(floats x, floats y) {
    return pair(_mm256_add_ps(x.low, y.low), _mm256_add_ps(x.high, y.high));
}
INLINE floats subtract(floats x, floats y) {
    return pair(_mm256_sub_ps(x.low, y.low), _mm256_sub_ps(x.high, y.high));
}
INLINE floats multiply(floats x, floats y) {
    return pair(_mm256_mul_ps(x.low, y.low), _mm256_mul_ps(x.high, y.high));
}

INLINE floats divide(floats x, floats y) {
    return pair(_mm256_div_ps(x.low, y.low), _mm256_div_ps(x.high, y.high));
}

/* x where it is larger, else y. */
INLINE floats larger(floats x, floats y) {
    return pair(_mm256_max_ps(x.low, y.low), _mm256_max_ps(x.high, y.high));
}

INLINE ints load_ints(const int32_t *at) {
    const ints both = {_mm256_loadu_si256((const __m256i *)(const void *)at),
                       _mm256_loadu_si256((const __m256i *)(const void *)(at + 8))};
    return both;
}
INLINE floats to_floats(ints x) {
    return pair(_mm256_cvtepi32_ps(x.low), _mm256_cvtepi32_ps(x.high));
}

/* x - 2 y */
INLINE ints less_twice(ints x, ints y) {
    const ints both = {_mm256_sub_epi32(x.low, _mm256_add_epi32(y.low, y.low)),
                       _mm256_sub_epi32(x.high, _mm256_add_epi32(y.high, y.high))};
    return both;
}

INLINE uint32_t bits_of(__m256 low, __m256 high) {
    return (uint32_t)_mm256_movemask_ps(low) | (uint32_t)_mm256_movemask_ps(high) << 8;
}
INLINE uint32_t at_most(ints x, ints limit) {
    const __m256 low = _mm256_castsi256_ps(_mm256_cmpgt_epi32(x.low, limit.low));
    const __m256 high = _mm256_castsi256_ps(_mm256_cmpgt_epi32(x.high, limit.high));
    return ~bits_of(low, high);
}
INLINE uint32_t at_least(floats x, floats limit) {
    return bits_of(_mm256_cmp_ps(x.low, limit.low, _CMP_GE_OQ),
                   _mm256_cmp_ps(x.high, limit.high, _CMP_GE_OQ));
}

/* From -1 to 1; not a number stays so. */
INLINE floats clip(floats x) {
    const __m256 one = _mm256_set1_ps(1.0f), minus = _mm256_set1_ps(-1.0f);
    return pair(_mm256_min_ps(one, _mm256_max_ps(minus, x.low)),
                _mm256_min_ps(one, _mm256_max_ps(minus, x.high)));
}

INLINE __m256 bend_half(__m256 x, __m256 slope) {
    const __m256 positive = _mm256_cmp_ps(x, _mm256_setzero_ps(), _CMP_GT_OQ);
    return _mm256_blendv_ps(_mm256_mul_ps(x, slope), x, positive);
}

/* Negative numbers, zero and not a number times slope. */
INLINE floats bend(floats x, floats slope) {
    return pair(bend_half(x.low, slope.low), bend_half(x.high, slope.high));
}

INLINE __m256 plus_minus_half(uint32_t up) {
    const __m256i lane = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
    const __m256i own = _mm256_and_si256(_mm256_set1_epi32((int32_t)up), lane);
    const __m256 is_up = _mm256_castsi256_ps(_mm256_cmpeq_epi32(own, lane));
    return _mm256_blendv_ps(_mm256_set1_ps(-1.0f), _mm256_set1_ps(1.0f), is_up);
}
INLINE floats plus_minus(uint32_t up) {
    return pair(plus_minus_half(up), plus_minus_half(up >> 8));
}

/* The ones in each byte, by a table for half a byte. */
INLINE __m256i ones_in_bytes(__m256i x) {
    const __m256i table =
        _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, 0, 1, 1, 2, 1, 2, 2, 3, 1,
                         2, 2, 3, 2, 3, 3, 4);
    const __m256i half = _mm256_set1_epi8(15);
    const __m256i low = _mm256_shuffle_epi8(table, _mm256_and_si256(x, half));
    const __m256i high =
        _mm256_shuffle_epi8(table, _mm256_and_si256(_mm256_srli_epi16(x, 4), half));
    return _mm256_add_epi8(low, high);
}

/* total, and the sums of the four bytes of each word. */
INLINE __m256i add_bytes(__m256i total, __m256i x) {
    const __m256i pairs = _mm256_maddubs_epi16(x, _mm256_set1_epi8(1));
    return _mm256_add_epi32(total, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

#define MOST_WORDS 31 /* ones of so many words fit in a byte */

/* For each position, the number of signs of its patch that differ from the weights of a block. */
INLINE void count_tile(const uint8_t *const *at, const ir2_patch *patch, const uint32_t *bits,
                       ints *counts) {
    const __m256i zero = _mm256_setzero_si256();
    const size_t words = patch->whole + (patch->rest != 0);
    ints bytes[POSITIONS];
    size_t word, start = 0;
    int32_t row;
    int i, held = 0;
    for (i = 0; i < POSITIONS; ++i)
        counts[i].low = counts[i].high = bytes[i].low = bytes[i].high = zero;
    for (row = 0; row < patch->rows; ++row, start += patch->line) {
        for (word = 0; word < words; ++word, bits += LANES) {
            const ints w = load_ints((const int32_t *)(const void *)bits);
            const uint32_t kept = word < patch->whole ? ~0u : patch->rest;
            const __m256i mask = _mm256_set1_epi32((int32_t)kept);
#pragma GCC unroll 4
            for (i = 0; i < POSITIONS; ++i) { /* weights are 0 outside the mask */
                int32_t value;
                __m256i x;
                memcpy(&value, at[i] + start + 4 * word, 4);
                x = _mm256_and_si256(_mm256_set1_epi32(value), mask);
                bytes[i].low = _mm256_add_epi8(bytes[i].low,
                                               ones_in_bytes(_mm256_xor_si256(x, w.low)));
                bytes[i].high = _mm256_add_epi8(bytes[i].high,
                                                ones_in_bytes(_mm256_xor_si256(x, w.high)));
            }
            if (++held == MOST_WORDS) {
                for (i = 0; i < POSITIONS; ++i) {
                    counts[i].low = add_bytes(counts[i].low, bytes[i].low);
                    counts[i].high = add_bytes(counts[i].high, bytes[i].high);
                    bytes[i].low = bytes[i].high = zero;
                }
                held = 0;
            }
        }
    }
    for (i = 0; i < POSITIONS; ++i) {
        counts[i].low = add_bytes(counts[i].low, bytes[i].low);
        counts[i].high = add_bytes(counts[i].high, bytes[i].high);
    }
}

/* The sums of products of patches with the weights of a block; products are added in order. */
INLINE void products(const uint8_t *const *at, int positions, const ir2_patch *patch,
                     const float *weights, floats *sums) {
    size_t start = 0, number;
    int32_t row;
    int i;
    for (i = 0; i < positions; ++i)
        sums[i] = spread(0.0f);
    for (row = 0; row < patch->rows; ++row, start += patch->line)
        for (number = 0; number < patch->whole; ++number, weights += LANES) {
            const floats w = load(weights);
#pragma GCC unroll 4
            for (i = 0; i < positions; ++i) {
                float value;
                __m256 x;
                memcpy(&value, at[i] + start + 4 * number, 4);
                x = _mm256_set1_ps(value);
                sums[i].low = _mm256_fmadd_ps(x, w.low, sums[i].low);
                sums[i].high = _mm256_fmadd_ps(x, w.high, sums[i].high);
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
