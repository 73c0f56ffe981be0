// BatchNorm, sum and Hardtanh, and their gradients.

#pragma once

#include "shortcut.h"

namespace ir2 {

constexpr int64_t STRETCH = 2048;  // values that are summed in float before a sum in double

inline float clipped(float value) {  // NaN stays NaN
    return value < -1.f ? -1.f : (value > 1.f ? 1.f : value);
}

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

// out = clip(norm(y) + shortcut)
template <typename Y>
void norm_forward(const Y *y, const Shortcut &shortcut, const Norm &norm, float *out,
                  const Maps &maps, bool clip, Threads threads) {
    find_moments(y, norm, maps, threads);
#pragma omp parallel for num_threads(threads.over(maps.values())) schedule(static)
    for (int64_t map = 0; map < maps.images * maps.channels; ++map) {
        const int64_t c = map % maps.channels, plane = maps.plane;
        const Y *values = y + map * plane;
        const float *added = shortcut.map(map / maps.channels, c, maps.channels, plane);
        float *results = out + map * plane;
        const float k = norm.weight[c] * norm.inverse[c], s = norm.bias[c], m = norm.mean[c];
        if (added && clip) {
#pragma omp simd
            for (int64_t i = 0; i < plane; ++i)
                results[i] = clipped((float(values[i]) - m) * k + s + added[i]);
        } else if (added) {
#pragma omp simd
            for (int64_t i = 0; i < plane; ++i)
                results[i] = (float(values[i]) - m) * k + s + added[i];
        } else if (clip) {
#pragma omp simd
            for (int64_t i = 0; i < plane; ++i)
                results[i] = clipped((float(values[i]) - m) * k + s);
        } else {
#pragma omp simd
            for (int64_t i = 0; i < plane; ++i) results[i] = (float(values[i]) - m) * k + s;
        }
    }
}

// The gradients of out = clip(norm(y) + shortcut). `inner` is the gradient of norm(y) + shortcut.
// The gradient of y is of_inner * inner + of_y * (y - mean) + constant, by channel.
template <typename Y> class NormBackward {
  public:
    NormBackward(const float *gradient, const float *out, const Y *y, const Norm &norm,
                 const Maps &maps, bool clip)
        : gradient(gradient), out(out), y(y), norm(norm), maps(maps), clip(clip),
          of_inner(maps.channels), of_y(maps.channels), constant(maps.channels) {}

    void find_sums(float *weight_gradient, float *bias_gradient, Threads threads) {
#pragma omp parallel for num_threads(threads.over(maps.values())) schedule(static)
        for (int64_t c = 0; c < maps.channels; ++c) {
            double sum = 0, along = 0;
            for (int64_t n = 0; n < maps.images; ++n)
                for (int64_t start = 0; start < maps.plane; start += STRETCH)
                    add((n * maps.channels + c) * maps.plane + start,
                        std::min(STRETCH, maps.plane - start), norm.mean[c], sum, along);
            double inverse = norm.inverse[c], scale = norm.weight[c] * inverse;
            bias_gradient[c] = float(sum);
            weight_gradient[c] = float(along * inverse);
            double tilt = -scale * inverse * inverse * along / maps.positions();
            of_inner[c] = float(scale);
            of_y[c] = float(tilt);
            constant[c] = float(-scale * sum / maps.positions());
        }
    }

    // `inner` of one image
    const float *inner(int64_t image, float *to) const {
        const int64_t count = maps.channels * maps.plane, place = image * count;
        if (!clip) return gradient + place;
#pragma omp simd
        for (int64_t i = 0; i < count; ++i) to[i] = kept(out[place + i], gradient[place + i]);
        return to;
    }

    // The gradient of y of one image
    void write(int64_t image, float *to) const {
        for (int64_t c = 0; c < maps.channels; ++c, to += maps.plane) {
            const int64_t place = (image * maps.channels + c) * maps.plane;
            const float *g = gradient + place, *o = clip ? out + place : nullptr;
            const Y *values = y + place;
            const float k = of_inner[c], t = of_y[c], s = constant[c], m = norm.mean[c];
            if (clip) {
#pragma omp simd
                for (int64_t i = 0; i < maps.plane; ++i)
                    to[i] = k * kept(o[i], g[i]) + t * (float(values[i]) - m) + s;
            } else {
#pragma omp simd
                for (int64_t i = 0; i < maps.plane; ++i)
                    to[i] = k * g[i] + t * (float(values[i]) - m) + s;
            }
        }
    }

  private:
    const float *gradient, *out;
    const Y *y;
    const Norm &norm;
    const Maps &maps;
    const bool clip;
    std::vector<float> of_inner, of_y, constant;

    static float kept(float out, float gradient) { return std::fabs(out) < 1.f ? gradient : 0.f; }

    void add(int64_t place, int64_t count, float mean, double &sum, double &along) const {
        const float *g = gradient + place, *o = clip ? out + place : nullptr;
        const Y *values = y + place;
        float a = 0.f, b = 0.f;
        if (clip) {
#pragma omp simd reduction(+ : a, b)
            for (int64_t i = 0; i < count; ++i) {
                float value = kept(o[i], g[i]);
                a += value;
                b += value * (float(values[i]) - mean);
            }
        } else {
#pragma omp simd reduction(+ : a, b)
            for (int64_t i = 0; i < count; ++i) {
                a += g[i];
                b += g[i] * (float(values[i]) - mean);
            }
        }
        sum += a;
        along += b;
    }
};

}  // namespace ir2
