// BatchNorm, sum and activation, and their gradients.

#pragma once

#include "activation.h"
#include "shortcut.h"

namespace ir2 {

constexpr int64_t STRETCH = 2048;  // values that are summed in float before a sum in double

struct Maps {  // feature maps (images, channels, plane)
    int64_t images, channels, plane;
    int64_t values() const { return images * channels * plane; }
    double positions() const { return double(images) * double(plane); }
};

// The parameters of a BatchNorm, and the moments of a batch
struct Norm {
    const float *weight, *bias;
    float *mean, *inverse, *variance;  // inverse: of the standard deviation
    float epsilon;
};

// The gradients of the parameters of a BatchNorm and of the activation after it, by channel; null
// for a parameter that the activation does not have
struct ParameterGradients {
    float *weight, *bias, *gamma, *beta, *zeta;

    // Write those of a channel
    //   sum: of the gradient before the activation; along: of its products with y - mean
    //   bent: of the products whose slope is beta; outer: of the gradient after the activation
    void write(int64_t channel, double sum, double along, double bent, double outer,
               double inverse) const {
        bias[channel] = float(sum);
        weight[channel] = float(along * inverse);
        if (gamma) gamma[channel] = float(-sum);
        if (beta) beta[channel] = float(bent);
        if (zeta) zeta[channel] = float(outer);
    }
};

// The running statistics of a BatchNorm; null if it has none
struct Running {
    float *mean, *variance;
    int64_t *batches;  // seen so far
    float momentum;    // below 0 for the average of all batches

    // Take the moments of a batch, as torch does
    void update(const Norm &norm, const Maps &maps) const {
        if (!mean) return;
        ++*batches;
        const float share = momentum < 0 ? 1.f / float(*batches) : momentum;
        const float unbiased = float(maps.positions() / std::max(1.0, maps.positions() - 1));
        for (int64_t c = 0; c < maps.channels; ++c) {
            mean[c] += share * (norm.mean[c] - mean[c]);
            variance[c] += share * (norm.variance[c] * unbiased - variance[c]);
        }
    }
};

template <typename Y>
void find_moments(const Y *y, const Norm &norm, const Maps &maps, Threads threads) {
#pragma omp parallel for num_threads(threads.over(maps.values())) schedule(static)
    for (int64_t c = 0; c < maps.channels; ++c) {
        // differences from a value lose no digits if the mean is large
        const float pivot = float(y[c * maps.plane]);
        double sum = 0, square = 0;
        for (int64_t n = 0; n < maps.images; ++n) {
            const Y *values = y + (n * maps.channels + c) * maps.plane;
            for (int64_t start = 0; start < maps.plane; start += STRETCH) {
                float a = 0.f, b = 0.f;
#pragma omp simd reduction(+ : a, b)
                for (int64_t i = start; i < std::min(maps.plane, start + STRETCH); ++i) {
                    float value = float(values[i]) - pivot;
                    a += value;
                    b += value * value;
                }
                sum += a;
                square += b;
            }
        }
        double offset = sum / maps.positions();
        double spread = square / maps.positions() - offset * offset;
        if (spread < 0) spread = 0;
        norm.mean[c] = float(pivot + offset);
        norm.variance[c] = float(spread);
        norm.inverse[c] = float(1.0 / std::sqrt(spread + norm.epsilon));
    }
}

// A map before the activation: norm(y) + shortcut
template <typename Y, bool HAS_SHORTCUT> struct Before {
    const Y *y;
    const float *shortcut;
    float mean, scale, bias;

    float centred(int64_t i) const { return float(y[i]) - mean; }
    float at(int64_t i) const {
        const float value = centred(i) * scale + bias;
        if constexpr (HAS_SHORTCUT)
            return value + shortcut[i];
        else
            return value;
    }
};

// What is computed from maps y: activation(norm(y) + shortcut)
template <typename Y> struct NormedMaps {
    const Y *y;
    const Shortcut shortcut;
    const Norm norm;
    const Activation activation;
    const Maps maps;

    int64_t place(int64_t image, int64_t channel) const {
        return (image * maps.channels + channel) * maps.plane;
    }

    // Call work(map before the activation, activation of its channel)
    template <typename Work> void on_map(int64_t image, int64_t c, Work work) const {
        const Y *values = y + place(image, c);
        const float *added = shortcut.map(image, c, maps.channels, maps.plane);
        const float scale = norm.weight[c] * norm.inverse[c], bias = norm.bias[c];
        activation.of_channel(c, [&](auto active) {
            if (added)
                work(Before<Y, true>{values, added, norm.mean[c], scale, bias}, active);
            else
                work(Before<Y, false>{values, nullptr, norm.mean[c], scale, bias}, active);
        });
    }
};

template <typename Y>
void norm_forward(const NormedMaps<Y> &normed, float *out, Threads threads) {
    const Maps &maps = normed.maps;
    find_moments(normed.y, normed.norm, maps, threads);
#pragma omp parallel for num_threads(threads.over(maps.values())) schedule(static)
    for (int64_t map = 0; map < maps.images * maps.channels; ++map) {
        float *to = out + map * maps.plane;
        normed.on_map(map / maps.channels, map % maps.channels, [&](auto before, auto active) {
#pragma omp simd
            for (int64_t i = 0; i < maps.plane; ++i) to[i] = active.value(before.at(i));
        });
    }
}

// The gradients of NormedMaps. `inner` is the gradient of norm(y) + shortcut, which is computed
// again: this reads as much memory as a saved map. The gradient of y is
// of_inner * inner + of_y * (y - mean) + constant, by channel.
template <typename Y> class NormBackward {
  public:
    NormBackward(const float *gradient, const NormedMaps<Y> &normed)
        : gradient(gradient), normed(normed), maps(normed.maps), of_inner(maps.channels),
          of_y(maps.channels), constant(maps.channels) {}

    void find_sums(const ParameterGradients &gradients, Threads threads) {
        const Norm &norm = normed.norm;
#pragma omp parallel for num_threads(threads.over(maps.values())) schedule(static)
        for (int64_t c = 0; c < maps.channels; ++c) {
            Sums sums;
            for (int64_t n = 0; n < maps.images; ++n)
                normed.on_map(n, c, [&](auto before, auto active) {
                    const float *outer = gradient + normed.place(n, c);
                    for (int64_t start = 0; start < maps.plane; start += STRETCH)
                        sums.add(before, active, outer, start,
                                 std::min(maps.plane, start + STRETCH));
                });
            const double inverse = norm.inverse[c], scale = norm.weight[c] * inverse;
            gradients.write(c, sums.inner, sums.along, sums.bent, sums.outer, inverse);
            of_inner[c] = float(scale);
            of_y[c] = float(-scale * inverse * inverse * sums.along / maps.positions());
            constant[c] = float(-scale * sums.inner / maps.positions());
        }
    }

    // `inner` of one image
    const float *inner(int64_t image, float *to) const {
        if (normed.activation.kind == Activation::NONE) return gradient + normed.place(image, 0);
        for (int64_t c = 0; c < maps.channels; ++c)
            normed.on_map(image, c, [&](auto before, auto active) {
                const float *outer = gradient + normed.place(image, c);
                float *map = to + c * maps.plane;
#pragma omp simd
                for (int64_t i = 0; i < maps.plane; ++i)
                    map[i] = active.gradient(before.at(i), outer[i]);
            });
        return to;
    }

    // The gradient of y of one image
    void write(int64_t image, float *to) const {
        for (int64_t c = 0; c < maps.channels; ++c, to += maps.plane)
            normed.on_map(image, c, [&](auto before, auto active) {
                const float *outer = gradient + normed.place(image, c);
                const float k = of_inner[c], t = of_y[c], s = constant[c];
#pragma omp simd
                for (int64_t i = 0; i < maps.plane; ++i)
                    to[i] = k * active.gradient(before.at(i), outer[i]) + t * before.centred(i) + s;
            });
    }

  private:
    const float *gradient;
    const NormedMaps<Y> &normed;
    const Maps &maps;
    std::vector<float> of_inner, of_y, constant;

    struct Sums {  // see ParameterGradients::write
        double inner = 0, along = 0, bent = 0, outer = 0;

        // outer: the gradient after the activation
        template <typename Before, typename Active>
        void add(Before before, Active active, const float *gradient, int64_t start, int64_t end) {
            float a = 0.f, b = 0.f, c = 0.f, d = 0.f;
#pragma omp simd reduction(+ : a, b, c, d)
            for (int64_t i = start; i < end; ++i) {
                const float x = before.at(i), part = active.gradient(x, gradient[i]);
                a += part;
                b += part * before.centred(i);
                if constexpr (Active::IS_LEARNED) {
                    c += active.of_beta(x, gradient[i]);
                    d += gradient[i];
                }
            }
            inner += a;
            along += b;
            bent += c;
            outer += d;
        }
    };
};

}  // namespace ir2
