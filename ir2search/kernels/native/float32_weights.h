// The gradient of the weights, in float32: sums of the gradient, with the signs of the input.

#pragma once

#include "outside.h"
#include "slope.h"

namespace ir2::float32 {

// The signs of the maps of an image as bits, 1 for +1. Rows include the padding, as 0, and are
// split by position within a stride.
class Bits {
  public:
    const int64_t rows, stride, bytes;

    explicit Bits(const Shape &shape)
        : rows(shape.height + 2 * shape.padding), stride(shape.stride),
          bytes(ceil_div(shape.width + 2 * shape.padding, 8 * shape.stride) + 8), shape(shape),
          data(size_t(shape.inputs * rows * stride * bytes), 0) {}

    const uint8_t *row(int64_t map, int64_t row) const {
        return data.data() + (map * rows + row) * stride * bytes;
    }

    // Take those of an image
    void take(const SignConvolution &convolution, int64_t image) {
        const float *x = convolution.x + image * shape.inputs * shape.height * shape.width;
        std::fill(data.begin(), data.end(), 0);
        for (int64_t map = 0; map < shape.inputs; ++map)
            for (int64_t r = 0; r < shape.height; ++r)
                for (int64_t fx = 0; fx < stride; ++fx)
                    take_row(x + (map * shape.height + r) * shape.width,
                             convolution.threshold(map), fx,
                             data.data() +
                                 ((map * rows + r + shape.padding) * stride + fx) * bytes);
    }

  private:
    const Shape &shape;
    std::vector<uint8_t> data;

    void take_row(const float *from, float threshold, int64_t fx, uint8_t *row) const {
        const int64_t padding = shape.padding;
        int64_t begin = ceil_div(std::max<int64_t>(0, padding - fx), stride);
        int64_t end = ceil_div(shape.width + padding - fx, stride);
        for (int64_t start = begin; start < end; start += 32) {
            uint64_t word = 0, old;
            const int64_t count = std::min<int64_t>(32, end - start);
            const float *values = from + stride * start + fx - padding;
            int64_t b = 0;
#ifdef __AVX__
            for (; stride == 1 && b + 8 <= count; b += 8) {
                __m256 eight = _mm256_loadu_ps(values + b);
                __m256 high = _mm256_cmp_ps(eight, _mm256_set1_ps(threshold), _CMP_GE_OQ);
                word |= uint64_t(_mm256_movemask_ps(high)) << b;
            }
#endif
            for (; b < count; ++b) word |= uint64_t(values[stride * b] >= threshold) << b;
            std::memcpy(&old, row + (start >> 3), 8);
            old |= word << (start & 7);
            std::memcpy(row + (start >> 3), &old, 8);
        }
    }
};

// The first bit of a column in a row of `Bits`
struct Place {
    int64_t byte, bit;
    Place(const Bits &bits, int64_t column)
        : byte(column % bits.stride * bits.bytes + (column / bits.stride >> 3)),
          bit(column / bits.stride & 7) {}
};

constexpr int64_t COLUMNS = 32, GROUPS = 8;  // limits of a segment: outputs in a row, groups of 4

// A segment of the gradient of an image: rows [top, top + rows), columns [left, left + columns).
struct Segment {
    int64_t top, left, rows, columns;
    int64_t groups() const { return ceil_div(columns, 4); }
};

inline std::vector<Segment> segments_of(int64_t rows, int64_t columns) {
    std::vector<Segment> result;
    for (int64_t left = 0; left < columns; left += COLUMNS) {
        int64_t width = std::min(COLUMNS, columns - left);
        int64_t most = std::max<int64_t>(1, GROUPS / ceil_div(width, 4));
        for (int64_t top = 0; top < rows; top += most)
            result.push_back({top, left, std::min(most, rows - top), width});
    }
    return result;
}

// The gradient of the weights, summed image by image.
class WeightGradient {
  public:
    WeightGradient(const Shape &shape)
        : shape(shape), segments(segments_of(shape.rows(), shape.columns())),
          width(shape.outputs > 2 * L ? 4 * L : 2 * L), across(ceil_div(shape.outputs, width)),
          outside(shape, shape.columns(), plane()), border(outside.values(), 0.f),
          missed(shape.outputs * shape.taps(), 0.0) {
        int64_t count = across * shape.inputs * shape.taps() * width;
        sums = aligned(memory, count);
        std::fill(sums, sums + count, 0.f);
    }

    // Add images one by one; each gradient is (outputs, rows, columns)
    void add(const float *gradients, const std::vector<Bits> &signs, int64_t images) {
        for (int64_t part = 0; part < across; ++part)
            for (int64_t image = 0; image < images; ++image) {
                const float *gradient = gradients + image * shape.outputs * plane();
                if (width == 4 * L)
                    add_part<4>(gradient, signs[image], part);
                else
                    add_part<2>(gradient, signs[image], part);
            }
        for (int64_t image = 0; image < images; ++image) {
            const float *gradient = gradients + image * shape.outputs * plane();
#pragma omp simd
            for (int64_t i = 0; i < outside.values(); ++i) border[i] += gradient[i];
        }
    }

    // Call this after the last image
    void finish() { outside.find(border.data(), missed.data()); }

    // Add the sums of one input (taps, width) for some outputs at a time, see `across`
    void add_sums_to(int64_t part, int64_t input, double *to) const {
        const int64_t taps = shape.taps(), begin = part * width;
        const float *from = sums + (part * shape.inputs + input) * taps * width;
        for (int64_t i = 0; i < taps * width; ++i) to[i] += from[i];
        for (int64_t i = 0; i < std::min(width, shape.outputs - begin); ++i)
            for (int64_t tap = 0; tap < taps; ++tap)
                to[tap * width + i] += missed[(begin + i) * taps + tap];
    }

    const Shape &shape;
    const std::vector<Segment> segments;
    const int64_t width, across;  // outputs at a time; number of such parts

  private:
    static constexpr int L = Lanes<float>::count;
    std::vector<float> memory;
    float *sums;                  // (across, inputs, taps, width)
    const Outside outside;
    std::vector<float> border;   // the sum of the images' gradients
    std::vector<double> missed;  // (outputs, taps)

    int64_t plane() const { return shape.rows() * shape.columns(); }

    template <int VECTORS> void add_part(const float *gradient, const Bits &bits, int64_t part) {
        constexpr int64_t WIDTH = VECTORS * L;
        thread_local std::vector<float> near;
        float *table = aligned(near, GROUPS * 16 * WIDTH);
        std::vector<Place> places;
        for (const Segment &segment : segments) {
            make_table<VECTORS>(gradient, part * WIDTH, segment, table);
            const int64_t fours = segment.rows * segment.groups();
            places.clear();
            for (int64_t dx = 0; dx < shape.size; ++dx)
                places.emplace_back(bits, shape.stride * segment.left + dx);
            float *sum = sums + part * shape.inputs * shape.taps() * WIDTH;
            for (int64_t input = 0; input < shape.inputs; ++input)
                for (int64_t dy = 0; dy < shape.size; ++dy) {
                    const uint8_t *row = bits.row(input, shape.stride * segment.top + dy);
                    for (const Place &place : places) {
                        uint32_t all = signs_of(row + place.byte, place.bit, segment, bits);
                        if (fours == GROUPS)
                            add_sums<VECTORS, GROUPS>(all, fours, table, sum);
                        else
                            add_sums<VECTORS, 0>(all, fours, table, sum);
                        sum += WIDTH;
                    }
                }
        }
    }

    // The signs of a segment for one tap, four bits a group; rows can start inside a byte
    uint32_t signs_of(const uint8_t *row, int64_t bit, const Segment &segment,
                      const Bits &bits) const {
        const int64_t bits_wide = 4 * segment.groups();
        const int64_t step = shape.stride * bits.stride * bits.bytes;
        const uint64_t mask = (uint64_t(1) << bits_wide) - 1;
        uint64_t all = 0;
        for (int64_t r = 0; r < segment.rows; ++r, row += step) {
            uint64_t word;
            std::memcpy(&word, row, 8);
            all |= (word >> bit & mask) << (r * bits_wide);
        }
        return uint32_t(all);
    }

    // sum += the entry of the table for the signs of each group; `fours` groups if COUNT is 0
    template <int VECTORS, int64_t COUNT>
    static void add_sums(uint32_t signs, int64_t fours, const float *table, float *sum) {
        using V = Lanes<float>::type;
        constexpr int64_t WIDTH = VECTORS * L;
        V even[VECTORS], odd[VECTORS];
        for (int v = 0; v < VECTORS; ++v) {
            even[v] = load(sum + v * L);
            odd[v] = V{};
        }
        const int64_t count = COUNT ? COUNT : fours;
        int64_t j = 0;
        for (; j + 2 <= count; j += 2) {
            const float *first = table + (16 * j + (signs & 15)) * WIDTH;
            const float *second = table + (16 * j + 16 + (signs >> 4 & 15)) * WIDTH;
            for (int v = 0; v < VECTORS; ++v) {
                even[v] += load(first + v * L);
                odd[v] += load(second + v * L);
            }
            signs >>= 8;
        }
        if (j < count)
            for (int v = 0; v < VECTORS; ++v)
                even[v] += load(table + (16 * j + (signs & 15)) * WIDTH + v * L);
        for (int v = 0; v < VECTORS; ++v) store(sum + v * L, even[v] + odd[v]);
    }

    // The sixteen sums +-a +-b +-c +-d of each group of four positions of a segment
    template <int VECTORS>
    void make_table(const float *gradient, int64_t output, const Segment &segment,
                    float *table) const {
        using V = Lanes<float>::type;
        constexpr int64_t WIDTH = VECTORS * L;
        alignas(64) float values[COLUMNS * WIDTH];
        const float *maps = gradient + output * plane();
        for (int64_t r = 0; r < segment.rows; ++r) {
            const float *from = maps + (segment.top + r) * shape.columns() + segment.left;
            transposed(from, std::min<int64_t>(WIDTH, shape.outputs - output), segment.columns,
                       WIDTH, values);
            for (int64_t group = 0; group < segment.groups(); ++group, table += 16 * WIDTH)
                for (int v = 0; v < VECTORS; ++v) {
                    const float *four = values + group * 4 * WIDTH + v * L;
                    V a = load(four), b = load(four + WIDTH);
                    V c = load(four + 2 * WIDTH), d = load(four + 3 * WIDTH);
                    V low[4] = {-a - b, a - b, b - a, a + b};
                    V up[4] = {-c - d, c - d, d - c, c + d};
                    for (int h = 0; h < 4; ++h)
                        for (int l = 0; l < 4; ++l)
                            store(table + (4 * h + l) * WIDTH + v * L, low[l] + up[h]);
                }
        }
    }

    // values[column][output], with zeros beyond the last column and output
    void transposed(const float *from, int64_t outputs, int64_t columns, int64_t wide,
                    float *values) const {
        const int64_t whole = ceil_div(columns, 4) * 4;
        if (outputs < wide || columns < whole) std::fill(values, values + whole * wide, 0.f);
        for (int64_t o = 0; o < outputs; ++o)
            for (int64_t c = 0; c < columns; ++c) values[c * wide + o] = from[o * plane() + c];
    }
};

}  // namespace ir2::float32
