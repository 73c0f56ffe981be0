// The training step of a binary network on a CPU: convolutions of signs, and the operations between
// them.
//
// Feature maps are (N, C, H, W) float, contiguous. A convolution has k x k taps, a stride and a
// padding with zeros, both equal for rows and columns.
//
// In each product one factor is +1 or -1. The sum of four products is therefore +-a +-b +-c +-d,
// which takes only eight values up to the sign. These eight sums are computed once and stored in a
// table, which every output and tap reads. This takes a quarter of the multiply-accumulates, and
// whole numbers stay exact (Arlazarov et al., "On economical construction of the transitive closure
// of a directed graph", 1970: the "method of four Russians").
//
// No sum depends on the number of threads.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <vector>
#ifdef __AVX__
#include <immintrin.h>
#endif
#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace {

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

struct Shape {  // of a convolution from (images, inputs, height, width)
    int64_t images, inputs, height, width, outputs, size, stride, padding;
    int64_t rows() const { return (height + 2 * padding - size) / stride + 1; }
    int64_t columns() const { return (width + 2 * padding - size) / stride + 1; }
    int64_t taps() const { return size * size; }
};

// Resize a vector; returns its first address at the start of a cache line
template <typename T> T *aligned(std::vector<T> &values, int64_t count) {
    values.resize(count + 64 / sizeof(T));
    uintptr_t place = reinterpret_cast<uintptr_t>(values.data());
    return values.data() + (64 - place % 64) % 64 / sizeof(T);
}

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// ---------------------------------------------------------------------------------------------
// Sums of maps with weights of +1 and -1: the convolution itself, and the gradient of its input
// ---------------------------------------------------------------------------------------------

// A sum in the table: its offset from the output's position, and its sign.
template <typename T> struct Entry {
    int32_t offset;
    T sign;
};

// Some rows of a map, one after the other in a line. A strided convolution has a plane for each
// position within a stride. A plane is `rows` x `pitch`, including the padding.
struct Strip {
    int64_t rows, pitch, planes;
    int64_t plane() const { return rows * pitch; }
    // length with the zeros that the last taps read, rounded up to whole vectors
    template <typename T> int64_t line(int64_t size) const {
        constexpr int64_t L = Lanes<T>::count;
        return ceil_div(planes * plane() + size + L, L) * L;
    }
};

// acc[i] += sum over entries of sign * table[offset + i], for i in B vectors. If B is small, U
// independent sums hide the latency of the additions.
template <typename T, int B, int U>
void add_block(T *acc, const T *table, const Entry<T> *entries, int64_t count) {
    using V = typename Lanes<T>::type;
    constexpr int L = Lanes<T>::count;
    V sums[U][B];
    for (int b = 0; b < B; ++b) {
        sums[0][b] = load(acc + b * L);
        for (int u = 1; u < U; ++u) sums[u][b] = V{};
    }
    int64_t e = 0;
    for (; e + U <= count; e += U)
        for (int u = 0; u < U; ++u) {
            const T *from = table + entries[e + u].offset;
            V sign = V{} + entries[e + u].sign;
            for (int b = 0; b < B; ++b) sums[u][b] += sign * load(from + b * L);
        }
    for (; e < count; ++e) {
        const T *from = table + entries[e].offset;
        V sign = V{} + entries[e].sign;
        for (int b = 0; b < B; ++b) sums[0][b] += sign * load(from + b * L);
    }
    for (int b = 0; b < B; ++b) {
        V sum = sums[0][b];
        for (int u = 1; u < U; ++u) sum += sums[u][b];
        store(acc + b * L, sum);
    }
}

constexpr int MOST = 12;  // vectors of sums that fit in registers

template <typename T, int B = MOST>
void add_some(int64_t vectors, T *acc, const T *table, const Entry<T> *entries, int64_t count) {
    if (vectors == B)
        add_block<T, B, (B < 6 ? 12 / B : 1)>(acc, table, entries, count);
    else if constexpr (B > 1)
        add_some<T, B - 1>(vectors, acc, table, entries, count);
}

template <typename T>
void add_all(T *acc, int64_t length, const T *table, const Entry<T> *entries, int64_t count) {
    constexpr int L = Lanes<T>::count;
    int64_t vectors = ceil_div(length, L), blocks = ceil_div(vectors, MOST);
    for (int64_t block = 0, start = 0; block < blocks; ++block) {
        int64_t end = vectors * (block + 1) / blocks;
        add_some<T>(end - start, acc + start * L, table + start * L, entries, count);
        start = end;
    }
}

constexpr int64_t SUMS = 8;      // a +-b +-c +-d
constexpr int64_t NEAR = 24000;  // bytes of a table that fits in the first-level cache

// Write the eight sums of four lines. The distance between lines, and between sums, is `length`.
template <typename T> void make_sums(const T *lines, int64_t length, T *table) {
    constexpr int L = Lanes<T>::count;
    for (int64_t i = 0; i < length; i += L) {
        auto a = load(lines + i), b = load(lines + length + i);
        auto c = load(lines + 2 * length + i), d = load(lines + 3 * length + i);
        auto same = a + b, other = a - b, plus = c + d, minus = c - d;
        T *to = table + i;
        store(to, same + plus);
        store(to + length, other + plus);
        store(to + 2 * length, same - minus);
        store(to + 3 * length, other - minus);
        store(to + 4 * length, same + minus);
        store(to + 5 * length, other + minus);
        store(to + 6 * length, same - plus);
        store(to + 7 * length, other - plus);
    }
}

struct Tap {
    int64_t place;   // offset from the output's position in the line of a strip
    int64_t weight;  // index in the k x k kernel
};

// Sums over `sources` maps, four at a time, for `targets` maps. A target has `phases` parts, each
// with its own taps.
template <typename T> struct Sum {
    Strip strip;
    int64_t sources, targets, length;  // `length` outputs in the line of a strip
    int64_t line;                      // values in the line of a strip
    std::vector<std::vector<Tap>> phases;
    std::vector<Entry<T>> entries;     // by chunk of groups, target, phase, group and tap
    int64_t groups, chunk;

    // sign_of(target, source, weight) returns whether that weight is +1
    template <typename Sign> void prepare(Sign sign_of) {
        groups = ceil_div(sources, 4);
        int64_t bytes = SUMS * line * int64_t(sizeof(T));
        chunk = std::clamp<int64_t>(NEAR / bytes, 1, groups);
        int64_t taps = 0;
        for (auto &phase : phases) taps += int64_t(phase.size());
        entries.reserve(groups * targets * taps);
        for (int64_t first = 0; first < groups; first += chunk)
            for (int64_t target = 0; target < targets; ++target)
                for (auto &phase : phases)
                    for (int64_t group = first; group < std::min(first + chunk, groups); ++group)
                        for (auto &tap : phase) {
                            bool signs[4];
                            for (int64_t i = 0; i < 4; ++i) {
                                int64_t source = 4 * group + i;
                                signs[i] = source >= sources || sign_of(target, source, tap.weight);
                            }
                            int64_t sum = (signs[1] != signs[0]) + 2 * (signs[2] != signs[0]) +
                                          4 * (signs[3] != signs[0]);
                            int64_t place = ((group - first) * SUMS + sum) * line;
                            entries.push_back({int32_t(place + tap.place), T(signs[0] ? 1 : -1)});
                        }
    }

    int64_t stretch() const {  // from the results of a phase to those of the next
        return ceil_div(length, Lanes<T>::count) * Lanes<T>::count;
    }

    // fill(source, line) writes a map into the line of a strip; the padding is already 0
    template <typename Fill> void run(Fill fill, T *results) const {
        thread_local std::vector<T> near_lines, near_table;
        T *lines = aligned(near_lines, 4 * line);
        T *table = aligned(near_table, chunk * SUMS * line);
        std::fill(lines, lines + 4 * line, T(0));
        std::fill(results, results + targets * int64_t(phases.size()) * stretch(), T(0));
        const Entry<T> *entry = entries.data();
        for (int64_t first = 0; first < groups; first += chunk) {
            int64_t count = std::min(chunk, groups - first);
            for (int64_t group = first; group < first + count; ++group) {
                for (int64_t i = 0; i < 4; ++i) {
                    T *place = lines + i * line;
                    if (4 * group + i < sources)
                        fill(4 * group + i, place);
                    else
                        std::fill(place, place + line, T(0));
                }
                make_sums(lines, line, table + (group - first) * SUMS * line);
            }
            T *result = results;
            for (int64_t target = 0; target < targets; ++target)
                for (auto &phase : phases) {
                    int64_t terms = count * int64_t(phase.size());
                    add_all(result, length, table, entry, terms);
                    entry += terms;
                    result += stretch();
                }
        }
    }
};

int64_t rows_a_strip(int64_t rows, int64_t pitch) {
    int64_t most = std::max<int64_t>(1, 272 / pitch);
    return ceil_div(rows, ceil_div(rows, most));
}

// y = convolution of the signs of x with signs: (outputs, inputs, k, k), each +1 or -1
template <typename Y>
void convolve(const float *x, const float *signs, Y *y, const Shape &shape, int threads) {
    using T = int16_t;
    const int64_t stride = shape.stride, size = shape.size, padding = shape.padding;
    const int64_t rows = shape.rows(), columns = shape.columns();
    int64_t right = columns - 1 + size - padding - shape.width;  // padding, for a stride of 1
    int64_t shared = stride == 1 ? std::clamp<int64_t>(right, 0, padding) : 0;
    Sum<T> sum;
    sum.sources = shape.inputs;
    sum.targets = shape.outputs;
    int64_t pitch = columns + (size - 1) / stride - shared;
    int64_t height = rows_a_strip(rows, pitch);
    sum.strip = {height + (size - 1) / stride, pitch, stride * stride};
    sum.length = (height - 1) * pitch + columns;
    sum.line = sum.strip.line<T>(size);
    sum.phases.resize(1);
    for (int64_t dy = 0; dy < size; ++dy)
        for (int64_t dx = 0; dx < size; ++dx) {
            int64_t plane = (dy % stride) * stride + dx % stride;
            int64_t place = plane * sum.strip.plane() + dy / stride * pitch + dx / stride;
            sum.phases[0].push_back({place, dy * size + dx});
        }
    sum.prepare([&](int64_t output, int64_t input, int64_t tap) {
        return signs[(output * shape.inputs + input) * size * size + tap] > 0;
    });
    const int64_t strips = ceil_div(rows, height);
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t item = 0; item < shape.images * strips; ++item) {
        int64_t image = item / strips, top = item % strips * height;
        auto fill = [&](int64_t input, T *line) {
            const float *map = x + (image * shape.inputs + input) * shape.height * shape.width;
            for (int64_t fy = 0; fy < stride; ++fy)
                for (int64_t a = 0; a < sum.strip.rows; ++a) {
                    int64_t row = stride * (top + a) + fy - padding;
                    bool inside = row >= 0 && row < shape.height;
                    const float *from = map + row * shape.width;
                    for (int64_t fx = 0; fx < stride; ++fx) {
                        T *to = line + (fy * stride + fx) * sum.strip.plane() + a * pitch;
                        int64_t begin = ceil_div(std::max<int64_t>(0, padding - fx), stride);
                        int64_t end = std::min(columns + (size - 1) / stride,
                                               ceil_div(shape.width + padding - fx, stride));
                        if (!inside) {
                            std::fill(to + begin, to + end, T(0));
                        } else if (stride == 1) {
#pragma omp simd
                            for (int64_t b = begin; b < end; ++b)
                                to[b] = from[b - padding] >= 0.f ? 1 : -1;
                        } else {
                            for (int64_t b = begin; b < end; ++b)
                                to[b] = from[stride * b + fx - padding] >= 0.f ? 1 : -1;
                        }
                    }
                }
        };
        thread_local std::vector<T> results;
        results.resize(sum.targets * sum.stretch());
        sum.run(fill, results.data());
        for (int64_t output = 0; output < shape.outputs; ++output)
            for (int64_t r = 0; r < std::min(height, rows - top); ++r) {
                const T *from = results.data() + output * sum.stretch() + r * pitch;
                Y *to = y + ((image * shape.outputs + output) * rows + top + r) * columns;
#pragma omp simd
                for (int64_t c = 0; c < columns; ++c) to[c] = Y(from[c]);
            }
    }
}

enum Estimator { POLYNOMIAL = 0, STRAIGHT_THROUGH = 1, TANH = 2 };

struct Slope {  // surrogate gradient of the sign
    int estimator;
    float sharpness;
    // out = slope(x) * gradient + added, for every `step`-th value of `out`, `x` and `added`
    void apply(const float *x, const float *gradient, const float *added, float *out,
               int64_t count, int64_t step) const {
        auto polynomial = [](float value) {
            float slope = 2.f - 2.f * std::fabs(value);
            return slope > 0.f ? slope : 0.f;
        };
        auto straight_through = [](float value) { return std::fabs(value) <= 1.f ? 1.f : 0.f; };
        float t = sharpness, k = std::max(1.f, sharpness);
        auto tanh = [=](float value) {
            float high = std::tanh(t * value);
            return k * (1.f - high * high);
        };
        if (estimator == POLYNOMIAL)
            applied(x, gradient, added, out, count, step, polynomial);
        else if (estimator == STRAIGHT_THROUGH)
            applied(x, gradient, added, out, count, step, straight_through);
        else
            applied(x, gradient, added, out, count, step, tanh);
    }
    template <typename F>
    static void applied(const float *x, const float *gradient, const float *added, float *out,
                        int64_t count, int64_t step, F slope) {
        if (step == 1 && added) {
#pragma omp simd
            for (int64_t i = 0; i < count; ++i) out[i] = slope(x[i]) * gradient[i] + added[i];
        } else if (step == 1) {
#pragma omp simd
            for (int64_t i = 0; i < count; ++i) out[i] = slope(x[i]) * gradient[i];
        } else {
            for (int64_t i = 0; i < count; ++i)
                out[i * step] = slope(x[i * step]) * gradient[i] + (added ? added[i * step] : 0.f);
        }
    }
};

// The gradient of the convolution's input x through its sign, plus an added map. Each of the
// stride x stride positions of x within a stride is a phase: its own set of taps reaches it.
class InputGradient {
  public:
    InputGradient(const float *signs, const Shape &shape, const Slope &slope)
        : shape(shape), slope(slope), reach((shape.size - 1) / shape.stride),
          // a row of the padded input is stride * a + phase; `down` is the number of values of a
          down(ceil_div(shape.height + shape.padding, shape.stride)),
          nothing(shape.columns(), 0.f) {
        const int64_t stride = shape.stride, size = shape.size;
        int64_t across = ceil_div(shape.width + shape.padding, stride);
        int64_t shared = std::min(reach, std::max<int64_t>(0, across - shape.columns()));
        pitch = across + reach - shared;
        height = rows_a_strip(down, pitch);
        sum.sources = shape.outputs;
        sum.targets = shape.inputs;
        sum.strip = {height + reach, pitch, 1};
        sum.length = (height - 1) * pitch + across;
        sum.line = sum.strip.line<float>(size);
        for (int64_t fy = 0; fy < stride; ++fy)
            for (int64_t fx = 0; fx < stride; ++fx) {
                std::vector<Tap> taps;
                for (int64_t dy = fy; dy < size; dy += stride)
                    for (int64_t dx = fx; dx < size; dx += stride) {
                        int64_t place = (reach - dy / stride) * pitch + reach - dx / stride;
                        taps.push_back({place, dy * size + dx});
                    }
                sum.phases.push_back(taps);
            }
        sum.prepare([&](int64_t input, int64_t output, int64_t tap) {
            return signs[(output * shape.inputs + input) * size * size + tap] > 0;
        });
    }

    // For one image. gradient is (outputs, rows, columns); x, added (or null) and out have the
    // shape of the input.
    void run(const float *gradient, const float *x, const float *added, float *out) const {
        for (int64_t top = 0; top < down; top += height) strip(gradient, x, added, out, top);
    }

  private:
    const Shape &shape;
    const Slope &slope;
    const int64_t reach, down;
    const std::vector<float> nothing;
    int64_t pitch, height;
    Sum<float> sum;

    void strip(const float *gradient, const float *x, const float *added, float *out,
               int64_t top) const {
        const int64_t stride = shape.stride, rows = shape.rows(), columns = shape.columns();
        auto fill = [&](int64_t output, float *line) {
            for (int64_t a = 0; a < sum.strip.rows; ++a) {
                int64_t row = top + a - reach;
                bool inside = row >= 0 && row < rows;
                const float *from =
                    inside ? gradient + (output * rows + row) * columns : nothing.data();
                float *to = line + a * pitch + reach;
#pragma omp simd
                for (int64_t c = 0; c < columns; ++c) to[c] = from[c];
            }
        };
        thread_local std::vector<float> results;
        results.resize(sum.targets * stride * stride * sum.stretch());
        sum.run(fill, results.data());
        const float *result = results.data();
        for (int64_t input = 0; input < shape.inputs; ++input)
            for (int64_t fy = 0; fy < stride; ++fy)
                for (int64_t fx = 0; fx < stride; ++fx, result += sum.stretch())
                    put(result, x, added, out, input, top, fy, fx);
    }

    // Write the results of one phase of a strip to the output
    void put(const float *result, const float *x, const float *added, float *out, int64_t input,
             int64_t top, int64_t fy, int64_t fx) const {
        const int64_t stride = shape.stride, padding = shape.padding;
        int64_t left = ceil_div(std::max<int64_t>(0, padding - fx), stride);
        int64_t end = ceil_div(std::max<int64_t>(0, shape.width + padding - fx), stride);
        for (int64_t a = 0; a < height; ++a) {
            int64_t row = stride * (top + a) + fy - padding;
            if (row < 0 || row >= shape.height) continue;
            int64_t place =
                (input * shape.height + row) * shape.width + stride * left + fx - padding;
            slope.apply(x + place, result + a * pitch + left, added ? added + place : nullptr,
                        out + place, end - left, stride);
        }
    }
};

// ---------------------------------------------------------------------------------------------
// Gradient of the weights: sums of the gradient, with the signs of the input
// ---------------------------------------------------------------------------------------------

// The signs of the maps of an image as bits, 1 for +1. Rows include the padding, as 0, and are
// split by position within a stride.
class Bits {
  public:
    const int64_t rows, stride, bytes;

    explicit Bits(const Shape &shape)
        : rows(shape.height + 2 * shape.padding), stride(shape.stride),
          bytes(ceil_div(shape.width + 2 * shape.padding, 8 * shape.stride) + 8), shape(shape),
          data(size_t(shape.inputs * rows * stride * bytes), 0) {}

    const uint8_t *row(int64_t map, int64_t row) const {
        return data.data() + (map * rows + row) * stride * bytes;
    }

    void take(const float *x) {
        std::fill(data.begin(), data.end(), 0);
        for (int64_t map = 0; map < shape.inputs; ++map)
            for (int64_t r = 0; r < shape.height; ++r)
                for (int64_t fx = 0; fx < stride; ++fx)
                    take_row(x + (map * shape.height + r) * shape.width, fx,
                             data.data() +
                                 ((map * rows + r + shape.padding) * stride + fx) * bytes);
    }

  private:
    const Shape &shape;
    std::vector<uint8_t> data;

    void take_row(const float *from, int64_t fx, uint8_t *row) const {
        const int64_t padding = shape.padding;
        int64_t begin = ceil_div(std::max<int64_t>(0, padding - fx), stride);
        int64_t end = ceil_div(shape.width + padding - fx, stride);
        for (int64_t start = begin; start < end; start += 32) {
            uint64_t word = 0, old;
            const int64_t count = std::min<int64_t>(32, end - start);
            const float *values = from + stride * start + fx - padding;
            int64_t b = 0;
#ifdef __AVX__
            for (; stride == 1 && b + 8 <= count; b += 8) {
                __m256 eight = _mm256_loadu_ps(values + b);
                __m256 high = _mm256_cmp_ps(eight, _mm256_setzero_ps(), _CMP_GE_OQ);
                word |= uint64_t(_mm256_movemask_ps(high)) << b;
            }
#endif
            for (; b < count; ++b) word |= uint64_t(values[stride * b] >= 0.f) << b;
            std::memcpy(&old, row + (start >> 3), 8);
            old |= word << (start & 7);
            std::memcpy(row + (start >> 3), &old, 8);
        }
    }
};

// The first bit of a column in a row of `Bits`
struct Place {
    int64_t byte, bit;
    Place(const Bits &bits, int64_t column)
        : byte(column % bits.stride * bits.bytes + (column / bits.stride >> 3)),
          bit(column / bits.stride & 7) {}
};

constexpr int64_t COLUMNS = 32, GROUPS = 8;  // limits of a segment: outputs in a row, groups of 4

// A segment of the gradient of an image: rows [top, top + rows), columns [left, left + columns).
struct Segment {
    int64_t top, left, rows, columns;
    int64_t groups() const { return ceil_div(columns, 4); }
};

std::vector<Segment> segments_of(int64_t rows, int64_t columns) {
    std::vector<Segment> result;
    for (int64_t left = 0; left < columns; left += COLUMNS) {
        int64_t width = std::min(COLUMNS, columns - left);
        int64_t most = std::max<int64_t>(1, GROUPS / ceil_div(width, 4));
        for (int64_t top = 0; top < rows; top += most)
            result.push_back({top, left, std::min(most, rows - top), width});
    }
    return result;
}

// The gradient of the weights, summed image by image.
class WeightGradient {
  public:
    WeightGradient(const Shape &shape)
        : shape(shape), segments(segments_of(shape.rows(), shape.columns())),
          width(shape.outputs > 2 * L ? 4 * L : 2 * L), across(ceil_div(shape.outputs, width)),
          outside(size_t(shape.taps() * shape.outputs), 0.0),
          high(misses(shape.rows(), shape.height)), wide(misses(shape.columns(), shape.width)) {
        int64_t count = across * shape.inputs * shape.taps() * width;
        sums = aligned(memory, count);
        std::fill(sums, sums + count, 0.f);
    }

    // Add images one by one; each gradient is (outputs, rows, columns)
    void add(const float *gradients, const std::vector<Bits> &signs, int64_t images) {
        for (int64_t part = 0; part < across; ++part)
            for (int64_t image = 0; image < images; ++image) {
                const float *gradient = gradients + image * shape.outputs * plane();
                if (width == 4 * L)
                    add_part<4>(gradient, signs[image], part);
                else
                    add_part<2>(gradient, signs[image], part);
                if (part == 0) add_outside(gradient);
            }
    }

    // The current sum of the weight (output, input, tap)
    double at(int64_t output, int64_t input, int64_t tap) const {
        int64_t row = (output / width * shape.inputs + input) * shape.taps() + tap;
        return sums[row * width + output % width] + outside[tap * shape.outputs + output];
    }

  private:
    static constexpr int L = Lanes<float>::count;
    const Shape &shape;
    const std::vector<Segment> segments;
    const int64_t width, across;  // outputs at a time; number of such parts
    std::vector<float> memory;
    float *sums;                  // (across, inputs, taps, width)
    std::vector<double> outside;  // (taps, outputs), see add_outside
    const std::vector<std::vector<int64_t>> high, wide;  // see misses

    int64_t plane() const { return shape.rows() * shape.columns(); }

    template <int VECTORS> void add_part(const float *gradient, const Bits &bits, int64_t part) {
        constexpr int64_t WIDTH = VECTORS * L;
        thread_local std::vector<float> near;
        float *table = aligned(near, GROUPS * 16 * WIDTH);
        std::vector<Place> places;
        for (const Segment &segment : segments) {
            make_table<VECTORS>(gradient, part * WIDTH, segment, table);
            const int64_t fours = segment.rows * segment.groups();
            places.clear();
            for (int64_t dx = 0; dx < shape.size; ++dx)
                places.emplace_back(bits, shape.stride * segment.left + dx);
            float *sum = sums + part * shape.inputs * shape.taps() * WIDTH;
            for (int64_t input = 0; input < shape.inputs; ++input)
                for (int64_t dy = 0; dy < shape.size; ++dy) {
                    const uint8_t *row = bits.row(input, shape.stride * segment.top + dy);
                    for (const Place &place : places) {
                        uint32_t all = signs_of(row + place.byte, place.bit, segment, bits);
                        if (fours == GROUPS)
                            add_sums<VECTORS, GROUPS>(all, fours, table, sum);
                        else
                            add_sums<VECTORS, 0>(all, fours, table, sum);
                        sum += WIDTH;
                    }
                }
        }
    }

    // The signs of a segment for one tap, four bits a group; rows can start inside a byte
    uint32_t signs_of(const uint8_t *row, int64_t bit, const Segment &segment,
                      const Bits &bits) const {
        const int64_t bits_wide = 4 * segment.groups();
        const int64_t step = shape.stride * bits.stride * bits.bytes;
        const uint64_t mask = (uint64_t(1) << bits_wide) - 1;
        uint64_t all = 0;
        for (int64_t r = 0; r < segment.rows; ++r, row += step) {
            uint64_t word;
            std::memcpy(&word, row, 8);
            all |= (word >> bit & mask) << (r * bits_wide);
        }
        return uint32_t(all);
    }

    // sum += the entry of the table for the signs of each group; `fours` groups if COUNT is 0
    template <int VECTORS, int64_t COUNT>
    static void add_sums(uint32_t signs, int64_t fours, const float *table, float *sum) {
        using V = Lanes<float>::type;
        constexpr int64_t WIDTH = VECTORS * L;
        V even[VECTORS], odd[VECTORS];
        for (int v = 0; v < VECTORS; ++v) {
            even[v] = load(sum + v * L);
            odd[v] = V{};
        }
        const int64_t count = COUNT ? COUNT : fours;
        int64_t j = 0;
        for (; j + 2 <= count; j += 2) {
            const float *first = table + (16 * j + (signs & 15)) * WIDTH;
            const float *second = table + (16 * j + 16 + (signs >> 4 & 15)) * WIDTH;
            for (int v = 0; v < VECTORS; ++v) {
                even[v] += load(first + v * L);
                odd[v] += load(second + v * L);
            }
            signs >>= 8;
        }
        if (j < count)
            for (int v = 0; v < VECTORS; ++v)
                even[v] += load(table + (16 * j + (signs & 15)) * WIDTH + v * L);
        for (int v = 0; v < VECTORS; ++v) store(sum + v * L, even[v] + odd[v]);
    }

    // The sixteen sums +-a +-b +-c +-d of each group of four positions of a segment
    template <int VECTORS>
    void make_table(const float *gradient, int64_t output, const Segment &segment,
                    float *table) const {
        using V = Lanes<float>::type;
        constexpr int64_t WIDTH = VECTORS * L;
        alignas(64) float values[COLUMNS * WIDTH];
        const float *maps = gradient + output * plane();
        for (int64_t r = 0; r < segment.rows; ++r) {
            const float *from = maps + (segment.top + r) * shape.columns() + segment.left;
            transposed(from, std::min<int64_t>(WIDTH, shape.outputs - output), segment.columns,
                       WIDTH, values);
            for (int64_t group = 0; group < segment.groups(); ++group, table += 16 * WIDTH)
                for (int v = 0; v < VECTORS; ++v) {
                    const float *four = values + group * 4 * WIDTH + v * L;
                    V a = load(four), b = load(four + WIDTH);
                    V c = load(four + 2 * WIDTH), d = load(four + 3 * WIDTH);
                    V low[4] = {-a - b, a - b, b - a, a + b};
                    V up[4] = {-c - d, c - d, d - c, c + d};
                    for (int h = 0; h < 4; ++h)
                        for (int l = 0; l < 4; ++l)
                            store(table + (4 * h + l) * WIDTH + v * L, low[l] + up[h]);
                }
        }
    }

    // values[column][output], with zeros beyond the last column and output
    void transposed(const float *from, int64_t outputs, int64_t columns, int64_t wide,
                    float *values) const {
        const int64_t whole = ceil_div(columns, 4) * 4;
        if (outputs < wide || columns < whole) std::fill(values, values + whole * wide, 0.f);
        for (int64_t o = 0; o < outputs; ++o)
            for (int64_t c = 0; c < columns; ++c) values[c * wide + o] = from[o * plane() + c];
    }

    // For each tap, the output positions whose input lies outside the image
    std::vector<std::vector<int64_t>> misses(int64_t places, int64_t length) const {
        std::vector<std::vector<int64_t>> result(shape.size);
        for (int64_t tap = 0; tap < shape.size; ++tap)
            for (int64_t place = 0; place < places; ++place) {
                int64_t at = shape.stride * place + tap - shape.padding;
                if (at < 0 || at >= length) result[tap].push_back(place);
            }
        return result;
    }

    // Padding is 0, but its bits count as -1: add the difference for each tap. The positions whose
    // tap lies outside form whole rows and whole columns; positions in both count once.
    void add_outside(const float *gradient) {
        const int64_t rows = shape.rows(), columns = shape.columns(), size = shape.size;
        for (int64_t output = 0; output < shape.outputs; ++output)
            for (int64_t tap = 0; tap < size; ++tap) {
                const float *map = gradient + output * plane();
                float in_rows = 0.f, in_columns = 0.f;
                for (int64_t r : high[tap])
#pragma omp simd reduction(+ : in_rows)
                    for (int64_t c = 0; c < columns; ++c) in_rows += map[r * columns + c];
                for (int64_t c : wide[tap])
                    for (int64_t r = 0; r < rows; ++r) in_columns += map[r * columns + c];
                for (int64_t other = 0; other < size; ++other) {
                    outside[(tap * size + other) * shape.outputs + output] += in_rows;
                    outside[(other * size + tap) * shape.outputs + output] += in_columns;
                    for (int64_t r : high[tap])
                        for (int64_t c : wide[other])
                            outside[(tap * size + other) * shape.outputs + output] -=
                                map[r * columns + c];
                }
            }
    }
};

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

// ---------------------------------------------------------------------------------------------
// BatchNorm, sum and Hardtanh
// ---------------------------------------------------------------------------------------------

constexpr int64_t STRETCH = 2048;  // values that are summed in float before a sum in double

inline float clipped(float value) {  // NaN stays NaN
    return value < -1.f ? -1.f : (value > 1.f ? 1.f : value);
}

struct Maps {  // feature maps (images, channels, plane)
    int64_t images, channels, plane;
    double positions() const { return double(images) * double(plane); }
};

// The parameters of a BatchNorm, and the moments of a batch
struct Norm {
    const float *weight, *bias;
    float *mean, *inverse, *variance;  // inverse: of the standard deviation
    float epsilon;
};

template <typename Y>
void find_moments(const Y *y, const Norm &norm, const Maps &maps, int threads) {
#pragma omp parallel for num_threads(threads) schedule(static)
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
void norm_forward(const Y *y, const float *shortcut, const Norm &norm, float *out, const Maps &maps,
                  bool clip, int threads) {
    find_moments(y, norm, maps, threads);
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t map = 0; map < maps.images * maps.channels; ++map) {
        const int64_t c = map % maps.channels, plane = maps.plane;
        const Y *values = y + map * plane;
        const float *added = shortcut ? shortcut + map * plane : nullptr;
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

    void find_sums(float *weight_gradient, float *bias_gradient, int threads) {
#pragma omp parallel for num_threads(threads) schedule(static)
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
