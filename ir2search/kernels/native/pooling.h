// Averages over the cells of a grid, as in an adaptive average pooling.

#pragma once

#include "common.h"

namespace ir2 {

// From maps (height, width) to (rows, columns). The borders of cells are rounded outwards, so that
// cells overlap if the sizes do not divide.
class Pooling {
  public:
    Pooling(int64_t height, int64_t width, int64_t rows, int64_t columns)
        : height(height), width(width), of_rows(cells(height, rows)),
          of_columns(cells(width, columns)) {}

    // averages: (rows, columns); line has the width of the map
    void average(const float *map, float *averages, float *line) const {
        if (is_copy()) {
            std::copy(map, map + height * width, averages);
            return;
        }
        for (const Cell &row : of_rows) {
            std::copy(map + row.begin * width, map + (row.begin + 1) * width, line);
            for (int64_t a = row.begin + 1; a < row.end; ++a) add(map + a * width, line);
            for (const Cell &column : of_columns) {
                float sum = 0.f;
                for (int64_t b = column.begin; b < column.end; ++b) sum += line[b];
                *averages++ = sum * row.share * column.share;
            }
        }
    }

    // The gradient of the map, for that of the averages
    void spread(const float *gradient, float *map, float *line) const {
        if (is_copy()) {
            std::copy(gradient, gradient + height * width, map);
            return;
        }
        int64_t written = 0;  // rows of the map
        for (const Cell &row : of_rows) {
            std::fill(line, line + width, 0.f);
            for (const Cell &column : of_columns) {
                const float part = *gradient++ * row.share * column.share;
                for (int64_t b = column.begin; b < column.end; ++b) line[b] += part;
            }
            for (int64_t a = row.begin; a < row.end; ++a)
                if (a < written)
                    add(line, map + a * width);
                else
                    std::copy(line, line + width, map + a * width);
            written = row.end;
        }
    }

  private:
    struct Cell {
        int64_t begin, end;
        float share;  // of a position
    };
    const int64_t height, width;
    const std::vector<Cell> of_rows, of_columns;

    static std::vector<Cell> cells(int64_t length, int64_t count) {
        std::vector<Cell> result;
        for (int64_t i = 0; i < count; ++i) {
            const int64_t begin = i * length / count, end = ceil_div((i + 1) * length, count);
            result.push_back({begin, end, 1.f / float(end - begin)});
        }
        return result;
    }

    bool is_copy() const {
        return int64_t(of_rows.size()) == height && int64_t(of_columns.size()) == width;
    }

    void add(const float *from, float *to) const {
#pragma omp simd
        for (int64_t c = 0; c < width; ++c) to[c] += from[c];
    }
};

}  // namespace ir2
