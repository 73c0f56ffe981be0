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

    // Write 16 numbers of a map, from a position on
    void put(uint16_t *to, int64_t position, __m256i numbers) const {
        alignas(32) uint16_t each[16];
        _mm256_store_si256(reinterpret_cast<__m256i *>(each), numbers);
        const int64_t end = std::min<int64_t>(16, rows * columns - position);
        for (int64_t i = 0; i < end; ++i)
            to[(position + i) / columns * 4 * a_row + (position + i) % columns] = each[i];
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

    int64_t eights() const { return ceil_div(shape.outputs, OUTPUTS); }
    int64_t sums() const { return eights() * sums_of_outputs(); }

    // Images whose fours fill a step
    int64_t images() const { return ceil_div(PAIRS, fours.pairs); }

    // sums: (outputs / 8, blocks, 8, taps, 16 inputs); gradients: (images, outputs, fours);
    // words: signs of the images; is_first: there are no sums yet
    void add(const uint16_t *gradients, const uint16_t *words, int64_t images, bool is_first,
             float *sums) const {
        thread_local std::vector<uint16_t> table_memory, index_memory;
        const int64_t taps = shape.taps(), all = images * fours.pairs;
        uint16_t *tables = aligned(table_memory, eights() * PAIRS * OUTPUTS * TABLE);
        uint16_t *indices = aligned(index_memory, taps * PAIRS * TABLE);
        for (int64_t start = 0; start < all; start += PAIRS) {
            const int64_t count = std::min(PAIRS, all - start);
            make_tables(gradients, start, count, tables);
            for (int64_t block = 0; block < blocks; ++block) {
                find_indices(words, start, count, block, indices);
                for (int64_t eight = 0; eight < eights(); ++eight) {
                    float *to = sums + (eight * blocks + block) * taps * OUTPUTS * 16;
                    const uint16_t *from = tables + eight * PAIRS * OUTPUTS * TABLE;
                    int64_t tap = 0;
                    for (; tap + 3 <= taps; tap += 3)
                        add_taps<3>(from, indices + tap * PAIRS * TABLE, count,
                                    is_first && start == 0, to + tap * 16);
                    for (; tap < taps; ++tap)
                        add_taps<1>(from, indices + tap * PAIRS * TABLE, count,
                                    is_first && start == 0, to + tap * 16);
                }
            }
        }
    }

    // Write the gradients of `outputs` outputs from `first` on, (outputs, inputs, taps): the sums
    // of all splits, and a value to add for each output and tap
    void read(const float *sums, int64_t splits, int64_t first, int64_t outputs,
              const float *added, float *gradient) const {
        const int64_t taps = shape.taps();
        const float *from = sums + first / OUTPUTS * sums_of_outputs();
        for (int64_t block = 0; block < blocks; ++block, from += OUTPUTS * taps * 16) {
            const int64_t inputs = std::min<int64_t>(16, shape.inputs - 16 * block);
            for (int64_t i = 0; i < outputs * taps; ++i) {
                __m512 sum = _mm512_set1_ps(added[i]);
                for (int64_t split = 0; split < splits; ++split)
                    sum = _mm512_add_ps(sum, _mm512_load_ps(from + split * this->sums() + 16 * i));
                alignas(64) float values[16];
                _mm512_store_ps(values, sum);
                float *to = gradient + (i / taps * shape.inputs + 16 * block) * taps + i % taps;
                for (int64_t input = 0; input < inputs; ++input) to[input * taps] = values[input];
            }
        }
    }

  private:
    static constexpr int64_t PAIRS = 32;  // at a time
    const Shape shape;
    const SignMaps maps;
    const Fours fours;
    const int64_t blocks;
    std::vector<int64_t> places;  // of the first sign of each four, for the first tap

    // tables: (outputs / 8, PAIRS, 8, TABLE)
    void make_tables(const uint16_t *gradients, int64_t start, int64_t count,
                     uint16_t *tables) const {
        const TableMaker maker;
        for (int64_t i = 0; i < count;) {
            const int64_t image = (start + i) / fours.pairs, pair = (start + i) % fours.pairs;
            const int64_t here = std::min(count - i, fours.pairs - pair);  // pairs of this image
            for (int64_t output = 0; output < OUTPUTS * eights(); ++output) {
                uint16_t *to = tables + ((output / OUTPUTS * PAIRS + i) * OUTPUTS +
                                         output % OUTPUTS) * TABLE;
                const uint16_t *from =
                    gradients + (image * shape.outputs + output) * fours.values() + 8 * pair;
                for (int64_t k = 0; k < here; ++k, from += 8, to += OUTPUTS * TABLE)
                    _mm512_store_si512(
                        to, output < shape.outputs
                                ? maker.make(reinterpret_cast<const AnyPair *>(from), 1)
                                : _mm512_setzero_si512());
            }
            i += here;
        }
    }

    // indices: (taps, PAIRS, TABLE)
    void find_indices(const uint16_t *words, int64_t start, int64_t count, int64_t block,
                      uint16_t *indices) const {
        for (int64_t i = 0; i < count; ++i) {
            const int64_t image = (start + i) / fours.pairs, pair = (start + i) % fours.pairs;
            const uint16_t *plane = words + image * maps.words() + block * maps.plane();
            const uint16_t *a = plane + places[2 * pair], *b = plane + places[2 * pair + 1];
            uint16_t *to = indices + i * TABLE;
            for (int64_t dy = 0; dy < shape.size; ++dy, a += maps.pitch, b += maps.pitch)
                for (int64_t dx = 0; dx < shape.size; ++dx, to += PAIRS * TABLE)
                    _mm512_store_si512(to, lookups(_mm_set_epi64x(four(b + dx), four(a + dx))));
        }
    }

    // The words of four outputs
    int64_t four(const uint16_t *word) const {
        int64_t found = 0;
        if (shape.stride == 1)
            std::memcpy(&found, word, sizeof found);
        else
            for (int64_t i = 3; i >= 0; --i) found = found << 16 | word[i * shape.stride];
        return found;
    }

    // sums (8 outputs, taps, 16 inputs) += the looked up sums of `count` pairs, for N taps
    template <int N>
    void add_taps(const uint16_t *tables, const uint16_t *indices, int64_t count,
                  bool is_first, float *sums) const {
        const int64_t step = shape.taps() * 16;
        __m512 acc[N][OUTPUTS];
        for (int n = 0; n < N; ++n)
            for (int i = 0; i < OUTPUTS; ++i)
                acc[n][i] = is_first ? _mm512_setzero_ps()
                                     : _mm512_load_ps(sums + i * step + n * 16);
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
                _mm512_store_ps(sums + i * step + n * 16, acc[n][i]);
    }
};

// Add numbers in bfloat16 to sums
inline void add_numbers(const uint16_t *numbers, int64_t count, float *sums) {
    in_sixteens(count, [=](int64_t i, __mmask16 kept) {
        const __m256i sixteen = _mm256_maskz_loadu_epi16(kept, numbers + i);
        const __m512i floats = _mm512_slli_epi32(_mm512_cvtepu16_epi32(sixteen), 16);
        const __m512 before = _mm512_maskz_loadu_ps(kept, sums + i);
        _mm512_mask_storeu_ps(sums + i, kept,
                              _mm512_add_ps(before, _mm512_castsi512_ps(floats)));
    });
}

}  // namespace ir2::bfloat16
