// The gradient of the outputs whose input is padding.

#pragma once

#include "common.h"

namespace ir2 {

// Padding is 0, but its bits count as -1. For each tap, the sum of the gradient of these outputs
// must therefore be added to the gradient of the weights. The maps of images are added first, and
// then their borders.
class Outside {
  public:
    // In memory, a map takes `map` values, and a row of it `line`.
    Outside(const Shape &shape, int64_t line, int64_t map)
        : shape(shape), line(line), map(map), high(misses(shape.rows(), shape.height)),
          wide(misses(shape.columns(), shape.width)) {}

    // The number of values of the sum of maps
    int64_t values() const { return shape.padding ? shape.outputs * map : 0; }

    // Write the sum for each output and tap; maps: (outputs, rows, columns)
    void find(const float *maps, double *sums) const {
        if (!shape.padding) return;
        for (int64_t output = 0; output < shape.outputs; ++output, maps += map)
            for (int64_t dy = 0; dy < shape.size; ++dy)
                for (int64_t dx = 0; dx < shape.size; ++dx) *sums++ = sum(maps, dy, dx);
    }

  private:
    const Shape shape;
    const int64_t line, map;
    const std::vector<std::vector<int64_t>> high, wide;

    // For each tap along an axis, the output positions whose input lies outside the image
    std::vector<std::vector<int64_t>> misses(int64_t places, int64_t length) const {
        std::vector<std::vector<int64_t>> result(shape.size);
        for (int64_t tap = 0; tap < shape.size; ++tap)
            for (int64_t place = 0; place < places; ++place) {
                const int64_t at = shape.stride * place + tap - shape.padding;
                if (at < 0 || at >= length) result[tap].push_back(place);
            }
        return result;
    }

    // The positions form whole rows and whole columns; those in both count once.
    double sum(const float *values, int64_t dy, int64_t dx) const {
        double found = 0;
        for (int64_t r : high[dy])
            for (int64_t c = 0; c < shape.columns(); ++c) found += values[r * line + c];
        for (int64_t c : wide[dx]) {
            for (int64_t r = 0; r < shape.rows(); ++r) found += values[r * line + c];
            for (int64_t r : high[dy]) found -= values[r * line + c];
        }
        return found;
    }
};

}  // namespace ir2
