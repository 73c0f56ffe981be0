// The gradient of a convolution's input, before its sign.

#pragma once

#include "bfloat16_sums.h"
#include "sign_weights.h"

namespace ir2::bfloat16 {

// Transpose 16 x 16 numbers; rows are `from_step` and `to_step` apart
inline void transpose(const float *from, int64_t from_step, float *to, int64_t to_step) {
    __m512 rows[16], other[16];
    for (int i = 0; i < 16; ++i) rows[i] = _mm512_loadu_ps(from + i * from_step);
    for (int i = 0; i < 16; i += 2) {
        other[i] = _mm512_unpacklo_ps(rows[i], rows[i + 1]);
        other[i + 1] = _mm512_unpackhi_ps(rows[i], rows[i + 1]);
    }
    for (int i = 0; i < 16; i += 4)
        for (int j = 0; j < 2; ++j) {
            __m512d a = _mm512_castps_pd(other[i + j]), b = _mm512_castps_pd(other[i + j + 2]);
            rows[i + 2 * j] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, b));
            rows[i + 2 * j + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, b));
        }
    // rows[4 q + j] has column 4 l + j of rows 4 q to 4 q + 3 in its quarter l
    for (int j = 0; j < 4; ++j) {
        __m512 a = _mm512_shuffle_f32x4(rows[j], rows[4 + j], 0x88);
        __m512 b = _mm512_shuffle_f32x4(rows[j], rows[4 + j], 0xdd);
        __m512 c = _mm512_shuffle_f32x4(rows[8 + j], rows[12 + j], 0x88);
        __m512 d = _mm512_shuffle_f32x4(rows[8 + j], rows[12 + j], 0xdd);
        _mm512_storeu_ps(to + j * to_step, _mm512_shuffle_f32x4(a, c, 0x88));
        _mm512_storeu_ps(to + (4 + j) * to_step, _mm512_shuffle_f32x4(b, d, 0x88));
        _mm512_storeu_ps(to + (8 + j) * to_step, _mm512_shuffle_f32x4(a, c, 0xdd));
        _mm512_storeu_ps(to + (12 + j) * to_step, _mm512_shuffle_f32x4(b, d, 0xdd));
    }
}

// The gradient of an image with pairs of channels side by side: (channels / 2, positions)
struct PairedMaps {
    const int64_t pairs, line;

    PairedMaps(int64_t channels, int64_t positions)
        : pairs(4 * ceil_div(channels, 8)), line(ceil_div(positions, 16) * 16) {}

    int64_t count() const { return pairs * line; }
};

// Each of the stride x stride positions of the input within a stride is a phase: its own set of
// taps reaches it. Its positions are (a, b): the padded input's row is stride * a + phase.
//
// A table has the sums of eight outputs at one position. Sixteen inputs are looked up at a time.
class InputGradient {
  public:
    InputGradient(const SignWeights &signs, const Shape &shape)
        : shape(shape), paired(shape.outputs, shape.rows() * shape.columns()),
          reach((shape.size - 1) / shape.stride), blocks(ceil_div(shape.inputs, 16)),
          groups(ceil_div(shape.outputs, 8)),
          down(ceil_div(shape.height + shape.padding, shape.stride)),
          across(ceil_div(shape.width + shape.padding, shape.stride)), pitch(across + reach),
          height(std::clamp<int64_t>(64 / ceil_div(shape.width, shape.stride), 1, down)),
          chunk(std::clamp<int64_t>(NEAR / ((height + reach) * pitch * TABLE * 2), 1, groups)) {
        find_phases();
        take_signs(signs);
    }

    // The gradient of the convolution's input, before its sign, for the gradient of one image;
    // out: (inputs, height, width)
    void run(const uint32_t *pairs, float *out) const {
        thread_local std::vector<uint16_t> table_memory;
        uint16_t *tables = aligned(table_memory, groups * group_step());
        const int64_t start = shape.padding / shape.stride;
        for (int64_t top = start; top < down; top += height) {
            make_tables(pairs, tables, top, top == start);
            for (const Phase &phase : phases) run_phase(phase, tables, out, top);
        }
    }

  private:
    struct Tap {
        int64_t place;  // of its table from the table at (0, 0) of a strip
        int64_t index;  // first of its lookups
    };
    struct Phase {
        int64_t fy, fx, top, bottom, left, right;
        std::vector<Tap> taps;
        int64_t width() const { return right - left; }
    };
    static constexpr int64_t NEAR = 64000;  // bytes of tables that stay in the second-level cache

    const Shape shape;
    const PairedMaps paired;
    const int64_t reach, blocks, groups, down, across, pitch;
    const int64_t height, chunk;  // rows of a strip; groups at a time
    std::vector<Phase> phases;
    std::vector<uint16_t> memory;
    uint16_t *indices;  // (taps, blocks, groups, TABLE)

    int64_t group_step() const { return (height + reach) * pitch * TABLE; }

    void find_phases() {
        const int64_t stride = shape.stride, padding = shape.padding, size = shape.size;
        for (int64_t fy = 0; fy < stride; ++fy)
            for (int64_t fx = 0; fx < stride; ++fx) {
                auto first = [&](int64_t f) {
                    return ceil_div(std::max<int64_t>(0, padding - f), stride);
                };
                auto end = [&](int64_t f, int64_t length) {
                    return ceil_div(std::max<int64_t>(0, length + padding - f), stride);
                };
                Phase phase{fy, fx, first(fy), end(fy, shape.height), first(fx),
                            end(fx, shape.width), {}};
                for (int64_t dy = fy; dy < size; dy += stride)
                    for (int64_t dx = fx; dx < size; dx += stride)
                        phase.taps.push_back(
                            {((reach - dy / stride) * pitch + reach - dx / stride) * TABLE,
                             (dy * size + dx) * blocks * groups * TABLE});
                if (phase.bottom > phase.top && phase.right > phase.left)
                    phases.push_back(phase);
            }
    }

    void take_signs(const SignWeights &signs) {
        indices = aligned(memory, shape.taps() * blocks * groups * TABLE);
        uint16_t *index = indices;
        for (int64_t tap = 0; tap < shape.taps(); ++tap)
            for (int64_t block = 0; block < blocks; ++block)
                for (int64_t group = 0; group < groups; ++group, index += TABLE) {
                    const uint16_t *eight = signs.eight(group, tap, block);
                    _mm512_store_si512(
                        index, lookups(_mm_loadu_si128(reinterpret_cast<const __m128i *>(eight))));
                }
    }

    // Tables of the rows that a strip reads; the first ones are the last of the strip before
    void make_tables(const uint32_t *pairs, uint16_t *tables, int64_t top, bool is_first) const {
        const TableMaker maker;
        const int64_t rows = shape.rows(), columns = shape.columns();
        const __m512i zero = _mm512_setzero_si512();
        for (int64_t group = 0; group < groups; ++group, tables += group_step()) {
            if (!is_first)
                std::memmove(tables, tables + height * pitch * TABLE,
                             size_t(reach * pitch * TABLE) * sizeof(uint16_t));
            const uint32_t *four = pairs + 4 * group * paired.line;
            for (int64_t a = is_first ? 0 : reach; a < height + reach; ++a) {
                const int64_t row = top + a - reach;
                uint16_t *to = tables + a * pitch * TABLE;
                for (int64_t b = 0; b < pitch; ++b, to += TABLE) {
                    const int64_t column = b - reach, p = row * columns + column;
                    const bool inside = row >= 0 && row < rows && column >= 0 && column < columns;
                    _mm512_store_si512(to, inside ? maker.make(four + p, paired.line) : zero);
                }
            }
        }
    }

    // Write the sums of a strip to `out` (inputs, height, width)
    void run_phase(const Phase &phase, const uint16_t *tables, float *out, int64_t top) const {
        const int64_t first = std::max(top, phase.top);
        const int64_t last = std::min(top + height, phase.bottom);
        if (first >= last) return;
        const int64_t width = phase.width(), positions = (last - first) * width;
        const int64_t line = ceil_div(positions, 16) * 16;
        thread_local std::vector<float> sum_memory, map_memory;
        float *sums = aligned(sum_memory, blocks * line * 16);
        float *maps = aligned(map_memory, line * 16);
        tables += ((first - top) * pitch + phase.left) * TABLE;
        for (int64_t group = 0; group < groups; group += chunk) {
            const Work work{&phase.taps, pitch * TABLE, group_step(), groups * TABLE,
                            std::min(chunk, groups - group), line * 16, width * 16, group == 0};
            for (int64_t block = 0; block < blocks; block += 2)
                add_strip(work, std::min<int64_t>(2, blocks - block), last - first, width,
                          tables + group * group_step(),
                          indices + (block * groups + group) * TABLE, sums + block * line * 16);
        }
        for (int64_t block = 0; block < blocks; ++block) {
            for (int64_t p = 0; p < line; p += 16)
                transpose(sums + (block * line + p) * 16, 16, maps + p, line);
            for (int64_t i = 0; i < std::min<int64_t>(16, shape.inputs - 16 * block); ++i)
                put(maps + i * line, out, 16 * block + i, phase, first, last);
        }
    }

    // What is the same for all positions of a strip
    struct Work {
        const std::vector<Tap> *taps;
        int64_t row_step, group_step, block_step, groups, sum_block_step, sum_row_step;
        bool is_first;  // of the chunks: there are no sums yet
    };

    // sums of ROWS x COLUMNS positions, for BLOCKS blocks of 16 inputs
    template <int ROWS, int COLUMNS, int BLOCKS>
    static void add(const Work &work, const uint16_t *tables, const uint16_t *indices,
                    float *sums) {
        __m512 acc[BLOCKS][ROWS * COLUMNS];
        for (int k = 0; k < BLOCKS; ++k)
            for (int i = 0; i < ROWS * COLUMNS; ++i)
                acc[k][i] = work.is_first
                                ? _mm512_setzero_ps()
                                : _mm512_load_ps(sums + k * work.sum_block_step +
                                                 i / COLUMNS * work.sum_row_step +
                                                 i % COLUMNS * 16);
        for (const Tap &tap : *work.taps) {
            const uint16_t *table = tables + tap.place, *index = indices + tap.index;
            for (int64_t group = 0; group < work.groups; ++group) {
                __m512i looked[BLOCKS];
                for (int k = 0; k < BLOCKS; ++k)
                    looked[k] = _mm512_load_si512(index + k * work.block_step);
                for (int r = 0; r < ROWS; ++r)
                    for (int c = 0; c < COLUMNS; ++c) {
                        const __m512i values =
                            _mm512_load_si512(table + r * work.row_step + c * TABLE);
                        for (int k = 0; k < BLOCKS; ++k)
                            acc[k][r * COLUMNS + c] =
                                add_looked_up(acc[k][r * COLUMNS + c], looked[k], values);
                    }
                table += work.group_step;
                index += TABLE;
            }
        }
        for (int k = 0; k < BLOCKS; ++k)
            for (int i = 0; i < ROWS * COLUMNS; ++i)
                _mm512_store_ps(sums + k * work.sum_block_step + i / COLUMNS * work.sum_row_step +
                                    i % COLUMNS * 16,
                                acc[k][i]);
    }

    using Add = void (*)(const Work &, const uint16_t *, const uint16_t *, float *);

    template <int BLOCKS> static Add choose(int64_t rows, int64_t columns) {
        static constexpr Add ONE_ROW[] = {add<1, 1, BLOCKS>, add<1, 2, BLOCKS>, add<1, 3, BLOCKS>,
                                          add<1, 4, BLOCKS>, add<1, 5, BLOCKS>, add<1, 6, BLOCKS>,
                                          add<1, 7, BLOCKS>, add<1, 8, BLOCKS>};
        static constexpr Add MORE_ROWS[] = {add<8, 1, BLOCKS>, add<4, 2, BLOCKS>,
                                            add<2, 3, BLOCKS>, add<2, 4, BLOCKS>};
        return rows == 1 ? ONE_ROW[columns - 1] : MORE_ROWS[columns - 1];
    }

    static void add_strip(const Work &work, int64_t blocks, int64_t rows, int64_t width,
                          const uint16_t *tables, const uint16_t *indices, float *sums) {
        const int64_t together = width > 4 ? 1 : width > 2 ? 2 : 8 / width;
        const int64_t parts = ceil_div(width, 8);
        for (int64_t r = 0; r < rows;) {
            const int64_t high = rows - r >= together ? together : 1;
            for (int64_t part = 0; part < parts; ++part) {
                const int64_t c = width * part / parts, wide = width * (part + 1) / parts - c;
                const Add work_on = blocks == 2 ? choose<2>(high, wide) : choose<1>(high, wide);
                work_on(work, tables + r * work.row_step + c * TABLE, indices,
                        sums + r * work.sum_row_step + c * 16);
            }
            r += high;
        }
    }

    // Write the sums of one input, for a phase of a strip
    void put(const float *sums, float *out, int64_t input, const Phase &phase, int64_t first,
             int64_t last) const {
        const int64_t stride = shape.stride, width = phase.width();
        const int64_t row = stride * first + phase.fy - shape.padding;
        float *to = out + (input * shape.height + row) * shape.width + stride * phase.left +
                    phase.fx - shape.padding;
        if (stride == 1)  // whole rows
            std::copy(sums, sums + (last - first) * width, to);
        else
            for (int64_t a = first; a < last; ++a, sums += width, to += stride * shape.width)
                for (int64_t i = 0; i < width; ++i) to[i * stride] = sums[i];
    }
};

}  // namespace ir2::bfloat16
