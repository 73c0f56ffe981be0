/* A block is one vector of AVX-512. */

#ifndef IR2_SIMD_AVX512_H
#define IR2_SIMD_AVX512_H

#include <immintrin.h>

#define POSITIONS 8

typedef __m512 floats;
typedef __m512i ints;

INLINE __mmask16 some(int lanes) { return (__mmask16)((1u << lanes) - 1); }

INLINE floats spread(float x) { return _mm512_set1_ps(x); }
INLINE floats load(const float *at) { return _mm512_loadu_ps(at); }
INLINE floats load_some(const float *at, int lanes) {
    return _mm512_maskz_loadu_ps(some(lanes), at);
}
INLINE void store(float *at, floats x) { _mm512_storeu_ps(at, x); }
INLINE void store_some(float *at, floats x, int lanes) {
    _mm512_mask_storeu_ps(at, some(lanes), x);
}
INLINE floats add(floats x, floats y) { return _mm512_add_ps(x, y); }
INLINE floats subtract(floats x, floats y) { return _mm512_sub_ps(x, y); }
INLINE floats multiply(floats x, floats y) { return _mm512_mul_ps(x, y); }

INLINE floats divide(floats x, floats y) { return _mm512_div_ps(x, y); }

/* x where it is larger, else y. */
INLINE floats larger(floats x, floats y) { return _mm512_max_ps(x, y); }

INLINE ints load_ints(const int32_t *at) { return _mm512_loadu_si512(at); }
INLINE floats to_floats(ints x) { return _mm512_cvtepi32_ps(x); }

/* x - 2 y */
INLINE ints less_twice(ints x, ints y) { return _mm512_sub_epi32(x, _mm512_add_epi32(y, y)); }

INLINE uint32_t at_most(ints x, ints limit) { return _mm512_cmple_epi32_mask(x, limit); }
INLINE uint32_t at_least(floats x, floats limit) {
    return _mm512_cmp_ps_mask(x, limit, _CMP_GE_OQ);
}

/* From -1 to 1; not a number stays so. */
INLINE floats clip(floats x) {
    return _mm512_min_ps(spread(1.0f), _mm512_max_ps(spread(-1.0f), x));
}

/* Negative numbers, zero and not a number times slope. */
INLINE floats bend(floats x, floats slope) {
    const __mmask16 positive = _mm512_cmp_ps_mask(x, spread(0.0f), _CMP_GT_OQ);
    return _mm512_mask_mul_ps(x, (__mmask16)~positive, x, slope);
}

INLINE floats plus_minus(uint32_t up) {
    return _mm512_mask_blend_ps((__mmask16)up, spread(-1.0f), spread(1.0f));
}

INLINE ints spread_word(const uint8_t *at) {
    int32_t word;
    memcpy(&word, at, 4);
    return _mm512_set1_epi32(word);
}

#ifdef __AVX512VPOPCNTDQ__

/* For each position, the number of signs of its patch that differ from the weights of a block. */
INLINE void count_tile(const uint8_t *const *at, const ir2_patch *patch, const uint32_t *bits,
                       ints *counts) {
    const ints rest = _mm512_set1_epi32((int32_t)patch->rest);
    const size_t end = 4 * patch->whole;
    size_t start = 0, offset;
    int32_t row;
    int i;
    for (i = 0; i < POSITIONS; ++i)
        counts[i] = _mm512_setzero_si512();
    for (row = 0; row < patch->rows; ++row, start += patch->line) {
        for (offset = start; offset < start + end; offset += 4, bits += LANES) {
            const ints w = _mm512_loadu_si512(bits);
#pragma GCC unroll 8
            for (i = 0; i < POSITIONS; ++i) {
                const ints differ = _mm512_xor_si512(w, spread_word(at[i] + offset));
                counts[i] = _mm512_add_epi32(counts[i], _mm512_popcnt_epi32(differ));
            }
        }
        if (patch->rest != 0) {
            const ints w = _mm512_loadu_si512(bits);
            bits += LANES;
#pragma GCC unroll 8
            for (i = 0; i < POSITIONS; ++i) { /* (x ^ w) & rest */
                const ints differ =
                    _mm512_ternarylogic_epi32(w, spread_word(at[i] + offset), rest, 0x28);
                counts[i] = _mm512_add_epi32(counts[i], _mm512_popcnt_epi32(differ));
            }
        }
    }
}

#else

/* The ones in each byte, by a table for half a byte. */
INLINE ints ones_in_bytes(ints x) {
    const ints table = _mm512_broadcast_i32x4(
        _mm_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4));
    const ints half = _mm512_set1_epi8(15);
    const ints low = _mm512_shuffle_epi8(table, _mm512_and_si512(x, half));
    const ints high =
        _mm512_shuffle_epi8(table, _mm512_and_si512(_mm512_srli_epi16(x, 4), half));
    return _mm512_add_epi8(low, high);
}

/* Sums of the four bytes of each word. */
INLINE ints sums_of_bytes(ints x) {
    const ints pairs = _mm512_maddubs_epi16(x, _mm512_set1_epi8(1));
    return _mm512_madd_epi16(pairs, _mm512_set1_epi16(1));
}

#define MOST_WORDS 31 /* ones of so many words fit in a byte */

/* For each position, the number of signs of its patch that differ from the weights of a block. */
INLINE void count_tile(const uint8_t *const *at, const ir2_patch *patch, const uint32_t *bits,
                       ints *counts) {
    const ints all = _mm512_set1_epi32(-1), rest = _mm512_set1_epi32((int32_t)patch->rest);
    const size_t words = patch->whole + (patch->rest != 0);
    ints bytes[POSITIONS];
    size_t word, start = 0;
    int32_t row;
    int i, held = 0;
    for (i = 0; i < POSITIONS; ++i)
        counts[i] = bytes[i] = _mm512_setzero_si512();
    for (row = 0; row < patch->rows; ++row, start += patch->line) {
        for (word = 0; word < words; ++word, bits += LANES) {
            const ints w = _mm512_loadu_si512(bits), kept = word < patch->whole ? all : rest;
#pragma GCC unroll 8
            for (i = 0; i < POSITIONS; ++i) { /* (x ^ w) & kept */
                const ints x = spread_word(at[i] + start + 4 * word);
                const ints differ = _mm512_ternarylogic_epi32(w, x, kept, 0x28);
                bytes[i] = _mm512_add_epi8(bytes[i], ones_in_bytes(differ));
            }
            if (++held == MOST_WORDS) {
                for (i = 0; i < POSITIONS; ++i) {
                    counts[i] = _mm512_add_epi32(counts[i], sums_of_bytes(bytes[i]));
                    bytes[i] = _mm512_setzero_si512();
                }
                held = 0;
            }
        }
    }
    for (i = 0; i < POSITIONS; ++i)
        counts[i] = _mm512_add_epi32(counts[i], sums_of_bytes(bytes[i]));
}

#endif

/* The sums of products of a patch with the weights of blocks; all products are added in order. */
INLINE void products(const uint8_t *const *at, int positions, int blocks, const ir2_patch *patch,
                     const float *weights, floats *sums, floats *more) {
    size_t start = 0, number;
    int32_t row;
    int i;
    for (i = 0; i < positions; ++i)
        sums[i] = more[i] = _mm512_setzero_ps();
    for (row = 0; row < patch->rows; ++row, start += patch->line)
        for (number = 0; number < patch->whole; ++number, weights += LANES) {
            const floats w = load(weights), v = blocks > 1 ? load(weights + patch->weights) : w;
#pragma GCC unroll 8
            for (i = 0; i < positions; ++i) {
                float value;
                floats x;
                memcpy(&value, at[i] + start + 4 * number, 4);
                x = spread(value);
                sums[i] = _mm512_fmadd_ps(x, w, sums[i]);
                if (blocks > 1)
                    more[i] = _mm512_fmadd_ps(x, v, more[i]);
            }
        }
}

INLINE void product_tile(const uint8_t *const *at, const ir2_patch *patch, const float *weights,
                         floats *sums) {
    floats unused[POSITIONS];
    products(at, POSITIONS, 1, patch, weights, sums, unused);
}

INLINE void product_tiles(const uint8_t *const *at, const ir2_patch *patch, const float *weights,
                          floats *sums, floats *more) {
    products(at, POSITIONS, 2, patch, weights, sums, more);
}

INLINE void product_line(const uint8_t *at, const ir2_patch *patch, const float *weights,
                         floats *sums) {
    floats unused[1];
    products(&at, 1, 1, patch, weights, sums, unused);
}

#endif
