// The gradient of a convolution's weights: sums of the gradient, with the signs of the input.

#pragma once

#include "bfloat16_sums.h"
#include "sign_maps.h"

namespace ir2::bfloat16 {

// A gradient (rows, columns) in fours of a row, in bfloat16; missing values are 0.
struct Fours {
    const int64_t rows, columns, a_row, count, pairs;

    explicit Fours(const Shape &shape)
        : rows(shape.rows()), columns(shape.columns()), a_row(ceil_div(columns, 4)),
          count(rows * a_row), pairs(ceil_div(count, 2)) {}

    int64_t values() const { return 8 * pairs; }

    void take(const float *map, uint16_t *to) const {
        std::memset(to + 4 * count, 0, size_t(values() - 4 * count) * sizeof(uint16_t));
        const int64_t whole = columns % 4 ? 1 : rows;  // rows without a gap
        const int64_t width = whole * columns, wide = ceil_div(width, 4) * 4;
        for (int64_t r = 0; r < rows; r += whole, map += width, to += wide)
            for (int64_t c = 0; c < wide; c += 16) {
                const int64_t left = std::clamp<int64_t>(width - c, 0, 16);
                const __mmask16 inside = __mmask16((1u << left) - 1);
                const __mmask16 kept =
                    __mmask16((1u << std::clamp<int64_t>(wide - c, 0, 16)) - 1);
                const __m512 part = _mm512_maskz_loadu_ps(inside, map + c);
                _mm256_mask_storeu_epi16(to + c, kept, (__m256i)_mm512_cvtneps_pbh(part));
            }
    }
};

// Sums of the gradients of images with the signs of their inputs, for a range of outputs.
//
// A table has the sums of a pair of fours of one output. Sixteen inputs are looked up at a time.
class WeightGradient {
  public:
    explicit WeightGradient(const Shape &shape)
        : shape(shape), maps(shape), fours(shape), blocks(maps.blocks) {
        for (int64_t i = 0; i < 2 * fours.pairs; ++i) {
            const int64_t four = std::min(i, fours.count - 1);
            places.push_back(four / fours.a_row * shape.stride * maps.pitch +
                             four % fours.a_row * 4 * shape.stride);
        }
    }

    static constexpr int64_t OUTPUTS = 8;  // at a time

    int64_t sums_of_outputs() const { return blocks * shape.taps() * OUTPUTS * 16; }  // of OUTPUTS

    // sums: (outputs / 8, blocks, taps, 8, 16 inputs) for outputs from 8 * first to 8 * last;
    // gradients: (images, outputs, fours) and words: signs of images, from the first image on
    void add(const uint16_t *gradients, const uint16_t *words, int64_t images, int64_t first,
             int64_t last, float *sums) const {
        thread_local std::vector<uint16_t> table_memory, index_memory;
        const int64_t taps = shape.taps(), all = images * fours.pairs;
        uint16_t *tables = aligned(table_memory, (last - first) * PAIRS * OUTPUTS * TABLE);
        uint16_t *indices = aligned(index_memory, taps * PAIRS * TABLE);
        for (int64_t start = 0; start < all; start += PAIRS) {
            const int64_t count = std::min(PAIRS, all - start);
            make_tables(gradients, start, count, first, last, tables);
            for (int64_t block = 0; block < blocks; ++block) {
                find_indices(words, start, count, block, indices);
                for (int64_t eight = 0; eight < last - first; ++eight) {
                    float *to = sums + (eight * blocks + block) * taps * OUTPUTS * 16;
                    const uint16_t *from = tables + eight * PAIRS * OUTPUTS * TABLE;
                    int64_t tap = 0;
                    for (; tap + 3 <= taps; tap += 3)
                        add_taps<3>(from, indices + tap * PAIRS * TABLE, count,
                                    to + tap * OUTPUTS * 16);
                    for (; tap < taps; ++tap)
                        add_taps<1>(from, indices + tap * PAIRS * TABLE, count,
                                    to + tap * OUTPUTS * 16);
                }
            }
        }
    }

  private:
    static constexpr int64_t PAIRS = 16;  // at a time
    const Shape shape;
    const SignMaps maps;
    const Fours fours;
    const int64_t blocks;
    std::vector<int64_t> places;  // of the first sign of each four, for the first tap

    // tables: (outputs / 8, PAIRS, 8, TABLE)
    void make_tables(const uint16_t *gradients, int64_t start, int64_t count, int64_t first,
                     int64_t last, uint16_t *tables) const {
        const TableMaker maker;
        for (int64_t i = 0; i < count; ++i) {
            const int64_t image = (start + i) / fours.pairs, pair = (start + i) % fours.pairs;
            for (int64_t output = OUTPUTS * first; output < OUTPUTS * last; ++output) {
                const int64_t local = output - OUTPUTS * first;
                uint16_t *to = tables + ((local / OUTPUTS * PAIRS + i) * OUTPUTS +
                                         local % OUTPUTS) * TABLE;
                uint32_t values[4] = {0, 0, 0, 0};
                if (output < shape.outputs)
                    std::memcpy(values,
                                gradients + (image * shape.outputs + output) * fours.values() +
                                    8 * pair,
                                sizeof values);
                _mm512_store_si512(to, maker.make(values[0], values[1], values[2], values[3]));
            }
        }
    }

    // indices: (taps, PAIRS, TABLE)
    void find_indices(const uint16_t *words, int64_t start, int64_t count, int64_t block,
                      uint16_t *indices) const {
        const int64_t stride = shape.stride;
        for (int64_t i = 0; i < count; ++i) {
            const int64_t image = (start + i) / fours.pairs, pair = (start + i) % fours.pairs;
            const uint16_t *plane = words + image * maps.words() + block * maps.plane();
            for (int64_t tap = 0; tap < shape.taps(); ++tap) {
                const uint16_t *at = plane + tap / shape.size * maps.pitch + tap % shape.size;
                const uint16_t *a = at + places[2 * pair], *b = at + places[2 * pair + 1];
                __m512i index = _mm512_set1_epi32(16 << 16);
                for (int64_t j = 0; j < 4; ++j) {
                    index = _mm512_mask_or_epi32(index, a[j * stride], index,
                                                 _mm512_set1_epi32(1 << j));
                    index = _mm512_mask_or_epi32(index, b[j * stride], index,
                                                 _mm512_set1_epi32(1 << (16 + j)));
                }
                _mm512_store_si512(indices + (tap * PAIRS + i) * TABLE, index);
            }
        }
    }

    // sums (N taps, 8 outputs, 16 inputs) += the looked up sums of `count` pairs
    template <int N>
    static void add_taps(const uint16_t *tables, const uint16_t *indices, int64_t count,
                         float *sums) {
        __m512 acc[N][OUTPUTS];
        for (int n = 0; n < N; ++n)
            for (int i = 0; i < OUTPUTS; ++i)
                acc[n][i] = _mm512_load_ps(sums + (n * OUTPUTS + i) * 16);
        for (int64_t pair = 0; pair < count; ++pair) {
            __m512i index[N];
            for (int n = 0; n < N; ++n)
                index[n] = _mm512_load_si512(indices + (n * PAIRS + pair) * TABLE);
            for (int i = 0; i < OUTPUTS; ++i) {
                const __m512i table = _mm512_load_si512(tables + (pair * OUTPUTS + i) * TABLE);
                for (int n = 0; n < N; ++n) acc[n][i] = add_looked_up(acc[n][i], index[n], table);
            }
        }
        for (int n = 0; n < N; ++n)
            for (int i = 0; i < OUTPUTS; ++i)
                _mm512_store_ps(sums + (n * OUTPUTS + i) * 16, acc[n][i]);
    }
};

// For each tap, the sum of the gradient at the outputs whose input is padding.
class Outside {
  public:
    explicit Outside(const Shape &shape)
        : shape(shape), high(misses(shape.rows(), shape.height)),
          wide(misses(shape.columns(), shape.width)) {}

    // sums: (outputs, taps), from the gradient of one image
    void find(const float *gradient, float *sums) const {
        const int64_t size = shape.size, columns = shape.columns();
        std::fill(sums, sums + shape.outputs * shape.taps(), 0.f);
        if (!shape.padding) return;
        for (int64_t output = 0; output < shape.outputs; ++output, sums += shape.taps()) {
            const float *map = gradient + output * shape.rows() * columns;
            for (int64_t dy = 0; dy < size; ++dy) {
                float sum = 0.f;
                for (int64_t r : high[dy])
#pragma omp simd reduction(+ : sum)
                    for (int64_t c = 0; c < columns; ++c) sum += map[r * columns + c];
                for (int64_t dx = 0; dx < size; ++dx) sums[dy * size + dx] += sum;
            }
            for (int64_t dx = 0; dx < size; ++dx) {
                if (wide[dx].empty()) continue;
                float sum = 0.f;
                for (int64_t c : wide[dx])
                    for (int64_t r = 0; r < shape.rows(); ++r) sum += map[r * columns + c];
                for (int64_t dy = 0; dy < size; ++dy) {
                    float both = 0.f;  // counted twice: in a row and in a column
                    for (int64_t r : high[dy])
                        for (int64_t c : wide[dx]) both += map[r * columns + c];
                    sums[dy * size + dx] += sum - both;
                }
            }
        }
    }

  private:
    const Shape shape;
    const std::vector<std::vector<int64_t>> high, wide;  // see misses

    // For each tap, the output positions whose input lies outside the image
    std::vector<std::vector<int64_t>> misses(int64_t places, int64_t length) const {
        std::vector<std::vector<int64_t>> result(shape.size);
        for (int64_t tap = 0; tap < shape.size; ++tap)
            for (int64_t place = 0; place < places; ++place) {
                int64_t at = shape.stride * place + tap - shape.padding;
                if (at < 0 || at >= length) result[tap].push_back(place);
            }
        return result;
    }
};

}  // namespace ir2::bfloat16
