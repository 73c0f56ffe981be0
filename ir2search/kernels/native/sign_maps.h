// The signs of feature maps as bits, 1 for +1.

#pragma once

#include "slope.h"

namespace ir2::bfloat16 {

// The mask of the first lanes of 16
inline __mmask16 first_lanes(int64_t count) {
    return count >= 16 ? 0xffff : __mmask16((1u << std::max<int64_t>(count, 0)) - 1);
}

// Call work(i, mask) for each 16 numbers of `count`
template <typename Work> inline void in_sixteens(int64_t count, Work work) {
    int64_t i = 0;
    for (; i + 16 <= count; i += 16) work(i, __mmask16(0xffff));
    if (i < count) work(i, first_lanes(count - i));
}

// The layout of an image's signs: a word has a bit for each of 16 channels at one position. Words
// of a block of 16 channels form a plane (rows, pitch), which includes the padding, as 0.
struct SignMaps {
    static constexpr int64_t CHANNELS = 16;
    const int64_t inputs, height, width, padding, stride;
    const int64_t blocks, rows, pitch;

    explicit SignMaps(const Shape &shape)
        : inputs(shape.inputs), height(shape.height), width(shape.width), padding(shape.padding),
          stride(shape.stride), blocks(ceil_div(inputs, CHANNELS)), rows(height + 2 * padding),
          pitch(width + 2 * padding) {}

    int64_t plane() const { return rows * pitch; }
    int64_t words() const { return blocks * plane(); }  // of an image
    // Words of some images, with those that are read beyond the last
    int64_t count(int64_t images) const { return images * words() + 64 + 8 * stride; }

    // Write the signs of an image (inputs, height, width)
    void take(const SignConvolution &convolution, int64_t image, uint16_t *to) const {
        const float *x = convolution.x + image * inputs * height * width;
        thread_local std::vector<uint16_t> memory;
        const int64_t count = height * width;
        memory.resize(count);
        uint16_t *flat = memory.data();
        std::fill(to, to + words(), uint16_t(0));
        for (int64_t block = 0; block < blocks; ++block, to += plane()) {
            const int64_t channels = std::min(CHANNELS, inputs - block * CHANNELS);
            const float *maps = x + block * CHANNELS * count;
            for (int64_t i = 0; i < count; i += 16) {
                const __mmask16 kept = first_lanes(count - i);
                __m512i bits = _mm512_setzero_si512();
                for (int64_t c = 0; c < channels; ++c) {
                    __m512 values = _mm512_maskz_loadu_ps(kept, maps + c * count + i);
                    __m512 threshold = _mm512_set1_ps(convolution.threshold(block * CHANNELS + c));
                    __mmask16 high = _mm512_cmp_ps_mask(values, threshold, _CMP_GE_OQ);
                    bits = _mm512_mask_or_epi32(bits, high, bits, _mm512_set1_epi32(1 << c));
                }
                _mm512_mask_cvtepi32_storeu_epi16(flat + i, kept, bits);
            }
            for (int64_t r = 0; r < height; ++r)
                std::memcpy(to + (r + padding) * pitch + padding, flat + r * width,
                            size_t(width) * sizeof(uint16_t));
        }
    }
};

}  // namespace ir2::bfloat16
