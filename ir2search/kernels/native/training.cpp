// The training step of a binary network on a CPU: convolutions of signs, and the operations between
// them.
//
// Feature maps are (N, C, H, W) float, contiguous. A convolution has k x k taps, a stride and a
// padding with zeros, both equal for rows and columns. Sums of signs are exact.
//
// On a processor with AVX-512, its BF16 and its VPOPCNTDQ, signs are convolved as bits, and
// gradients are rounded to bfloat16; elsewhere, or with IR2_FLOAT32, all is in float32.
//
// No sum depends on the number of threads.

#include "norm.h"
#include "pooling.h"
#include "slope.h"

#if defined(__AVX512BF16__) && defined(__AVX512VPOPCNTDQ__) && defined(__AVX512BW__) && \
    defined(__AVX512VL__) && defined(__GFNI__) && defined(__BMI2__) && !defined(IR2_FLOAT32)
#include "bfloat16_kernels.h"
#define IR2_ARITHMETIC 1
namespace arithmetic = ir2::bfloat16;
#else
#include "float32_kernels.h"
#define IR2_ARITHMETIC 0
namespace arithmetic = ir2::float32;
#endif

#ifdef __GLIBC__
#include <malloc.h>
#include <sys/mman.h>
#endif

using namespace ir2;

namespace {

Shape shape_of(const int64_t *numbers) {
    Shape shape;
    std::memcpy(&shape, numbers, sizeof shape);
    return shape;
}

// `moments` are mean, inverse standard deviation and variance of the batch, (3, channels)
Norm norm_of(const float *weight, const float *bias, float *moments, int64_t channels,
             float epsilon) {
    return {weight, bias, moments, moments + channels, moments + 2 * channels, epsilon};
}

Maps output_maps(const Shape &shape) {
    return {shape.images, shape.outputs, shape.rows() * shape.columns()};
}

// Call step(pooling, start of a map, start of its averages, memory for a line) for each map. The
// shape is that of ir2_pool.
template <class Step>
void pool_maps(const int64_t *shape, int64_t first, Threads threads, const Step &step) {
    const Pooling pooling(shape[2], shape[3], shape[5], shape[6]);
    const int64_t channels = shape[1], map = shape[2] * shape[3], cells = shape[5] * shape[6];
#pragma omp parallel for num_threads(threads.over(shape[0] * channels * map)) schedule(static)
    for (int64_t image = 0; image < shape[0]; ++image) {
        std::vector<float> line(shape[3]);
        for (int64_t c = 0; c < channels; ++c)
            step(pooling, (image * channels + c) * map, (image * shape[4] + first + c) * cells,
                 line.data());
    }
}

}  // namespace

// Shapes of convolutions are (images, inputs, height, width, outputs, size, stride, padding).
// `latent` are the latent weights of a convolution, of which it takes the signs. `thresholds` are
// subtracted from its inputs before their signs; null for 0.
extern "C" {

// 1 if gradients are rounded to bfloat16, 0 if all is in float32
int ir2_arithmetic() { return IR2_ARITHMETIC; }

// Keep freed memory in the process: every layer allocates and frees feature maps, and page faults
// for new memory took a tenth of a training step. Large pages double the speed of reading them.
void ir2_keep_memory() {
#ifdef __GLIBC__
    mallopt(M_MMAP_THRESHOLD, 1 << 30);
    mallopt(M_TRIM_THRESHOLD, (1u << 31) - 1);
#ifdef MADV_HUGEPAGE
    const size_t page = 1 << 21, reserved = size_t(1) << 29;  // no memory is used before a write
    if (void *heap = std::malloc(reserved)) {
        const uintptr_t start = (reinterpret_cast<uintptr_t>(heap) + page - 1) / page * page;
        madvise(reinterpret_cast<void *>(start), reserved - page, MADV_HUGEPAGE);
        std::free(heap);
    }
#endif
#endif
}

// The number of 16-bit words for the packed signs of latent weights, and for those of the input; 0
// if the arithmetic does not pack them
int64_t ir2_packed_words(const int64_t *shape) { return arithmetic::packed_words(shape_of(shape)); }
int64_t ir2_bit_words(const int64_t *shape) { return arithmetic::bit_words(shape_of(shape)); }

void ir2_pack(const float *latent, uint16_t *packed, const int64_t *shape, int threads) {
    arithmetic::pack(latent, packed, shape_of(shape), {threads});
}

// `bits` gets the signs of x, which the backward pass takes.
void ir2_convolve(const float *x, const float *latent, const float *thresholds,
                  const uint16_t *packed, uint16_t *bits, float *y, const int64_t *shape,
                  int threads) {
    arithmetic::convolve({x, latent, thresholds, packed, bits, shape_of(shape)}, y, {threads});
}

// Pass null for gradients that are not needed.
void ir2_convolve_backward(const float *gradient, const float *x, const float *latent,
                           const float *thresholds, const uint16_t *packed, uint16_t *bits,
                           float *x_gradient, float *latent_gradient, float *threshold_gradient,
                           const int64_t *shape, int estimator, int latent_estimator,
                           float sharpness, int threads) {
    const Gradients gradients{x_gradient, latent_gradient, threshold_gradient,
                              {estimator, sharpness}, {latent_estimator, sharpness}};
    arithmetic::convolve_backward(
        gradient, {x, latent, thresholds, packed, bits, shape_of(shape)}, gradients, {threads});
}

void ir2_norm(const float *y, const float *shortcut, const float *weight, const float *bias,
              int kind, const float *gamma, const float *beta, const float *zeta, float *moments,
              float *out, float *mean, float *variance, int64_t *batches, float momentum,
              int64_t images, int64_t channels, int64_t plane, float epsilon, int threads) {
    const NormedMaps<float> normed{y,
                                   {shortcut, nullptr},
                                   norm_of(weight, bias, moments, channels, epsilon),
                                   {kind, gamma, beta, zeta},
                                   {images, channels, plane}};
    norm_forward(normed, out, {threads});
    Running{mean, variance, batches, momentum}.update(normed.norm, normed.maps);
}

// `inner` is the gradient of the shortcut, or null if it is not needed.
void ir2_norm_backward(const float *gradient, const float *y, const float *shortcut,
                       const float *weight, const float *bias, int kind, const float *gamma,
                       const float *beta, const float *zeta, float *moments, float *inner,
                       float *y_gradient, float *weight_gradient, float *bias_gradient,
                       float *gamma_gradient, float *beta_gradient, float *zeta_gradient,
                       int64_t images, int64_t channels, int64_t plane, int threads) {
    const NormedMaps<float> normed{y,
                                   {shortcut, nullptr},
                                   norm_of(weight, bias, moments, channels, 0.f),
                                   {kind, gamma, beta, zeta},
                                   {images, channels, plane}};
    NormBackward<float> backward(gradient, normed);
    backward.find_sums(
        {weight_gradient, bias_gradient, gamma_gradient, beta_gradient, zeta_gradient}, {threads});
#pragma omp parallel for num_threads(Threads{threads}.over(normed.maps.values())) schedule(static)
    for (int64_t image = 0; image < images; ++image) {
        if (inner) backward.inner(image, inner + image * channels * plane);
        backward.write(image, y_gradient + image * channels * plane);
    }
}

// Average maps x (images, channels, height, width) over cells, to the channels from `first` on of
// `to`. Shapes are (images, channels, height, width, all channels of `to`, rows, columns).
void ir2_pool(const float *x, float *to, const int64_t *shape, int64_t first, int threads) {
    pool_maps(shape, first, {threads},
              [&](const Pooling &pooling, int64_t map, int64_t averages, float *line) {
                  pooling.average(x + map, to + averages, line);
              });
}

void ir2_pool_backward(const float *gradient, float *x_gradient, const int64_t *shape,
                       int64_t first, int threads) {
    pool_maps(shape, first, {threads},
              [&](const Pooling &pooling, int64_t map, int64_t averages, float *line) {
                  pooling.spread(gradient + averages, x_gradient + map, line);
              });
}

// A convolution of signs, a BatchNorm, a shortcut and an activation. y is the convolution's output.
// With `residual`, x is also the shortcut, see Shortcut. With bfloat16, `inside` gets the outputs
// where the activation's slope is 1, see mask_words; null if there is no activation.
void ir2_unit(const float *x, const float *latent, const float *thresholds,
              const uint16_t *packed, uint16_t *bits, const float *shortcut, const float *weight,
              const float *bias, int kind, const float *gamma, const float *beta,
              const float *zeta, int16_t *y, float *moments, float *out, uint16_t *inside,
              float *mean, float *variance, int64_t *batches, float momentum,
              const int64_t *numbers, float epsilon, int residual, int threads) {
    const Shape shape = shape_of(numbers);
    const NormedMaps<int16_t> normed{y,
                                     {residual ? x : shortcut, residual ? &shape : nullptr},
                                     norm_of(weight, bias, moments, shape.outputs, epsilon),
                                     {kind, gamma, beta, zeta},
                                     output_maps(shape)};
    arithmetic::unit({x, latent, thresholds, packed, bits, shape}, normed, y, out, inside,
                     {threads});
    Running{mean, variance, batches, momentum}.update(normed.norm, normed.maps);
}

// With `residual`, x is also the shortcut, and its gradient includes that of the shortcut. Without,
// `inner` is the gradient of the shortcut. Pass null for gradients that are not needed.
void ir2_unit_backward(const float *gradient, const uint16_t *inside, const int16_t *y,
                       const float *x, const float *latent, const float *thresholds,
                       const uint16_t *packed, uint16_t *bits, const float *shortcut,
                       const float *weight, const float *bias, int kind,
                       const float *gamma, const float *beta, const float *zeta, float *moments,
                       float *inner, float *x_gradient, float *latent_gradient,
                       float *threshold_gradient, float *weight_gradient, float *bias_gradient,
                       float *gamma_gradient, float *beta_gradient, float *zeta_gradient,
                       const int64_t *numbers, int residual, int estimator, int latent_estimator,
                       float sharpness, int threads) {
    const Shape shape = shape_of(numbers);
    const NormedMaps<int16_t> normed{y,
                                     {residual ? x : shortcut, residual ? &shape : nullptr},
                                     norm_of(weight, bias, moments, shape.outputs, 0.f),
                                     {kind, gamma, beta, zeta},
                                     output_maps(shape)};
    const Gradients gradients{x_gradient, latent_gradient, threshold_gradient,
                              {estimator, sharpness}, {latent_estimator, sharpness}};
    const ParameterGradients parameters{weight_gradient, bias_gradient, gamma_gradient,
                                        beta_gradient, zeta_gradient};
    arithmetic::unit_backward(gradient, inside, {x, latent, thresholds, packed, bits, shape},
                              normed, inner, gradients, parameters, {threads});
}
}
