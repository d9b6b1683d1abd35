/* A weight in the order in which the kernel multiplies it.
 *
 * A run is n rows of the weight that store entries in the same columns:
 *
 *             k0  k1  k2 ...   columns of one run
 *     row a   v   v   v        each: one load of x, n multiplications
 *     row b   v   v   v
 *
 * The g columns of a pattern are a run of nmg (NMG-C4), or those that several block rows meet in the same patterns; the stored
 * entries of a row are one of csr, with n = 1.  Padding is left out, so it is never read.  A panel is all runs of a group of rows
 * within a block of columns: as much of x as a cache holds.  Runs of a panel with equal n are neighbours, in segments.
 *
 * Four runs may go abreast: column 0 of each, column 1 of each, ..., and so their values.  They are the runs of one pattern in
 * four block rows, so that row i of the four is block_rows apart.  All are as long as the longest in memory: a shorter one goes
 * on with the column behind the last, which is 0 in every x.
 *
 * The same runs may stand there twice: abreast for few tokens, and alone for many, block row by block row, so that its sums stay
 * in the first-level cache, and those of a row in registers as long as runs begin with it.
 *
 * And once more for a single token, in Runs of their own: sixteen rows abreast, each with entries of its own, so that a vector
 * holds sums of sixteen.  Such rows are neighbours in the order of single.h, and have one Run: the longest of theirs, the others
 * filled up as above.  Their columns are bytes, four in a number of `column`, counted from first_x; BEHIND is the column behind
 * the last.
 */
#ifndef SPARSEREF_RUNS_H
#define SPARSEREF_RUNS_H

#include <stddef.h>
#include <stdint.h>

enum { MOST_ROWS = 4, MOST_VECTORS = 8, ABREAST = 4, SIXTEEN = 16, BEHIND = 255 };     /* rows of a run, n above 4 is cut up; vectors of tokens in a tile */
enum { ONE_TOKEN = 1, FEW_TOKENS = 2, MANY_TOKENS = 4 };  /* few: too few for the sums of one run to keep the multipliers at work */

typedef struct {
    uint32_t count;                /* columns */
    uint32_t row[MOST_ROWS];       /* counted from the first row of the group */
} Run;

static inline size_t longest(const Run *run, int runs)
{
    size_t most = run->count;
    for (int r = 1; r < runs; r++)
        most = run[r].count > most ? run[r].count : most;
    return most;
}

typedef struct {
    uint64_t first_run, runs;
    uint64_t first_column;         /* where its columns begin */
    uint64_t first_value;          /* where its values begin: run by run, column by column, n each, of each run abreast */
    uint32_t n;
    uint16_t abreast;              /* 1, ABREAST: runs in fours, or SIXTEEN: n is 1 and row[0] the place of the first sum */
    uint16_t serves;               /* ONE_TOKEN, FEW_TOKENS, MANY_TOKENS or several; others pass it by */
    uint32_t first_x, x_columns;   /* its columns are among these, but for those behind the last */
} Segment;

typedef struct Runs {
    int64_t rows, columns;         /* of the weight, O and K */
    int64_t group_rows, groups;    /* rows of a group, the last may have fewer */
    int64_t widest_run;            /* the largest n of a segment */
    int64_t block_rows;            /* rows of a block row, m; 1 where there are none */
    const int64_t *segment_of;     /* [groups + 1]: segments of each group, column block by column block */
    const Segment *segments;
    const Run *runs;
    const uint32_t *column;
    const void *value;             /* float or double */
    const struct Runs *one_token;  /* the same weight in as many groups, for a product of one token, or null */
} Runs;

/* The columns of a segment whose rows go abreast by sixteens. */
static inline const uint8_t *bytes_of(const Runs *w, const Segment *s) { return (const uint8_t *)(w->column + s->first_column); }

static inline uint32_t byte_column(const Runs *w, const Segment *s, uint8_t byte)
{
    return byte == BEHIND ? (uint32_t)w->columns : s->first_x + byte;
}

/* Where things are in memory: element (i, j) is first[i * outer + j * inner], strides counted in elements. */
typedef struct {
    void *first;
    int64_t outer, inner;
} Matrix;

/* What lies under the kernel of a convolution, as x: token t is place t of out_height x out_width, column k = (channel, i, j) of
 * channels x kernel_height x kernel_width.  Beside the image is 0.  Strides of the image are counted in elements. */
typedef struct {
    const void *image;
    int64_t channels, height, width;
    int64_t channel_stride, row_stride, column_stride;
    int64_t kernel_height, kernel_width, stride_height, stride_width, pad_height, pad_width, dilation_height, dilation_width;
    int64_t out_height, out_width;
} Patches;

enum { NO_ACTIVATION, RELU, GELU, GELU_TANH };

/* y [T, O] = activation(x [T, K] W^T + bias [O]) + added [T, O], or activation(x W^T + bias + added); bias and added may be null.
 *
 * Products of the same x stand beside each other.  Where y is the x of one more product and wanted for nothing else, that is
 * `then`, and y is not written.
 */
typedef struct Product {
    const Runs *weight;
    Matrix x, y, added;
    const void *bias;
    int64_t tokens;
    int32_t activation;
    int32_t added_first;           /* before the activation */
    const Patches *patches;        /* instead of x, or null */
    const struct Product *then;    /* of its own: weight, y, added, bias, activation */
    const struct Product *beside;  /* the same and `then` */
} Product;

/* gradient [values of the weight, in its order] += for the value at row r and column k: the sum of grad[t][r] x[t][k] over all
 * tokens t; grad is 0 in rows that there are not. */
typedef struct {
    const Runs *weight;
    Matrix grad, x;                /* [T, O], [T, K] */
    void *gradient;
    int64_t tokens;
    const Patches *patches;        /* instead of x, or null */
} Sampled;

#endif
