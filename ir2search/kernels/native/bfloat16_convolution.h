// The backward pass of a convolution of signs, with the gradient rounded to bfloat16.

#pragma once

#include "bfloat16_input.h"
#include "bfloat16_weights.h"

namespace ir2::bfloat16 {

constexpr int64_t IN_MEMORY = 1 << 23;  // bytes of separate sums of the gradient of the weights
constexpr int64_t RANGE = 16;           // eights of outputs that one thread sums at a time

// How the gradient of the weights is divided; it does not depend on the number of threads.
struct Division {
    int64_t splits, ranges, eights;  // of the images; of the outputs; outputs / 8

    Division(const Shape &shape, int64_t weights)
        : splits(16), eights(ceil_div(shape.outputs, WeightGradient::OUTPUTS)) {
        ranges = ceil_div(eights, RANGE);
        while (splits > 1 && splits * weights * 4 > IN_MEMORY) splits /= 2;
        splits = std::min(splits, shape.images);
    }
    int64_t first(int64_t range) const { return eights * range / ranges; }
};

// signs_gradient = sum over images; outside: (images, outputs, taps)
inline void weight_gradient(const uint16_t *gradients, const uint16_t *words, const float *outside,
                            float *signs_gradient, const Shape &shape, int threads) {
    const WeightGradient gradient(shape);
    const SignMaps maps(shape);
    const Fours fours(shape);
    const int64_t each = gradient.sums_of_outputs(), taps = shape.taps();
    const Division division(shape, ceil_div(shape.outputs, 8) * each);
    thread_local std::vector<float> memory;
    float *sums = aligned(memory, division.splits * division.eights * each);
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t part = 0; part < division.splits * division.ranges; ++part) {
        const int64_t split = part / division.ranges, range = part % division.ranges;
        const int64_t begin = shape.images * split / division.splits;
        const int64_t end = shape.images * (split + 1) / division.splits;
        const int64_t first = division.first(range), last = division.first(range + 1);
        float *own = sums + (split * division.eights + first) * each;
        std::fill(own, own + (last - first) * each, 0.f);
        gradient.add(gradients + begin * shape.outputs * fours.values(),
                     words + begin * maps.words(), end - begin, first, last, own);
    }
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t output = 0; output < shape.outputs; ++output) {
        double padding[64];
        for (int64_t start = 0; start < taps; start += 64) {
            const int64_t count = std::min<int64_t>(64, taps - start);
            std::fill(padding, padding + count, 0.0);
            for (int64_t image = 0; image < shape.images; ++image)
                for (int64_t tap = 0; tap < count; ++tap)
                    padding[tap] += outside[(image * shape.outputs + output) * taps + start + tap];
            for (int64_t block = 0; block < maps.blocks; ++block)
                for (int64_t tap = 0; tap < count; ++tap) {
                    const float *from = sums + output / 8 * each +
                                        ((block * taps + start + tap) * 8 + output % 8) * 16;
                    __m512 sum = _mm512_set1_ps(float(padding[tap]));
                    for (int64_t split = 0; split < division.splits; ++split)
                        sum = _mm512_add_ps(
                            sum, _mm512_load_ps(from + split * division.eights * each));
                    alignas(64) float values[16];
                    _mm512_store_ps(values, sum);
                    const int64_t inputs = std::min<int64_t>(16, shape.inputs - 16 * block);
                    float *to = signs_gradient +
                                (output * shape.inputs + 16 * block) * taps + start + tap;
                    for (int64_t i = 0; i < inputs; ++i) to[i * taps] = values[i];
                }
        }
    }
}

// The gradients of the convolution's input and weights; null for a gradient that is not needed.
// source(image, to) writes the gradient of the output of an image. added(image, to) returns a map
// to add to the gradient of its input, or null.
template <typename Source, typename Added>
void convolution_backward(Source source, Added added, const float *signs, const float *x,
                          float *x_gradient, float *signs_gradient, const Shape &shape,
                          const Slope &slope, int threads) {
    const SignMaps maps(shape);
    const Fours fours(shape);
    const Outside outside(shape);
    const InputGradient of_input(signs, shape, slope);
    const int64_t positions = shape.rows() * shape.columns();
    const int64_t in_size = shape.inputs * shape.height * shape.width;
    thread_local std::vector<uint16_t> gradient_memory, word_memory;
    thread_local std::vector<float> outside_memory;
    if (signs_gradient) {
        gradient_memory.resize(shape.images * shape.outputs * fours.values());
        word_memory.resize(shape.images * maps.words() + maps.slack());
        outside_memory.resize(shape.images * shape.outputs * shape.taps());
    }
    uint16_t *gradients = gradient_memory.data(), *words = word_memory.data();
    float *padding = outside_memory.data();
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t image = 0; image < shape.images; ++image) {
        thread_local std::vector<float> near, more;
        near.resize(shape.outputs * positions);
        more.resize(in_size);
        source(image, near.data());
        if (signs_gradient) {
            for (int64_t output = 0; output < shape.outputs; ++output)
                fours.take(near.data() + output * positions,
                           gradients + (image * shape.outputs + output) * fours.values());
            maps.take(x + image * in_size, words + image * maps.words());
            outside.find(near.data(), padding + image * shape.outputs * shape.taps());
        }
        if (x_gradient)
            of_input.run(near.data(), x + image * in_size, added(image, more.data()),
                         x_gradient + image * in_size);
    }
    if (signs_gradient)
        weight_gradient(gradients, words, padding, signs_gradient, shape, threads);
}

}  // namespace ir2::bfloat16
