// Surrogate gradients of the sign.

#pragma once

#include "common.h"

namespace ir2 {

enum Estimator { POLYNOMIAL = 0, STRAIGHT_THROUGH = 1, TANH = 2 };

struct Slope {  // surrogate gradient of the sign
    int estimator;
    float sharpness;
    // out = slope(x) * gradient + added, for every `step`-th value of `out`, `x` and `added`
    void apply(const float *x, const float *gradient, const float *added, float *out,
               int64_t count, int64_t step) const {
        auto polynomial = [](float value) {
            float slope = 2.f - 2.f * std::fabs(value);
            return slope > 0.f ? slope : 0.f;
        };
        auto straight_through = [](float value) { return std::fabs(value) <= 1.f ? 1.f : 0.f; };
        float t = sharpness, k = std::max(1.f, sharpness);
        auto tanh = [=](float value) {
            float high = std::tanh(t * value);
            return k * (1.f - high * high);
        };
        if (estimator == POLYNOMIAL)
            applied(x, gradient, added, out, count, step, polynomial);
        else if (estimator == STRAIGHT_THROUGH)
            applied(x, gradient, added, out, count, step, straight_through);
        else
            applied(x, gradient, added, out, count, step, tanh);
    }
    template <typename F>
    static void applied(const float *x, const float *gradient, const float *added, float *out,
                        int64_t count, int64_t step, F slope) {
        if (step == 1 && added) {
#pragma omp simd
            for (int64_t i = 0; i < count; ++i) out[i] = slope(x[i]) * gradient[i] + added[i];
        } else if (step == 1) {
#pragma omp simd
            for (int64_t i = 0; i < count; ++i) out[i] = slope(x[i]) * gradient[i];
        } else {
            for (int64_t i = 0; i < count; ++i)
                out[i * step] = slope(x[i * step]) * gradient[i] + (added ? added[i * step] : 0.f);
        }
    }
};

// A convolution of the signs of x with those of latent weights (outputs, inputs, k, k)
struct SignConvolution {
    const float *x, *latent;
    const uint16_t *packed;  // the signs of the latent weights, if the arithmetic packs them
    uint16_t *bits;          // the signs of x, which the forward pass writes, if it packs them
    const Shape shape;
};

struct Gradients {  // of a SignConvolution's arguments; null for one that is not needed
    float *x, *latent;
    const Slope of_x, of_latent;
};

}  // namespace ir2
