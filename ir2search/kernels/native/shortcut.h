// The shortcut of a unit: maps that are added before the activation.

#pragma once

#include "common.h"

namespace ir2 {

// Maps of the unit's outputs; or the unit's input: its positions 0, stride, 2 stride, ... along
// each axis, with channels of 0 before and after its channels.
class Shortcut {
  public:
    // maps: null for nothing; shape: that of the unit if the maps are its input, otherwise null
    Shortcut(const float *maps, const Shape *shape) : maps(maps), shape(shape) {}

    bool is_input() const { return shape; }

    // The map to add to an output (channels, plane) of an image; null for nothing
    const float *map(int64_t image, int64_t output, int64_t channels, int64_t plane) const {
        if (!maps) return nullptr;
        if (!shape) return maps + (image * channels + output) * plane;
        const int64_t input = output - first_output(*shape);
        if (input < 0 || input >= shape->inputs) return nullptr;
        const int64_t count = shape->height * shape->width;
        const float *from = maps + (image * shape->inputs + input) * count;
        if (shape->stride == 1) return from;
        thread_local std::vector<float> chosen;
        chosen.resize(plane);
        float *to = chosen.data();
        for (int64_t r = 0; r < shape->height; r += shape->stride)
            for (int64_t c = 0; c < shape->width; c += shape->stride)
                *to++ = from[r * shape->width + c];
        return chosen.data();
    }

    // The output to which the first input is added
    static int64_t first_output(const Shape &shape) { return (shape.outputs - shape.inputs) / 2; }

    // The gradient of an input (height, width), for that of its output (rows, columns)
    static void spread(const float *gradient, const Shape &shape, float *to) {
        std::fill(to, to + shape.height * shape.width, 0.f);
        for (int64_t r = 0; r < shape.height; r += shape.stride)
            for (int64_t c = 0; c < shape.width; c += shape.stride)
                to[r * shape.width + c] = *gradient++;
    }

  private:
    const float *maps;
    const Shape *shape;
};

}  // namespace ir2
