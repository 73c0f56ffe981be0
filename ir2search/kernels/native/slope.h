// Surrogate gradients of the sign.

#pragma once

#include "common.h"

namespace ir2 {

enum Estimator { POLYNOMIAL = 0, STRAIGHT_THROUGH = 1, TANH = 2 };

struct Slope {  // surrogate gradient of the sign
    int estimator;
    float sharpness;
    // out = slope(x - level) * gradient + added, for every `step`-th value of `out`, `x` and
    // `added`. Adds the sum of slope(x - level) * gradient to `sum`; null if it is not needed.
    void apply(const float *x, float level, const float *gradient, const float *added, float *out,
               int64_t count, int64_t step, double *sum) const {
        auto polynomial = [=](float value) {
            float slope = 2.f - 2.f * std::fabs(value - level);
            return slope > 0.f ? slope : 0.f;
        };
        auto straight_through = [=](float value) {
            return std::fabs(value - level) <= 1.f ? 1.f : 0.f;
        };
        float t = sharpness, k = std::max(1.f, sharpness);
        auto tanh = [=](float value) {
            float high = std::tanh(t * (value - level));
            return k * (1.f - high * high);
        };
        if (estimator == POLYNOMIAL)
            applied(x, gradient, added, out, count, step, sum, polynomial);
        else if (estimator == STRAIGHT_THROUGH)
            applied(x, gradient, added, out, count, step, sum, straight_through);
        else
            applied(x, gradient, added, out, count, step, sum, tanh);
    }
    template <typename F>
    static void applied(const float *x, const float *gradient, const float *added, float *out,
                        int64_t count, int64_t step, double *sum, F slope) {
        if (sum)  // a loop of its own, because without thresholds the others are faster
            *sum += step == 1 ? total(x, gradient, count, 1, slope)
                              : total(x, gradient, count, step, slope);
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
    // The compiler knows in each call whether `step` is 1
    template <typename F>
    static inline float total(const float *x, const float *gradient, int64_t count, int64_t step,
                              F slope) {
        float sum = 0.f;
#pragma omp simd reduction(+ : sum)
        for (int64_t i = 0; i < count; ++i) sum += slope(x[i * step]) * gradient[i];
        return sum;
    }
};

// A convolution of the signs of x, minus a threshold for each input, with those of latent weights
// (outputs, inputs, k, k)
struct SignConvolution {
    const float *x, *latent;
    const float *thresholds;  // null for 0
    const uint16_t *packed;  // the signs of the latent weights, if the arithmetic packs them
    uint16_t *bits;          // the signs of x, which the forward pass writes, if it packs them
    const Shape shape;

    float threshold(int64_t input) const { return thresholds ? thresholds[input] : 0.f; }
};

struct Gradients {  // of a SignConvolution's arguments; null for one that is not needed
    float *x, *latent, *thresholds;
    const Slope of_x, of_latent;

    // Write those of the thresholds; sums: of the gradient of x through its sign, (images, inputs)
    void set_thresholds(const std::vector<double> &sums, const Shape &shape) const {
        for (int64_t input = 0; thresholds && input < shape.inputs; ++input) {
            double sum = 0;
            for (int64_t image = 0; image < shape.images; ++image)
                sum += sums[image * shape.inputs + input];
            thresholds[input] = float(-sum);
        }
    }
};

}  // namespace ir2
