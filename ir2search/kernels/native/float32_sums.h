// Sums of maps with weights of +1 and -1, in float32: the convolution, and its input's gradient.
//
// In each product one factor is +1 or -1. The sum of four products is therefore +-a +-b +-c +-d,
// which takes only eight values up to the sign. These eight sums are computed once and stored in a
// table, which every output and tap reads. This takes a quarter of the multiply-accumulates, and
// whole numbers stay exact (Arlazarov et al., "On economical construction of the transitive closure
// of a directed graph", 1970: the "method of four Russians").

#pragma once

#include "slope.h"

namespace ir2::float32 {

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

inline int64_t rows_a_strip(int64_t rows, int64_t pitch) {
    int64_t most = std::max<int64_t>(1, 272 / pitch);
    return ceil_div(rows, ceil_div(rows, most));
}

template <typename Y> void convolve(const SignConvolution &convolution, Y *y, Threads threads) {
    using T = int16_t;
    const float *x = convolution.x, *latent = convolution.latent;
    const Shape &shape = convolution.shape;
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
        return latent[(output * shape.inputs + input) * size * size + tap] >= 0.f;
    });
    const int64_t strips = ceil_div(rows, height);
#pragma omp parallel for num_threads(threads.over(shape.products() / 16)) schedule(static)
    for (int64_t item = 0; item < shape.images * strips; ++item) {
        int64_t image = item / strips, top = item % strips * height;
        auto fill = [&](int64_t input, T *line) {
            const float *map = x + (image * shape.inputs + input) * shape.height * shape.width;
            const float threshold = convolution.threshold(input);
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
                                to[b] = from[b - padding] >= threshold ? 1 : -1;
                        } else {
                            for (int64_t b = begin; b < end; ++b)
                                to[b] = from[stride * b + fx - padding] >= threshold ? 1 : -1;
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


// The gradient of the convolution's input x through its sign, plus an added map. Each of the
// stride x stride positions of x within a stride is a phase: its own set of taps reaches it.
class InputGradient {
  public:
    InputGradient(const SignConvolution &convolution, const Slope &slope)
        : convolution(convolution), shape(convolution.shape), slope(slope),
          reach((shape.size - 1) / shape.stride),
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
            const int64_t place = (output * shape.inputs + input) * size * size + tap;
            return convolution.latent[place] >= 0.f;
        });
    }

    // For one image. gradient is (outputs, rows, columns); added (or null) and `out` have the shape
    // of the input. Adds the sum of the gradient through the sign to `sums`, for each input; null
    // if they are not needed.
    void run(int64_t image, const float *gradient, const float *added, float *out,
             double *sums) const {
        for (int64_t top = 0; top < down; top += height)
            strip(image, gradient, added, out, sums, top);
    }

  private:
    const SignConvolution &convolution;
    const Shape &shape;
    const Slope &slope;
    const int64_t reach, down;
    const std::vector<float> nothing;
    int64_t pitch, height;
    Sum<float> sum;

    void strip(int64_t image, const float *gradient, const float *added, float *out, double *sums,
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
        const float *x = convolution.x + image * shape.inputs * shape.height * shape.width;
        for (int64_t input = 0; input < shape.inputs; ++input)
            for (int64_t fy = 0; fy < stride; ++fy)
                for (int64_t fx = 0; fx < stride; ++fx, result += sum.stretch())
                    put(result, x, added, out, sums ? sums + input : nullptr, input, top, fy, fx);
    }

    // Write the results of one phase of a strip to the output
    void put(const float *result, const float *x, const float *added, float *out, double *sum,
             int64_t input, int64_t top, int64_t fy, int64_t fx) const {
        const int64_t stride = shape.stride, padding = shape.padding;
        const float threshold = convolution.threshold(input);
        int64_t left = ceil_div(std::max<int64_t>(0, padding - fx), stride);
        int64_t end = ceil_div(std::max<int64_t>(0, shape.width + padding - fx), stride);
        for (int64_t a = 0; a < height; ++a) {
            int64_t row = stride * (top + a) + fy - padding;
            if (row < 0 || row >= shape.height) continue;
            int64_t place =
                (input * shape.height + row) * shape.width + stride * left + fx - padding;
            slope.apply(x + place, threshold, result + a * pitch + left,
                        added ? added + place : nullptr, out + place, end - left, stride, sum);
        }
    }
};

}  // namespace ir2::float32
