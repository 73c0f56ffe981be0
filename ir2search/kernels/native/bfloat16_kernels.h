// The kernels for processors with AVX-512: forward with bits, backward in bfloat16.

#pragma once

#include "bfloat16_convolution.h"
#include "bfloat16_norm.h"
#include "bit_convolution.h"

namespace ir2::bfloat16 {

inline int64_t packed_words(const Shape &shape) { return SignWeights::count(shape); }

inline int64_t bit_words(const Shape &shape) { return SignMaps(shape).count(shape.images); }

inline void pack(const float *latent, uint16_t *packed, const Shape &shape, Threads threads) {
    SignWeights::pack(latent, packed, shape, threads);
}

struct Nothing {
    __m512 at(int64_t, __mmask16) const { return _mm512_setzero_ps(); }
};

inline void convolve_backward(const float *gradient, const SignConvolution &convolution,
                              const Gradients &gradients, Threads threads) {
    const Shape &shape = convolution.shape;
    const int64_t positions = shape.rows() * shape.columns();
    auto value = [&](int64_t image, int64_t output) {
        return InnerGradient{gradient + (image * shape.outputs + output) * positions, nullptr, {}};
    };
    auto added = [](int64_t, int64_t) { return Nothing(); };
    convolution_backward(value, added, convolution, gradients, threads);
}

inline void unit(const SignConvolution &given, const NormedMaps<int16_t> &normed, int16_t *y,
                 float *out, uint16_t *inside, Threads threads) {
    const Shape &shape = given.shape;
    const SignMaps signs_of(shape);
    const BitConvolution convolution(SignWeights(given.packed, shape), shape);
    const Maps &maps = normed.maps;
    std::vector<Totals> totals(maps.images * maps.channels);
#pragma omp parallel for num_threads(threads.over(shape.products() / 64)) schedule(static)
    for (int64_t image = 0; image < shape.images; ++image) {
        uint16_t *bits = given.bits + image * signs_of.words();
        signs_of.take(given, image, bits);
        int16_t *to = y + image * maps.channels * maps.plane;
        auto write = [&](int64_t output, int64_t p, __m256i values, __mmask16 kept) {
            _mm256_mask_storeu_epi16(to + output * maps.plane + p, kept, values);
        };
        convolution.run(bits, write);
        for (int64_t c = 0; c < maps.channels; ++c)
            totals[image * maps.channels + c].add(to + c * maps.plane, maps.plane);
    }
    set_moments(totals, normed.norm, maps);
    apply_norm(normed, out, inside, threads);
}

inline void unit_backward(const float *gradient, const uint16_t *inside,
                          const SignConvolution &convolution, const NormedMaps<int16_t> &normed,
                          float *inner, const Gradients &gradients,
                          const ParameterGradients &parameters, Threads threads) {
    const Shape &shape = convolution.shape;
    const Maps &maps = normed.maps;
    UnitNormBackward backward(gradient, inside, normed);
    backward.find_sums(parameters, threads);
    auto value = [&](int64_t image, int64_t output) {
        if (inner) {
            const InnerGradient of_map = backward.inner(image, output);
            float *to = inner + (image * maps.channels + output) * maps.plane;
            in_sixteens(maps.plane, [=](int64_t i, __mmask16 kept) {
                _mm512_mask_storeu_ps(to + i, kept, of_map.at(i, kept));
            });
        }
        return backward.of_output(image, output);
    };
    if (normed.shortcut.is_input()) {
        auto added = [&](int64_t image, int64_t input) {
            const InnerGradient of_map =
                backward.inner(image, input + Shortcut::first_output(shape));
            if (shape.stride == 1) return of_map;
            thread_local std::vector<float> values, spread;
            values.resize(maps.plane);
            spread.resize(shape.height * shape.width);
            in_sixteens(maps.plane, [&](int64_t i, __mmask16 kept) {
                _mm512_mask_storeu_ps(values.data() + i, kept, of_map.at(i, kept));
            });
            Shortcut::spread(values.data(), shape, spread.data());
            return InnerGradient{spread.data(), nullptr, {}};
        };
        convolution_backward(value, added, convolution, gradients, threads);
    } else {
        auto added = [](int64_t, int64_t) { return Nothing(); };
        convolution_backward(value, added, convolution, gradients, threads);
    }
}

}  // namespace ir2::bfloat16
