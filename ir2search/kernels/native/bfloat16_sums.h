// Tables of sums of gradients, rounded to bfloat16, that one instruction looks up.
//
// In the backward pass of a convolution of signs, one factor of each product is +1 or -1. A sum of
// four products takes one of 16 values. A register of 32 numbers in bfloat16 holds these values for
// two sums of four. VPERMW looks up 32 of them at once, and VDPBF16PS adds them in pairs, in
// float32: 128 multiply-accumulates by two instructions.
//
// A gradient is rounded to bfloat16, and so is each sum of four: a relative error of up to 2^-9
// each. All further sums are in float32.

#pragma once

#include "common.h"

namespace ir2::bfloat16 {

constexpr int64_t TABLE = 32;  // values in a table

typedef uint32_t AnyPair __attribute__((may_alias, aligned(2)));  // two neighbours of any array

// acc + the looked up values, in pairs
inline __m512 add_looked_up(__m512 acc, __m512i index, __m512i table) {
    const __m512i ones = _mm512_set1_epi16(0x3f80);
    return _mm512_dpbf16_ps(acc, (__m512bh)_mm512_permutexvar_epi16(index, table),
                            (__m512bh)ones);
}

// The lookups of 16 lanes: in the low half of lane i bit j is bit i of word j, for j < 4; in the high
// half it is bit i of word 4 + j, plus 16.
inline __m512i lookups(__m128i words) {
    // the low bytes of the words, last to first, then the high ones: two matrices of 8 x 8 bits
    const __m128i order = _mm_setr_epi8(14, 12, 10, 8, 6, 4, 2, 0, 15, 13, 11, 9, 7, 5, 3, 1);
    const __m128i columns = _mm_set1_epi64x(int64_t(0x8040201008040201));
    const __m128i transposed =
        _mm_gf2p8affine_epi64_epi8(columns, _mm_shuffle_epi8(words, order), 0);
    const __m512i bits = _mm512_cvtepu8_epi32(transposed);
    const __m512i fours = _mm512_and_si512(_mm512_or_si512(bits, _mm512_slli_epi32(bits, 12)),
                                           _mm512_set1_epi32(0x000f000f));
    return _mm512_or_si512(fours, _mm512_set1_epi32(16 << 16));
}

// Makes tables: value e < 16 is the sum of +-a +-b +-c +-d, with + for each bit of e that is 1.
class TableMaker {
  public:
    TableMaker() {
        uint32_t low[16], high[16];
        for (uint32_t e = 0; e < 16; ++e) {
            low[e] = sign(e) | sign(e >> 1) << 16;
            high[e] = sign(e >> 2) | sign(e >> 3) << 16;
        }
        first = _mm512_loadu_si512(low);
        second = _mm512_loadu_si512(high);
    }

    // A table of four pairs of numbers in bfloat16, `step` pairs apart: the first two make the
    // values 0 to 15, the last two the values 16 to 31.
    template <typename Pair> __m512i make(const Pair *pairs, int64_t step) const {
        return (__m512i)_mm512_cvtne2ps_pbh(four(pairs[2 * step], pairs[3 * step]),
                                            four(pairs[0], pairs[step]));
    }

  private:
    __m512i first, second;

    static uint32_t sign(uint32_t bit) { return bit & 1 ? 0x3f80 : 0xbf80; }

    __m512 four(uint32_t ab, uint32_t cd) const {
        __m512 sum = _mm512_dpbf16_ps(_mm512_setzero_ps(), (__m512bh)first,
                                      (__m512bh)_mm512_set1_epi32(int(ab)));
        return _mm512_dpbf16_ps(sum, (__m512bh)second, (__m512bh)_mm512_set1_epi32(int(cd)));
    }
};

}  // namespace ir2::bfloat16
