// The signs of latent weights as bits, 1 for +1.

#pragma once

#include "sign_maps.h"

namespace ir2::bfloat16 {

// Picks the bits of a tap out of those of a block of 16 inputs, (16, taps), in parts of 64.
class TapBits {
  public:
    const int64_t taps, parts;

    explicit TapBits(int64_t taps)
        : taps(taps), parts(ceil_div(SignMaps::CHANNELS * taps, 64)), masks(taps * parts, 0) {
        for (int64_t bit = 0; bit < SignMaps::CHANNELS * taps; ++bit)
            masks[bit % taps * parts + bit / 64] |= uint64_t(1) << bit % 64;
    }

    uint16_t word(const std::vector<uint64_t> &bits, int64_t tap) const {
        uint64_t found = 0;
        for (int64_t part = parts - 1; part >= 0; --part) {
            const uint64_t mask = masks[tap * parts + part];
            found = found << __builtin_popcountll(mask) | _pext_u64(bits[part], mask);
        }
        return uint16_t(found);
    }

  private:
    std::vector<uint64_t> masks;  // (taps, parts)
};

// The signs of latent weights as bits: a word has a bit for each of 16 inputs, for one output and
// tap. Words are (outputs / 8, taps, blocks of 16 inputs, 8).
class SignWeights {
  public:
    const int64_t taps, blocks;

    SignWeights(const uint16_t *words, const Shape &shape)
        : taps(shape.taps()), blocks(ceil_div(shape.inputs, SignMaps::CHANNELS)), words(words) {}

    static int64_t count(const Shape &shape) {
        return ceil_div(shape.outputs, 8) * 8 * SignWeights(nullptr, shape).words_of_output();
    }

    // Write the words of latent weights (outputs, inputs, k, k)
    static void pack(const float *latent, uint16_t *words, const Shape &shape, Threads threads) {
        const SignWeights layout(words, shape);
        const TapBits of_taps(layout.taps);
        std::fill(words, words + count(shape), uint16_t(0));
#pragma omp parallel for num_threads(threads.over(shape.weights())) schedule(static)
        for (int64_t output = 0; output < shape.outputs; ++output) {
            std::vector<uint64_t> bits(of_taps.parts);
            for (int64_t block = 0; block < layout.blocks; ++block) {
                const int64_t input = block * SignMaps::CHANNELS;
                const int64_t inputs = std::min(SignMaps::CHANNELS, shape.inputs - input);
                take_bits(latent + (output * shape.inputs + input) * layout.taps,
                          inputs * layout.taps, bits);
                for (int64_t tap = 0; tap < layout.taps; ++tap)
                    words[layout.place(output / 8, tap, block) + output % 8] =
                        of_taps.word(bits, tap);
            }
        }
    }

    // The sum of the signs of an output's weights at a tap; `inputs` are all of the convolution's
    int64_t sum(int64_t output, int64_t tap, int64_t inputs) const {
        int64_t ones = 0;
        for (int64_t block = 0; block < blocks; ++block)
            ones += __builtin_popcount(eight(output / 8, tap, block)[output % 8]);
        return 2 * ones - inputs;
    }

    // The words of eight outputs
    const uint16_t *eight(int64_t group, int64_t tap, int64_t block) const {
        return words + place(group, tap, block);
    }

  private:
    const uint16_t *words;

    int64_t words_of_output() const { return taps * blocks; }

    // Bits of `count` neighbouring weights, 0 beyond them
    static void take_bits(const float *latent, int64_t count, std::vector<uint64_t> &bits) {
        std::fill(bits.begin(), bits.end(), 0);
        in_sixteens(count, [&](int64_t i, __mmask16 kept) {
            const __m512 values = _mm512_maskz_loadu_ps(kept, latent + i);
            const uint64_t found =
                _mm512_mask_cmp_ps_mask(kept, values, _mm512_setzero_ps(), _CMP_GE_OQ);
            bits[i / 64] |= found << i % 64;
        });
    }

    int64_t place(int64_t group, int64_t tap, int64_t block) const {
        return ((group * taps + tap) * blocks + block) * 8;
    }
};

}  // namespace ir2::bfloat16
