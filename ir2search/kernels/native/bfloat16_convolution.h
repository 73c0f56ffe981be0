// The backward pass of a convolution of signs, with the gradient rounded to bfloat16.

#pragma once

#include "bfloat16_input.h"
#include "bfloat16_weights.h"
#include "outside.h"
#include "slope.h"

namespace ir2::bfloat16 {

constexpr int64_t IN_MEMORY = 1 << 23;  // bytes of separate sums of the gradient of the weights

// Write the gradient of the latent weights: the sums of all splits through the sign's slope;
// outside: (splits, outputs, taps)
inline void collect(const float *sums, const double *outside, int64_t splits,
                    const WeightGradient &of_weights, const SignConvolution &convolution,
                    const Gradients &gradients, Threads threads) {
    const Shape &shape = convolution.shape;
    const int64_t taps = shape.taps(), row = shape.inputs * taps;
#pragma omp parallel for num_threads(threads.over(splits * of_weights.sums())) schedule(static)
    for (int64_t first = 0; first < shape.outputs; first += WeightGradient::OUTPUTS) {
        const int64_t outputs = std::min(WeightGradient::OUTPUTS, shape.outputs - first);
        std::vector<float> padding(outputs * taps);
        for (int64_t i = 0; i < outputs * taps; ++i) {
            double sum = 0;
            for (int64_t split = 0; split < splits; ++split)
                sum += outside[(split * shape.outputs + first) * taps + i];
            padding[i] = float(sum);
        }
        float *to = gradients.latent + first * row;
        of_weights.read(sums, splits, first, outputs, padding.data(), to);
        gradients.of_latent.apply(convolution.latent + first * row, 0.f, to, nullptr, to,
                                  outputs * row, 1, nullptr);
    }
}

// The gradient of an image in both forms
struct ImageGradient {
    const PairedMaps &paired;
    const Fours &fours;
    uint32_t *pairs;
    uint16_t *values;  // (outputs, fours), 0 where a row has no value

    // value(output) has the gradient of an output: at(i, mask) are 16 positions
    template <typename Value> void take(Value value, int64_t outputs, int64_t positions) const {
        const int64_t last = outputs - 1;
        for (int64_t pair = 0; pair < paired.pairs; ++pair) {
            const int64_t first = 2 * pair, second = first + 1;
            uint32_t *to = pairs + pair * paired.line;
            if (first > last) {
                std::fill(to, to + paired.line, 0u);
                continue;
            }
            take_pair(value(first), value(std::min(second, last)), second <= last ? 0xffff : 0, to,
                      values + first * fours.values(), values + second * fours.values(), positions);
        }
    }

  private:
    template <typename Map>
    void take_pair(const Map first, const Map second, __mmask16 has_second, uint32_t *to,
                   uint16_t *own, uint16_t *other, int64_t positions) const {
        alignas(64) uint16_t near[32];
        for (int i = 0; i < 32; ++i) near[i] = uint16_t(i / 2 + i % 2 * 16);
        const __m512i order = _mm512_load_si512(near);
        const bool is_flat = fours.columns % 4 == 0;
        in_sixteens(positions, [=, fours = fours](int64_t p, __mmask16 kept) {
            const __m512 a = _mm512_maskz_mov_ps(kept, first.at(p, kept));
            const __m512 b = _mm512_maskz_mov_ps(has_second & kept, second.at(p, kept));
            const __m512i both = (__m512i)_mm512_cvtne2ps_pbh(b, a);
            _mm512_storeu_si512(to + p, _mm512_permutexvar_epi16(order, both));
            const __m256i low = _mm512_castsi512_si256(both);
            const __m256i high = _mm512_extracti64x4_epi64(both, 1);
            if (is_flat) {
                _mm256_mask_storeu_epi16(own + p, kept, low);
                _mm256_mask_storeu_epi16(other + p, has_second & kept, high);
            } else {
                fours.put(own, p, low);
                if (has_second) fours.put(other, p, high);
            }
        });
    }
};

// out = slope(x - threshold) * gradient + added, for the maps (inputs, plane) of an image;
// sums: of slope(x - threshold) * gradient for each input
template <typename Added>
void through_sign(const SignConvolution &convolution, int64_t image, const float *gradient,
                  Added added, float *out, double *sums, const Slope &slope) {
    const int64_t channels = convolution.shape.inputs;
    const int64_t plane = convolution.shape.height * convolution.shape.width;
    const float *x = convolution.x + image * channels * plane;
    const __m512 one = _mm512_set1_ps(1.f), two = _mm512_set1_ps(2.f);
    auto polynomial = [=](__m512 values) {
        const __m512 found = _mm512_fnmadd_ps(two, _mm512_abs_ps(values), two);
        return _mm512_max_ps(_mm512_setzero_ps(), found);
    };
    auto straight_through = [=](__m512 values) {
        return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(_mm512_abs_ps(values), one, _CMP_LE_OQ), one);
    };
    auto any = [=](__m512 values) {
        alignas(64) float each[16], slopes[16], ones[16];
        _mm512_store_ps(each, values);
        _mm512_store_ps(ones, one);
        slope.apply(each, 0.f, ones, nullptr, slopes, 16, 1, nullptr);
        return _mm512_load_ps(slopes);
    };
    auto apply = [&](auto of) {
        for (int64_t c = 0; c < channels; ++c) {
            const auto more = added(c);
            const float *from = x + c * plane, *parts = gradient + c * plane;
            float *to = out + c * plane;
            const __m512 threshold = _mm512_set1_ps(convolution.threshold(c));
            __m512 sum = _mm512_setzero_ps();
            in_sixteens(plane, [&](int64_t i, __mmask16 kept) {
                const __m512 values = _mm512_maskz_loadu_ps(kept, from + i);
                const __m512 slopes = of(_mm512_sub_ps(values, threshold));
                const __m512 part = _mm512_maskz_loadu_ps(kept, parts + i);
                sum = _mm512_fmadd_ps(slopes, part, sum);
                _mm512_mask_storeu_ps(to + i, kept,
                                      _mm512_fmadd_ps(slopes, part, more.at(i, kept)));
            });
            sums[c] = _mm512_reduce_add_ps(sum);
        }
    };
    if (slope.estimator == POLYNOMIAL)
        apply(polynomial);
    else if (slope.estimator == STRAIGHT_THROUGH)
        apply(straight_through);
    else
        apply(any);
}

// The gradients of a convolution. value(image, output) has the gradient of an output's map, and
// added(image, input) a gradient to add to that of an input: at(i, mask) are the values at 16
// positions. The images are divided into splits, whose number does not depend on the number of
// threads.
template <typename Value, typename Added>
void convolution_backward(Value value, Added added, const SignConvolution &convolution,
                          const Gradients &gradients, Threads threads) {
    const Shape &shape = convolution.shape;
    const int64_t positions = shape.rows() * shape.columns(), plane = shape.height * shape.width;
    const SignMaps maps(shape);
    const Fours fours(shape);
    const PairedMaps paired(shape.outputs, positions);
    const Outside outside(shape, 4 * fours.a_row, fours.values());
    const InputGradient of_input(SignWeights(convolution.packed, shape), shape);
    const WeightGradient of_weights(shape);
    int64_t splits = std::clamp<int64_t>(shape.images / of_weights.images(), 4, 16);
    while (splits > 2 && splits * of_weights.sums() * 4 > IN_MEMORY) splits /= 2;
    splits = std::min(splits, shape.images);
    thread_local std::vector<float> sum_memory;
    float *sums = gradients.latent ? aligned(sum_memory, splits * of_weights.sums()) : nullptr;
    std::vector<double> of_x(shape.images * shape.inputs);
    std::vector<double> padding(splits * shape.outputs * shape.taps(), 0.0);
#pragma omp parallel for num_threads(threads.over(shape.products() / 8)) schedule(static)
    for (int64_t split = 0; split < splits; ++split) {
        thread_local std::vector<uint32_t> pairs;
        thread_local std::vector<uint16_t> values;
        thread_local std::vector<float> result, border;
        const int64_t begin = shape.images * split / splits;
        const int64_t end = shape.images * (split + 1) / splits;
        const int64_t most = std::min(of_weights.images(), end - begin);
        const int64_t size = shape.outputs * fours.values();
        pairs.resize(paired.count());
        values.assign(most * size, 0);
        result.resize(shape.inputs * plane + 16);
        border.assign(outside.values(), 0.f);
        float *own = sums + split * of_weights.sums();
        for (int64_t first = begin; first < end; first += most) {
            const int64_t count = std::min(most, end - first);
            for (int64_t i = 0; i < count; ++i) {
                const int64_t image = first + i;
                const ImageGradient gradient{paired, fours, pairs.data(), values.data() + i * size};
                auto of_image = [&](int64_t output) { return value(image, output); };
                gradient.take(of_image, shape.outputs, positions);
                if (gradients.latent)
                    add_numbers(gradient.values, outside.values(), border.data());
                if (!gradients.x) continue;
                of_input.run(pairs.data(), result.data());
                auto more = [&](int64_t input) { return added(image, input); };
                through_sign(convolution, image, result.data(), more,
                             gradients.x + image * shape.inputs * plane,
                             of_x.data() + image * shape.inputs, gradients.of_x);
            }
            if (gradients.latent)
                of_weights.add(values.data(), convolution.bits + first * maps.words(), count,
                               first == begin, own);
        }
        outside.find(border.data(), padding.data() + split * shape.outputs * shape.taps());
    }
    if (gradients.latent)
        collect(sums, padding.data(), splits, of_weights, convolution, gradients, threads);
    gradients.set_thresholds(of_x, shape);
}

}  // namespace ir2::bfloat16
