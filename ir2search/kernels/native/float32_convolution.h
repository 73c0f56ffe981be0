// The backward pass of a convolution of signs, in float32.

#pragma once

#include "float32_sums.h"
#include "float32_weights.h"

namespace ir2::float32 {

constexpr int64_t IN_CACHE = 1 << 18;  // bytes of gradients that are processed at a time
constexpr int64_t IN_MEMORY = 1 << 25;  // bytes of separate sums of the gradient of the weights

// The gradients of the convolution's input and weights; null for a gradient that is not needed.
// source(image, to) writes the gradient of the output of an image. added(image, to) returns a map
// to add to the gradient of its input, or null. The images are divided into splits, whose number
// does not depend on the number of threads. The sums of the splits are added at the end.
template <typename Source, typename Added>
void convolution_backward(Source source, Added added, const float *signs, const float *x,
                          float *x_gradient, float *signs_gradient, const Shape &shape,
                          const Slope &slope, int threads) {
    const int64_t weights = shape.outputs * shape.inputs * shape.taps();
    const int64_t per_image = shape.outputs * shape.rows() * shape.columns();
    const int64_t in_size = shape.inputs * shape.height * shape.width;
    const int64_t most = std::max<int64_t>(1, IN_CACHE / (4 * per_image));
    int64_t splits = 16;
    while (splits > 2 && splits * weights * 4 > IN_MEMORY) splits /= 2;
    splits = std::min(splits, shape.images);
    const InputGradient of_input(signs, shape, slope);
    std::vector<WeightGradient> of_weights;
    of_weights.reserve(splits);  // they must not move: they point to their own memory
    for (int64_t split = 0; split < splits; ++split) of_weights.emplace_back(shape);
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t split = 0; split < splits; ++split) {
        thread_local std::vector<float> gradients, more;
        const int64_t begin = shape.images * split / splits;
        const int64_t end = shape.images * (split + 1) / splits;
        std::vector<Bits> bits(std::min(most, end - begin), Bits(shape));
        gradients.resize(bits.size() * per_image);
        more.resize(in_size);
        for (int64_t first = begin; first < end; first += most) {
            const int64_t count = std::min(most, end - first);
            for (int64_t i = 0; i < count; ++i) {
                source(first + i, gradients.data() + i * per_image);
                if (signs_gradient) bits[i].take(x + (first + i) * in_size);
            }
            if (signs_gradient) of_weights[split].add(gradients.data(), bits, count);
            for (int64_t i = 0; x_gradient && i < count; ++i)
                of_input.run(gradients.data() + i * per_image, x + (first + i) * in_size,
                             added(first + i, more.data()), x_gradient + (first + i) * in_size);
        }
    }
    if (!signs_gradient) return;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t output = 0; output < shape.outputs; ++output)
        for (int64_t input = 0; input < shape.inputs; ++input)
            for (int64_t tap = 0; tap < shape.taps(); ++tap) {
                double sum = 0;
                for (auto &part : of_weights) sum += part.at(output, input, tap);
                signs_gradient[(output * shape.inputs + input) * shape.taps() + tap] = float(sum);
            }
}

}  // namespace ir2::float32
