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

#include "common.h"
#include "norm.h"
#include "slope.h"

#if defined(__AVX512BF16__) && defined(__AVX512VPOPCNTDQ__) && defined(__AVX512BW__) && \
    defined(__AVX512VL__) && !defined(IR2_FLOAT32)
#include "bfloat16_convolution.h"
using ir2::bfloat16::convolution_backward;
using ir2::bfloat16::convolve;
#define IR2_ARITHMETIC 1
#else
#include "float32_convolution.h"
using ir2::float32::convolution_backward;
using ir2::float32::convolve;
#define IR2_ARITHMETIC 0
#endif

#ifdef __GLIBC__
#include <malloc.h>
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

}  // namespace

// Shapes of convolutions are (images, inputs, height, width, outputs, size, stride, padding).
extern "C" {

// 1 if gradients are rounded to bfloat16, 0 if all is in float32
int ir2_arithmetic() { return IR2_ARITHMETIC; }

// Keep freed memory in the process: every layer allocates and frees feature maps, and page faults
// for new memory took a tenth of a training step.
void ir2_keep_memory() {
#ifdef __GLIBC__
    mallopt(M_MMAP_THRESHOLD, 1 << 30);
    mallopt(M_TRIM_THRESHOLD, (1u << 31) - 1);
#endif
}

void ir2_convolve(const float *x, const float *signs, float *y, const int64_t *shape,
                  int threads) {
    convolve(x, signs, y, shape_of(shape), threads);
}

// Pass null for gradients that are not needed.
void ir2_convolve_backward(const float *gradient, const float *signs, const float *x,
                           float *x_gradient, float *signs_gradient, const int64_t *numbers,
                           int estimator, float sharpness, int threads) {
    Shape shape = shape_of(numbers);
    const int64_t count = shape.outputs * shape.rows() * shape.columns();
    auto source = [&](int64_t image, float *to) {
        std::copy(gradient + image * count, gradient + (image + 1) * count, to);
    };
    auto added = [](int64_t, float *) -> const float * { return nullptr; };
    convolution_backward(source, added, signs, x, x_gradient, signs_gradient, shape,
                         {estimator, sharpness}, threads);
}

void ir2_norm(const float *y, const float *shortcut, const float *weight, const float *bias,
              float *moments, float *out, int64_t images, int64_t channels, int64_t plane,
              float epsilon, int clip, int threads) {
    norm_forward(y, shortcut, norm_of(weight, bias, moments, channels, epsilon), out,
                 {images, channels, plane}, clip, threads);
}

// `inner` is the gradient of the shortcut, or null if it is not needed.
void ir2_norm_backward(const float *gradient, const float *out, const float *y,
                       const float *weight, float *moments, float *inner, float *y_gradient,
                       float *weight_gradient, float *bias_gradient, int64_t images,
                       int64_t channels, int64_t plane, int clip, int threads) {
    Norm norm = norm_of(weight, nullptr, moments, channels, 0.f);
    Maps maps{images, channels, plane};
    NormBackward<float> backward(gradient, out, y, norm, maps, clip);
    backward.find_sums(weight_gradient, bias_gradient, threads);
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t image = 0; image < images; ++image) {
        if (inner) backward.inner(image, inner + image * channels * plane);
        backward.write(image, y_gradient + image * channels * plane);
    }
}

// A convolution of signs, a BatchNorm, a shortcut and a clipping. y is the convolution's output.
void ir2_unit(const float *x, const float *signs, const float *shortcut, const float *weight,
              const float *bias, int16_t *y, float *moments, float *out, const int64_t *numbers,
              float epsilon, int clip, int threads) {
    Shape shape = shape_of(numbers);
    convolve(x, signs, y, shape, threads);
    norm_forward(y, shortcut, norm_of(weight, bias, moments, shape.outputs, epsilon), out,
                 {shape.images, shape.outputs, shape.rows() * shape.columns()}, clip, threads);
}

// With `residual`, x is also the shortcut, and its gradient includes that of the shortcut. Without,
// `inner` is the gradient of the shortcut. Pass null for gradients that are not needed.
void ir2_unit_backward(const float *gradient, const float *out, const int16_t *y, const float *x,
                       const float *signs, const float *weight, float *moments, float *inner,
                       float *x_gradient, float *signs_gradient, float *weight_gradient,
                       float *bias_gradient, const int64_t *numbers, int clip, int residual,
                       int estimator, float sharpness, int threads) {
    Shape shape = shape_of(numbers);
    Norm norm = norm_of(weight, nullptr, moments, shape.outputs, 0.f);
    Maps maps{shape.images, shape.outputs, shape.rows() * shape.columns()};
    NormBackward<int16_t> backward(gradient, out, y, norm, maps, clip);
    backward.find_sums(weight_gradient, bias_gradient, threads);
    auto source = [&](int64_t image, float *to) {
        if (inner) backward.inner(image, inner + image * maps.channels * maps.plane);
        backward.write(image, to);
    };
    auto added = [&](int64_t image, float *to) -> const float * {
        return residual ? backward.inner(image, to) : nullptr;
    };
    convolution_backward(source, added, signs, x, x_gradient, signs_gradient, shape,
                         {estimator, sharpness}, threads);
}
}
