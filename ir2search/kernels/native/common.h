// What all kernels share: vectors, shapes of convolutions, aligned memory.

#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <type_traits>
#include <vector>
#ifdef __AVX__
#include <immintrin.h>
#endif

namespace ir2 {

#if defined(__AVX512F__)
constexpr int BYTES = 64;
#elif defined(__AVX__)
constexpr int BYTES = 32;
#else
constexpr int BYTES = 16;
#endif

template <typename T> struct Lanes {
    typedef T type __attribute__((vector_size(BYTES)));
    typedef T unaligned __attribute__((vector_size(BYTES), aligned(alignof(T)), may_alias));
    static constexpr int count = BYTES / int(sizeof(T));
};

template <typename T> inline typename Lanes<T>::type load(const T *from) {
    return *reinterpret_cast<const typename Lanes<T>::unaligned *>(from);
}

template <typename T> inline void store(T *to, typename Lanes<T>::type value) {
    *reinterpret_cast<typename Lanes<T>::unaligned *>(to) = value;
}

// The threads of a kernel. A short loop runs on one: it takes longer to wake another.
struct Threads {
    static constexpr int64_t SHORT = 1 << 18;
    int most;
    // values: read by the loop, or the time of the loop in that unit
    int over(int64_t values) const { return values < SHORT ? 1 : most; }
};

struct Shape {  // of a convolution from (images, inputs, height, width)
    int64_t images, inputs, height, width, outputs, size, stride, padding;
    int64_t rows() const { return (height + 2 * padding - size) / stride + 1; }
    int64_t columns() const { return (width + 2 * padding - size) / stride + 1; }
    int64_t taps() const { return size * size; }
    int64_t weights() const { return outputs * inputs * taps(); }
    int64_t products() const { return images * rows() * columns() * weights(); }
};

// Resize a vector; returns its first address at the start of a cache line
template <typename T> T *aligned(std::vector<T> &values, int64_t count) {
    values.resize(count + 64 / sizeof(T));
    uintptr_t place = reinterpret_cast<uintptr_t>(values.data());
    return values.data() + (64 - place % 64) % 64 / sizeof(T);
}

inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

}  // namespace ir2
