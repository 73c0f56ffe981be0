// A convolution of signs by XOR and popcount.

#pragma once

#include "sign_weights.h"
#include "slope.h"

namespace ir2::bfloat16 {

// A convolution of signs with weights of +1 and -1.
//
// Of each row of a kernel, the bits of neighbouring positions are one window of 64 bits or more.
// A result is the number of terms minus twice the number of bits that differ. Padding counts as
// -1 in this; `base` has the difference from 0.
class BitConvolution {
  public:
    BitConvolution(const SignWeights &signs, const Shape &shape)
        : shape(shape), maps(shape), positions(shape.rows() * shape.columns()),
          parts(ceil_div(SignMaps::CHANNELS * shape.size, 64)),
          plane(ceil_div(maps.rows, shape.stride) * shape.columns()) {
        take_weights(signs);
        find_base(signs);
    }

    // Convolve the signs of one image; write(output, position, values, mask) gets 16 results.
    template <typename Write> void run(const uint16_t *words, Write write) const {
        thread_local std::vector<uint64_t> memory;
        memory.resize(maps.blocks * parts * shape.stride * plane + 64);
        fill(words, memory.data());
        for (int64_t output = 0; output < shape.outputs; output += TOGETHER)
            for (int64_t p = 0; p < positions; p += 16) {
                const __mmask16 kept = first_lanes(positions - p);
                __m256i counts[TOGETHER];
                count(memory.data() + p, weights.data() + output * terms(), counts);
                for (int64_t i = 0; i < std::min(TOGETHER, shape.outputs - output); ++i) {
                    const int16_t *from = base.data() + (output + i) * positions + p;
                    __m256i most = _mm256_maskz_loadu_epi16(kept, from);
                    __m256i twice = _mm256_add_epi16(counts[i], counts[i]);
                    write(output + i, p, _mm256_sub_epi16(most, twice), kept);
                }
            }
    }

  private:
    static constexpr int64_t TOGETHER = 4;  // outputs at a time
    const Shape shape;
    const SignMaps maps;
    const int64_t positions;  // of an output map
    const int64_t parts;      // windows of 64 bits for a row of a kernel
    const int64_t plane;      // windows in each plane, see fill
    std::vector<int64_t> places;    // of each term in the windows of an image
    std::vector<uint64_t> weights;  // (outputs / TOGETHER, terms, TOGETHER)
    std::vector<int16_t> base;      // (outputs, positions)

    int64_t terms() const { return maps.blocks * shape.size * parts; }

    uint64_t mask(int64_t part) const {
        const int64_t bits = SignMaps::CHANNELS * shape.size - 64 * part;
        return bits >= 64 ? ~uint64_t(0) : (uint64_t(1) << bits) - 1;
    }

    void take_weights(const SignWeights &signs) {
        const int64_t size = shape.size, stride = shape.stride;
        for (int64_t block = 0; block < maps.blocks; ++block)
            for (int64_t dy = 0; dy < size; ++dy)
                for (int64_t part = 0; part < parts; ++part)
                    places.push_back(((block * parts + part) * stride + dy % stride) * plane +
                                     dy / stride * shape.columns());
        weights.assign(ceil_div(shape.outputs, TOGETHER) * TOGETHER * terms(), 0);
        for (int64_t output = 0; output < shape.outputs; ++output) {
            uint64_t *to = weights.data() + output / TOGETHER * TOGETHER * terms();
            for (int64_t tap = 0; tap < shape.taps(); ++tap)
                for (int64_t block = 0; block < maps.blocks; ++block) {
                    const uint64_t word = signs.eight(output / 8, tap, block)[output % 8];
                    const int64_t bit = tap % size * SignMaps::CHANNELS;
                    const int64_t term = (block * size + tap / size) * parts + bit / 64;
                    to[term * TOGETHER + output % TOGETHER] |= word << bit % 64;
                }
        }
    }

    // The number of terms, plus the sum of the weights whose input is padding
    void find_base(const SignWeights &signs) {
        const int64_t rows = shape.rows(), columns = shape.columns(), size = shape.size;
        base.assign(shape.outputs * positions, int16_t(shape.inputs * shape.taps()));
        if (!shape.padding) return;
        std::vector<std::pair<int64_t, int64_t>> outside;  // positions and taps that read padding
        for (int64_t r = 0; r < rows; ++r)
            for (int64_t c = 0; c < columns; ++c)
                for (int64_t tap = 0; tap < shape.taps(); ++tap) {
                    const int64_t y = shape.stride * r + tap / size - shape.padding;
                    const int64_t x = shape.stride * c + tap % size - shape.padding;
                    if (y < 0 || y >= shape.height || x < 0 || x >= shape.width)
                        outside.emplace_back(r * columns + c, tap);
                }
        std::vector<int16_t> sums(shape.taps());
        for (int64_t output = 0; output < shape.outputs; ++output) {
            for (int64_t tap = 0; tap < shape.taps(); ++tap)
                sums[tap] = int16_t(signs.sum(output, tap, shape.inputs));
            for (const auto &[place, tap] : outside) base[output * positions + place] += sums[tap];
        }
    }

    // Write the windows of an image: (blocks, parts, stride, rows / stride, columns). A window
    // starts at the input of an output's column; rows are split by position within a stride.
    void fill(const uint16_t *words, uint64_t *windows) const {
        const int64_t stride = shape.stride, columns = shape.columns();
        alignas(64) uint16_t near[32];
        for (int64_t i = 0; i < 32; ++i) near[i] = uint16_t(i / 4 * stride + i % 4);
        const __m512i order = _mm512_load_si512(near);
        for (int64_t block = 0; block < maps.blocks; ++block)
            for (int64_t part = 0; part < parts; ++part) {
                uint64_t *to = windows + (block * parts + part) * stride * plane;
                const uint64_t bits = mask(part);
                for (int64_t row = 0; row < maps.rows; ++row) {
                    const uint16_t *from =
                        words + block * maps.plane() + row * maps.pitch + 4 * part;
                    uint64_t *line = to + row % stride * plane + row / stride * columns;
                    for (int64_t c = 0; c < columns; c += 8) {
                        const __mmask8 kept = columns - c >= 8 ? 0xff : (1u << (columns - c)) - 1;
                        _mm512_mask_storeu_epi64(line + c, kept,
                                                 window(from + stride * c, order, bits));
                    }
                }
            }
    }

    // Eight windows, one for each `stride`-th word
    __m512i window(const uint16_t *from, __m512i order, uint64_t bits) const {
        __m512i found;
        if (shape.stride <= 4) {
            found = _mm512_permutexvar_epi16(order, _mm512_loadu_si512(from));
        } else {
            alignas(64) uint64_t each[8];
            for (int64_t i = 0; i < 8; ++i) std::memcpy(each + i, from + shape.stride * i, 8);
            found = _mm512_load_si512(each);
        }
        return _mm512_and_si512(found, _mm512_set1_epi64(int64_t(bits)));
    }

    // Count the bits of 16 positions that differ from those of the weights
    void count(const uint64_t *windows, const uint64_t *weight, __m256i *counts) const {
        __m512i low[TOGETHER], high[TOGETHER];
        for (int64_t i = 0; i < TOGETHER; ++i) low[i] = high[i] = _mm512_setzero_si512();
        for (int64_t place : places) {
            const __m512i a = _mm512_loadu_si512(windows + place);
            const __m512i b = _mm512_loadu_si512(windows + place + 8);
            for (int64_t i = 0; i < TOGETHER; ++i) {
                const __m512i w = _mm512_set1_epi64(int64_t(weight[i]));
                low[i] = _mm512_add_epi64(low[i], _mm512_popcnt_epi64(_mm512_xor_si512(a, w)));
                high[i] = _mm512_add_epi64(high[i], _mm512_popcnt_epi64(_mm512_xor_si512(b, w)));
            }
            weight += TOGETHER;
        }
        for (int64_t i = 0; i < TOGETHER; ++i)
            counts[i] = _mm256_set_m128i(_mm512_cvtepi64_epi16(high[i]),
                                         _mm512_cvtepi64_epi16(low[i]));
    }
};

inline void convolve(const SignConvolution &given, float *y, Threads threads) {
    const Shape &shape = given.shape;
    const SignMaps maps(shape);
    const BitConvolution convolution(SignWeights(given.packed, shape), shape);
    const int64_t positions = shape.rows() * shape.columns();
#pragma omp parallel for num_threads(threads.over(shape.products() / 64)) schedule(static)
    for (int64_t image = 0; image < shape.images; ++image) {
        uint16_t *bits = given.bits + image * maps.words();
        maps.take(given, image, bits);
        float *to = y + image * shape.outputs * positions;
        auto write = [&](int64_t output, int64_t p, __m256i values, __mmask16 kept) {
            _mm512_mask_storeu_ps(to + output * positions + p, kept,
                                  _mm512_cvtepi32_ps(_mm512_cvtepi16_epi32(values)));
        };
        convolution.run(bits, write);
    }
}

}  // namespace ir2::bfloat16
