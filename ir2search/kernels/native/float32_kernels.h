// The kernels for any processor, in float32.

#pragma once

#include "float32_convolution.h"
#include "norm.h"

namespace ir2::float32 {

inline int64_t packed_words(const Shape &) { return 0; }

inline int64_t bit_words(const Shape &) { return 0; }

inline void pack(const float *, uint16_t *, const Shape &, Threads) {}

inline void convolve_backward(const float *gradient, const SignConvolution &convolution,
                              const Gradients &gradients, Threads threads) {
    const Shape &shape = convolution.shape;
    const int64_t count = shape.outputs * shape.rows() * shape.columns();
    auto source = [&](int64_t image, float *to) {
        std::copy(gradient + image * count, gradient + (image + 1) * count, to);
    };
    auto added = [](int64_t, float *) -> const float * { return nullptr; };
    convolution_backward(source, added, convolution, gradients, threads);
}

inline void unit(const SignConvolution &convolution, const NormedMaps<int16_t> &normed,
                 int16_t *y, float *out, uint16_t *, Threads threads) {
    convolve(convolution, y, threads);
    norm_forward(normed, out, threads);
}

inline void unit_backward(const float *gradient, const uint16_t *,
                          const SignConvolution &convolution, const NormedMaps<int16_t> &normed,
                          float *inner, const Gradients &gradients,
                          const ParameterGradients &parameters, Threads threads) {
    const Shape &shape = convolution.shape;
    const Maps &maps = normed.maps;
    NormBackward<int16_t> backward(gradient, normed);
    backward.find_sums(parameters, threads);
    auto source = [&](int64_t image, float *to) {
        if (inner) backward.inner(image, inner + image * maps.channels * maps.plane);
        backward.write(image, to);
    };
    auto added = [&](int64_t image, float *to) -> const float * {
        if (!normed.shortcut.is_input()) return nullptr;
        if (shape.stride == 1 && shape.inputs == shape.outputs) return backward.inner(image, to);
        thread_local std::vector<float> memory;
        memory.resize(maps.channels * maps.plane);
        const float *inner = backward.inner(image, memory.data());
        for (int64_t input = 0; input < shape.inputs; ++input)
            Shortcut::spread(inner + (input + Shortcut::first_output(shape)) * maps.plane, shape,
                             to + input * shape.height * shape.width);
        return to;
    };
    convolution_backward(source, added, convolution, gradients, threads);
}

}  // namespace ir2::float32
