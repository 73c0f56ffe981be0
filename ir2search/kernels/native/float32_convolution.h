// The backward pass of a convolution of signs, in float32.

#pragma once

#include "float32_sums.h"
#include "float32_weights.h"

namespace ir2::float32 {

constexpr int64_t IN_CACHE = 1 << 18;  // bytes of gradients that are processed at a time
constexpr int64_t IN_MEMORY = 1 << 25;  // bytes of separate sums of the gradient of the weights

// Write the gradient of the latent weights: the sums of all splits through the sign's slope
inline void collect(const std::vector<WeightGradient> &splits, const SignConvolution &convolution,
                    const Gradients &gradients, Threads threads) {
    const Shape &shape = convolution.shape;
    const int64_t taps = shape.taps(), row = shape.inputs * taps, width = splits[0].width;
    const int most = threads.over(int64_t(splits.size()) * shape.weights());
#pragma omp parallel for num_threads(most) schedule(static)
    for (int64_t item = 0; item < splits[0].across * shape.inputs; ++item) {
        const int64_t part = item / shape.inputs, input = item % shape.inputs;
        std::vector<double> sums(taps * width, 0.0);
        for (const WeightGradient &split : splits) split.add_sums_to(part, input, sums.data());
        for (int64_t i = 0; i < std::min(width, shape.outputs - part * width); ++i) {
            float *to = gradients.latent + (part * width + i) * row + input * taps;
            for (int64_t tap = 0; tap < taps; ++tap) to[tap] = float(sums[tap * width + i]);
        }
    }
#pragma omp parallel for num_threads(most) schedule(static)
    for (int64_t output = 0; output < shape.outputs; ++output) {
        float *of_output = gradients.latent + output * row;
        gradients.of_latent.apply(convolution.latent + output * row, 0.f, of_output, nullptr,
                                  of_output, row, 1, nullptr);
    }
}

// The gradients of a convolution. source(image, to) writes the gradient of the output of an image.
// added(image, to) returns a map to add to the gradient of its input, or null. The images are
// divided into splits, whose number does not depend on the number of threads. The sums of the
// splits are added at the end.
template <typename Source, typename Added>
void convolution_backward(Source source, Added added, const SignConvolution &convolution,
                          const Gradients &gradients, Threads threads) {
    const Shape &shape = convolution.shape;
    const int64_t per_image = shape.outputs * shape.rows() * shape.columns();
    const int64_t in_size = shape.inputs * shape.height * shape.width;
    const int64_t most = std::max<int64_t>(1, IN_CACHE / (4 * per_image));
    int64_t splits = 16;
    while (splits > 2 && splits * shape.weights() * 4 > IN_MEMORY) splits /= 2;
    splits = std::min(splits, shape.images);
    const InputGradient of_input(convolution, gradients.of_x);
    std::vector<double> sums(gradients.thresholds ? shape.images * shape.inputs : 0, 0.0);
    std::vector<WeightGradient> of_weights;
    of_weights.reserve(splits);  // they must not move: they point to their own memory
    for (int64_t split = 0; split < splits; ++split) of_weights.emplace_back(shape);
#pragma omp parallel for num_threads(threads.over(shape.products() / 4)) schedule(static)
    for (int64_t split = 0; split < splits; ++split) {
        thread_local std::vector<float> values, more;
        const int64_t begin = shape.images * split / splits;
        const int64_t end = shape.images * (split + 1) / splits;
        std::vector<Bits> bits(std::min(most, end - begin), Bits(shape));
        values.resize(bits.size() * per_image);
        more.resize(in_size);
        for (int64_t first = begin; first < end; first += most) {
            const int64_t count = std::min(most, end - first);
            for (int64_t i = 0; i < count; ++i) {
                source(first + i, values.data() + i * per_image);
                if (gradients.latent) bits[i].take(convolution, first + i);
            }
            if (gradients.latent) of_weights[split].add(values.data(), bits, count);
            for (int64_t i = 0; gradients.x && i < count; ++i)
                of_input.run(first + i, values.data() + i * per_image,
                             added(first + i, more.data()), gradients.x + (first + i) * in_size,
                             gradients.thresholds ? sums.data() + (first + i) * shape.inputs
                                                  : nullptr);
        }
        of_weights[split].finish();
    }
    if (gradients.latent) collect(of_weights, convolution, gradients, threads);
    gradients.set_thresholds(sums, shape);
}

}  // namespace ir2::float32
