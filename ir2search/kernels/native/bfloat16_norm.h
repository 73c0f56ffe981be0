// BatchNorm, sum and Hardtanh of a convolution's output in 16-bit whole numbers.

#pragma once

#include "norm.h"
#include "sign_maps.h"

namespace ir2::bfloat16 {

inline __m512 floats(const int16_t *from, __mmask16 kept) {
    return _mm512_cvtepi32_ps(_mm512_cvtepi16_epi32(_mm256_maskz_loadu_epi16(kept, from)));
}

// The exact sums of whole numbers and of their squares
struct Totals {
    int64_t sum = 0, square = 0;

    void add(const int16_t *values, int64_t count) {
        const __m512i ones = _mm512_set1_epi16(1);
        __m512i sums = _mm512_setzero_si512(), squares = sums;
        for (int64_t i = 0; i < count; i += 32) {
            const __mmask32 kept = count - i >= 32 ? ~0u : (1u << (count - i)) - 1;
            const __m512i part = _mm512_maskz_loadu_epi16(kept, values + i);
            const __m512i pairs = _mm512_madd_epi16(part, part);  // below 2^31
            sums = _mm512_add_epi32(sums, _mm512_madd_epi16(part, ones));
            squares = _mm512_add_epi64(
                squares, _mm512_add_epi64(_mm512_srli_epi64(pairs, 32),
                                          _mm512_and_si512(pairs, _mm512_set1_epi64(0xffffffff))));
        }
        sum += reduce(sums);
        square += _mm512_reduce_add_epi64(squares);
    }

  private:
    static int64_t reduce(__m512i sums) {
        return _mm512_reduce_add_epi64(_mm512_cvtepi32_epi64(_mm512_castsi512_si256(sums))) +
               _mm512_reduce_add_epi64(_mm512_cvtepi32_epi64(_mm512_extracti64x4_epi64(sums, 1)));
    }
};

// totals: (images, channels)
inline void set_moments(const std::vector<Totals> &totals, const Norm &norm, const Maps &maps) {
    for (int64_t c = 0; c < maps.channels; ++c) {
        int64_t sum = 0, square = 0;
        for (int64_t n = 0; n < maps.images; ++n) {
            sum += totals[n * maps.channels + c].sum;
            square += totals[n * maps.channels + c].square;
        }
        const double mean = double(sum) / maps.positions();
        const double spread =
            std::max(0.0, double(square) / maps.positions() - mean * mean);
        norm.mean[c] = float(mean);
        norm.variance[c] = float(spread);
        norm.inverse[c] = float(1.0 / std::sqrt(spread + norm.epsilon));
    }
}

// Whether an output was not clipped, as bits: (images, channels, plane / 16) words
inline int64_t mask_words(const Maps &maps) { return ceil_div(maps.plane, 16); }

// out = clip(norm(y) + shortcut)
inline void apply_norm(const int16_t *y, const Shortcut &shortcut, const Norm &norm, float *out,
                       uint16_t *inside, const Maps &maps, bool clip, Threads threads) {
    const __m512 one = _mm512_set1_ps(1.f), minus = _mm512_set1_ps(-1.f);
#pragma omp parallel for num_threads(threads.over(maps.values())) schedule(static)
    for (int64_t map = 0; map < maps.images * maps.channels; ++map) {
        const int64_t c = map % maps.channels;
        const __m512 k = _mm512_set1_ps(norm.weight[c] * norm.inverse[c]);
        const __m512 s = _mm512_set1_ps(norm.bias[c]), m = _mm512_set1_ps(norm.mean[c]);
        const int16_t *values = y + map * maps.plane;
        const float *added = shortcut.map(map / maps.channels, c, maps.channels, maps.plane);
        float *to = out + map * maps.plane;
        uint16_t *bits = clip ? inside + map * mask_words(maps) : nullptr;
        in_sixteens(maps.plane, [=](int64_t i, __mmask16 kept) {
            __m512 value = _mm512_fmadd_ps(_mm512_sub_ps(floats(values + i, kept), m), k, s);
            if (added) value = _mm512_add_ps(value, _mm512_maskz_loadu_ps(kept, added + i));
            if (bits) {  // NaN stays NaN, because it is the second argument
                value = _mm512_max_ps(minus, _mm512_min_ps(one, value));
                bits[i / 16] = _mm512_cmp_ps_mask(_mm512_abs_ps(value), one, _CMP_LT_OQ);
            }
            _mm512_mask_storeu_ps(to + i, kept, value);
        });
    }
}

// The gradient of norm(y) + shortcut, of a map
struct InnerGradient {
    const float *gradient;
    const uint16_t *inside;  // null if nothing is clipped

    __m512 at(int64_t i, __mmask16 kept) const {
        if (inside) kept &= inside[i / 16];
        return _mm512_maskz_loadu_ps(kept, gradient + i);
    }
};

// The gradient of y, of a map
struct OutputGradient {
    InnerGradient inner;
    const int16_t *y;
    __m512 of_inner, of_y, constant, mean;

    __m512 at(int64_t i, __mmask16 kept) const {
        const __m512 along = _mm512_sub_ps(floats(y + i, kept), mean);
        return _mm512_fmadd_ps(of_inner, inner.at(i, kept),
                               _mm512_fmadd_ps(of_y, along, constant));
    }
};

// The gradients of out = clip(norm(y) + shortcut); see the class of the same name in float32.
class UnitNormBackward {
  public:
    UnitNormBackward(const float *gradient, const uint16_t *inside, const int16_t *y,
                     const Norm &norm, const Maps &maps, bool clip)
        : gradient(gradient), inside(clip ? inside : nullptr), y(y), norm(norm), maps(maps),
          of_inner(maps.channels), of_y(maps.channels), constant(maps.channels) {}

    void find_sums(float *weight_gradient, float *bias_gradient, Threads threads) {
        std::vector<float> sums(2 * maps.images * maps.channels);
#pragma omp parallel for num_threads(threads.over(maps.values())) schedule(static)
        for (int64_t map = 0; map < maps.images * maps.channels; ++map) {
            const int64_t channel = map % maps.channels;
            const InnerGradient of_map = inner(map / maps.channels, channel);
            const int16_t *values = y + map * maps.plane;
            const __m512 mean = _mm512_set1_ps(norm.mean[channel]);
            __m512 sum = _mm512_setzero_ps(), along = sum;
            in_sixteens(maps.plane, [&](int64_t i, __mmask16 kept) {
                const __m512 part = of_map.at(i, kept);
                sum = _mm512_add_ps(sum, part);
                along = _mm512_fmadd_ps(part, _mm512_sub_ps(floats(values + i, kept), mean), along);
            });
            sums[2 * map] = _mm512_reduce_add_ps(sum);
            sums[2 * map + 1] = _mm512_reduce_add_ps(along);
        }
        for (int64_t c = 0; c < maps.channels; ++c) {
            double sum = 0, along = 0;
            for (int64_t n = 0; n < maps.images; ++n) {
                sum += sums[2 * (n * maps.channels + c)];
                along += sums[2 * (n * maps.channels + c) + 1];
            }
            const double inverse = norm.inverse[c], scale = norm.weight[c] * inverse;
            bias_gradient[c] = float(sum);
            weight_gradient[c] = float(along * inverse);
            of_inner[c] = float(scale);
            of_y[c] = float(-scale * inverse * inverse * along / maps.positions());
            constant[c] = float(-scale * sum / maps.positions());
        }
    }

    // The gradient of norm(y) + shortcut, of a map of an image
    InnerGradient inner(int64_t image, int64_t channel) const {
        const int64_t map = image * maps.channels + channel;
        return {gradient + map * maps.plane, inside ? inside + map * mask_words(maps) : nullptr};
    }

    // The gradient of y
    OutputGradient of_output(int64_t image, int64_t channel) const {
        return {inner(image, channel), y + (image * maps.channels + channel) * maps.plane,
                _mm512_set1_ps(of_inner[channel]), _mm512_set1_ps(of_y[channel]),
                _mm512_set1_ps(constant[channel]), _mm512_set1_ps(norm.mean[channel])};
    }

  private:
    const float *gradient;
    const uint16_t *inside;
    const int16_t *y;
    const Norm &norm;
    const Maps &maps;
    std::vector<float> of_inner, of_y, constant;
};

}  // namespace ir2::bfloat16
