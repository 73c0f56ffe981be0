// BatchNorm, sum and activation of a convolution's output in 16-bit whole numbers.

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

// Whether the slope of the activation is 1, as bits: (images, channels, plane / 16) words
inline int64_t mask_words(const Maps &maps) { return ceil_div(maps.plane, 16); }

// A map before the activation: norm(y) + shortcut
struct BeforeActivation {
    const int16_t *y;
    const float *added;  // null for nothing
    __m512 mean, scale, bias;

    BeforeActivation(const NormedMaps<int16_t> &normed, int64_t image, int64_t c)
        : y(normed.y + normed.place(image, c)),
          added(normed.shortcut.map(image, c, normed.maps.channels, normed.maps.plane)),
          mean(_mm512_set1_ps(normed.norm.mean[c])),
          scale(_mm512_set1_ps(normed.norm.weight[c] * normed.norm.inverse[c])),
          bias(_mm512_set1_ps(normed.norm.bias[c])) {}

    __m512 at(int64_t i, __mmask16 kept) const {
        const __m512 value = _mm512_fmadd_ps(_mm512_sub_ps(floats(y + i, kept), mean), scale, bias);
        return added ? _mm512_add_ps(value, _mm512_maskz_loadu_ps(kept, added + i)) : value;
    }
};

// Write the activation of 16 values; returns the bits of those whose slope is 1
inline __mmask16 activated(None, __m512 &) { return 0xffff; }

inline __mmask16 activated(Hardtanh, __m512 &value) {
    const __m512 one = _mm512_set1_ps(1.f), minus = _mm512_set1_ps(-1.f);
    // NaN stays NaN, because it is the second argument
    value = _mm512_max_ps(minus, _mm512_min_ps(one, value));
    return _mm512_cmp_ps_mask(_mm512_abs_ps(value), one, _CMP_LT_OQ);
}

inline __mmask16 activated(ShiftedPReLU prelu, __m512 &value) {
    const __m512 shifted = _mm512_sub_ps(value, _mm512_set1_ps(prelu.gamma));
    const __mmask16 above = _mm512_cmp_ps_mask(shifted, _mm512_setzero_ps(), _CMP_GT_OQ);
    const __m512 bent = _mm512_mul_ps(shifted, _mm512_set1_ps(prelu.beta));
    value = _mm512_add_ps(_mm512_mask_mov_ps(bent, above, shifted), _mm512_set1_ps(prelu.zeta));
    return above;
}

// out = activation(norm(y) + shortcut)
inline void apply_norm(const NormedMaps<int16_t> &normed, float *out, uint16_t *inside,
                       Threads threads) {
    const Maps &maps = normed.maps;
#pragma omp parallel for num_threads(threads.over(maps.values())) schedule(static)
    for (int64_t map = 0; map < maps.images * maps.channels; ++map) {
        const int64_t c = map % maps.channels;
        const BeforeActivation before(normed, map / maps.channels, c);
        float *to = out + map * maps.plane;
        uint16_t *bits = inside ? inside + map * mask_words(maps) : nullptr;
        normed.activation.of_channel(c, [&](auto active) {
            in_sixteens(maps.plane, [=](int64_t i, __mmask16 kept) {
                __m512 value = before.at(i, kept);
                const __mmask16 straight = activated(active, value);
                if (bits) bits[i / 16] = straight;
                _mm512_mask_storeu_ps(to + i, kept, value);
            });
        });
    }
}

// The gradient of norm(y) + shortcut, of a map
struct InnerGradient {
    const float *gradient;
    const uint16_t *inside;  // null if the slope is 1
    __m512 slope;            // elsewhere

    __m512 at(int64_t i, __mmask16 kept) const {
        const __m512 outer = _mm512_maskz_loadu_ps(kept, gradient + i);
        return inside ? _mm512_mask_mul_ps(outer, ~inside[i / 16], outer, slope) : outer;
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

// The gradients of NormedMaps; see the class of the same name in float32.
class UnitNormBackward {
  public:
    UnitNormBackward(const float *gradient, const uint16_t *inside,
                     const NormedMaps<int16_t> &normed)
        : gradient(gradient), inside(inside), normed(normed), maps(normed.maps),
          of_inner(maps.channels), of_y(maps.channels), constant(maps.channels) {}

    void find_sums(const ParameterGradients &gradients, Threads threads) {
        std::vector<Sums> sums(maps.images * maps.channels);
#pragma omp parallel for num_threads(threads.over(maps.values())) schedule(static)
        for (int64_t map = 0; map < maps.images * maps.channels; ++map)
            sums[map] = sums_of_map(map / maps.channels, map % maps.channels);
        for (int64_t c = 0; c < maps.channels; ++c) {
            double sum = 0, along = 0, bent = 0, outer = 0;
            for (int64_t n = 0; n < maps.images; ++n) {
                const Sums &of_map = sums[n * maps.channels + c];
                sum += of_map.sum;
                along += of_map.along;
                bent += of_map.bent;
                outer += of_map.outer;
            }
            const double inverse = normed.norm.inverse[c], scale = normed.norm.weight[c] * inverse;
            gradients.write(c, sum, along, bent, outer, inverse);
            of_inner[c] = float(scale);
            of_y[c] = float(-scale * inverse * inverse * along / maps.positions());
            constant[c] = float(-scale * sum / maps.positions());
        }
    }

    // The gradient of norm(y) + shortcut, of a map of an image
    InnerGradient inner(int64_t image, int64_t channel) const {
        const int64_t map = image * maps.channels + channel;
        const bool is_prelu = normed.activation.kind == Activation::PRELU;
        return {gradient + map * maps.plane, inside ? inside + map * mask_words(maps) : nullptr,
                _mm512_set1_ps(is_prelu ? normed.activation.beta[channel] : 0.f)};
    }

    // The gradient of y
    OutputGradient of_output(int64_t image, int64_t channel) const {
        return {inner(image, channel), normed.y + normed.place(image, channel),
                _mm512_set1_ps(of_inner[channel]), _mm512_set1_ps(of_y[channel]),
                _mm512_set1_ps(constant[channel]), _mm512_set1_ps(normed.norm.mean[channel])};
    }

  private:
    struct Sums {  // of a map; see ParameterGradients::write
        float sum = 0.f, along = 0.f, bent = 0.f, outer = 0.f;
    };
    const float *gradient;
    const uint16_t *inside;
    const NormedMaps<int16_t> &normed;
    const Maps &maps;
    std::vector<float> of_inner, of_y, constant;

    Sums sums_of_map(int64_t image, int64_t channel) const {
        const InnerGradient of_map = inner(image, channel);
        const int16_t *values = normed.y + normed.place(image, channel);
        const __m512 mean = _mm512_set1_ps(normed.norm.mean[channel]);
        __m512 sum = _mm512_setzero_ps(), along = sum;
        in_sixteens(maps.plane, [&](int64_t i, __mmask16 kept) {
            const __m512 part = of_map.at(i, kept);
            sum = _mm512_add_ps(sum, part);
            along = _mm512_fmadd_ps(part, _mm512_sub_ps(floats(values + i, kept), mean), along);
        });
        Sums sums{_mm512_reduce_add_ps(sum), _mm512_reduce_add_ps(along)};
        if (normed.activation.kind == Activation::PRELU) add_prelu(image, channel, of_map, sums);
        return sums;
    }

    void add_prelu(int64_t image, int64_t channel, const InnerGradient &of_map, Sums &sums) const {
        const BeforeActivation before(normed, image, channel);
        const __m512 gamma = _mm512_set1_ps(normed.activation.prelu(channel).gamma);
        __m512 bent = _mm512_setzero_ps(), outer = bent;
        in_sixteens(maps.plane, [&](int64_t i, __mmask16 kept) {
            const __m512 part = _mm512_maskz_loadu_ps(kept, of_map.gradient + i);
            const __m512 shifted = _mm512_sub_ps(before.at(i, kept), gamma);
            outer = _mm512_add_ps(outer, part);
            bent = _mm512_mask3_fmadd_ps(part, shifted, bent, kept & ~of_map.inside[i / 16]);
        });
        sums.bent = _mm512_reduce_add_ps(bent);
        sums.outer = _mm512_reduce_add_ps(outer);
    }
};

}  // namespace ir2::bfloat16
