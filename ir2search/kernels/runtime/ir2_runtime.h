/* Runs a 1-bit network: a list of steps over one block of memory, the arena. C99; no malloc, no
   library function but memcpy, memmove and memset. The processor must be little-endian.

   A feature map has its channels last. A map of numbers holds floats. A map of signs holds one bit
   for each channel, 1 for +1; a pixel starts at a whole byte, and its last bits are 0. */

#ifndef IR2_RUNTIME_H
#define IR2_RUNTIME_H

#include <stddef.h>
#include <stdint.h>

enum ir2_operation {
    IR2_CONVOLVE_SIGNS,   /* by XOR and by counting the bits that differ */
    IR2_CONVOLVE_NUMBERS, /* also linear layers: a map of one pixel */
    IR2_POINTWISE,        /* only the flags below, on a map of numbers */
    IR2_POOL_MEAN,
    IR2_POOL_MAX,
    IR2_POOL_SIGNS, /* the sign of the maximum */
    IR2_COPY,       /* the first `copied` channels of every stride-th pixel, to channel `before` */
    IR2_SUBSAMPLE,  /* IR2_COPY, and 0 in all other channels */
    IR2_SHUFFLE,    /* deals the channels of `groups` in turn */
    IR2_FLATTEN,    /* channel by channel */
    IR2_EIGHT_BITS, /* rounds to -128 to 127, in units of 1 / `units` */
    IR2_PIXELS      /* the bytes of the image, divided by 255, minus `shift`, divided by `scale` */
};

/* What follows the sums of a step, in this order. */
enum ir2_form {
    IR2_LIMITS = 1,       /* signs: +1 if at most `borders` signs differ; no other flag is set */
    IR2_SCALE = 2,        /* multiply by `scale` */
    IR2_SHIFT = 4,        /* add `shift` */
    IR2_SHORTCUT = 8,     /* add the map `shortcut` */
    IR2_HARDTANH = 16,    /* clip to -1 to 1 */
    IR2_PRELU = 32,       /* multiply by `slope` where negative */
    IR2_SHIFTED = 64,     /* with IR2_PRELU: subtract `knee` before it, add `rise` after it */
    IR2_REAL = 128,       /* write the numbers to `real` */
    IR2_SIGNS = 256,      /* write the signs to `signs`: +1 if at least `threshold` */
    IR2_PLUS_MINUS = 512, /* write the signs to `real`, as 1 and -1 */
    IR2_ADAPTIVE = 1024   /* pooling: windows divide the map evenly */
};

/* Where a map is in the arena, in bytes: its rows follow each other, or each has a place. */
typedef struct {
    size_t place;        /* of the first row; multiplied by the number of images */
    const int32_t *rows; /* places of all rows, of one image; NULL if they follow each other */
} ir2_map;

/* One operation. Arrays by output are padded to whole blocks of outputs, see ir2_lanes. */
typedef struct {
    int32_t operation;               /* enum ir2_operation */
    int32_t form;                    /* flags of enum ir2_form */
    int32_t height, width, channels; /* of the input */
    int32_t rows, columns, outputs;  /* of the output */
    int32_t size, stride, padding;   /* of a window */
    int32_t groups;                  /* of channels */
    int32_t units;                   /* of IR2_EIGHT_BITS */
    int32_t chunk;                   /* output rows that share one copy of the input's rows */
    int32_t copied, before;          /* of IR2_COPY and IR2_SUBSAMPLE */
    int32_t column_kinds;            /* number of kinds in `column_kind` */
    ir2_map source, shortcut, real, signs;
    size_t scratch;          /* place of copies of rows in the arena */
    const uint32_t *bits;    /* (blocks, words of a patch, outputs of a block) */
    const float *weights;    /* (blocks, numbers of a patch, outputs of a block) */
    const float *scale, *shift, *knee, *slope, *rise, *threshold; /* (outputs) */
    /* Pixels outside the map are 0 bits, so sums of positions at a border need a correction.
       A position has a kind of row and a kind of column. Without IR2_LIMITS: the sum if no sign
       differed. With IR2_LIMITS: the most signs that may differ for +1. */
    const int32_t *borders;     /* (kinds of rows, kinds of columns, outputs) */
    const uint8_t *row_kind;    /* (rows) */
    const uint8_t *column_kind; /* (columns) */
    const uint8_t *falling;     /* IR2_POOL_SIGNS: bits of channels whose sign falls */
} ir2_step;

/* Outputs of a block. A microcontroller takes outputs one by one. */
int32_t ir2_lanes(void);

/* Output rows of a step that run without another step between them. */
typedef struct {
    uint16_t step, first, last; /* the last row is not one of them */
} ir2_rows;

/* Run a network on the pixels of one image.

   order: what runs, in this order. A step may begin before the ones that it reads have ended, so
   that few rows of large maps are in the arena at a time. */
void ir2_run(const ir2_step *steps, const ir2_rows *order, int32_t count, uint8_t *arena,
             const uint8_t *pixels);

/* Run some output rows of a step, of all rows of all images of a batch.

   scratch: memory for copies of rows, of this call alone. */
void ir2_run_rows(const ir2_step *step, uint8_t *arena, size_t images, uint8_t *scratch,
                  size_t first, size_t last);

#endif
