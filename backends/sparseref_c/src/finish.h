/* From a y tile to y: bias, activation, what is added, and the strides that the caller has. */
#ifndef SPARSEREF_FINISH_H
#define SPARSEREF_FINISH_H

#include "activation.h"
#include "runs.h"
#include "transpose.h"

/* `count` of LANES elements, `stride` apart, the others 0; and back. */
ALWAYS_INLINE vec load_some(const REAL *from, int64_t stride, int64_t count)
{
    if (stride == 1 && count == LANES)
        return load(from);
    REAL some[LANES] = {0};
    for (int64_t i = 0; i < count; i++)
        some[i] = from[i * stride];
    return load(some);
}

ALWAYS_INLINE void store_some(REAL *to, int64_t stride, int64_t count, vec value)
{
    if (stride == 1 && count == LANES) {
        store(to, value);
        return;
    }
    REAL some[LANES];
    store(some, value);
    for (int64_t i = 0; i < count; i++)
        to[i * stride] = some[i];
}

ALWAYS_INLINE REAL *element(const Matrix *matrix, int64_t outer, int64_t inner)
{
    return (REAL *)matrix->first + outer * matrix->outer + inner * matrix->inner;
}

/* One vector of y at token t: rows r, r + 1 ... where `turned`, else tokens t, t + 1 ... of row r. */
ALWAYS_INLINE void finish_vector(const Product *p, vec sums, int64_t t, int64_t r, int64_t count, const int turned,
                                 const int activation)
{
    vec added = p->added.first ? load_some(element(&p->added, t, r), turned ? p->added.inner : p->added.outer, count) : (vec){0};
    sums = p->added_first ? activated(sums + added, activation) : activated(sums, activation) + added;
    store_some(element(&p->y, t, r), turned ? p->y.inner : p->y.outer, count, sums);
}

/* The sums of row r -> y, which has its tokens side by side. */
ALWAYS_INLINE void finish_row(const Product *p, const REAL *sums, int64_t first, int64_t tokens, int64_t r, const int activation)
{
    int64_t t = 0;
    if (!p->added.first || p->added.outer == 1) {
        REAL *y = element(&p->y, first, r);
        const REAL *added = p->added.first ? element(&p->added, first, r) : NULL;
        const int added_first = p->added_first;            /* known here: what is written could be p's */
        for (; t + LANES <= tokens; t += LANES) {
            vec sum = load(sums + t), more = added ? load(added + t) : (vec){0};
            store(y + t, added_first ? activated(sum + more, activation) : activated(sum, activation) + more);
        }
    }
    for (; t < tokens; t += LANES)
        finish_vector(p, load(sums + t), first + t, r, tokens - t < LANES ? tokens - t : LANES, 0, activation);
}

/* LANES x LANES sums, tile [LANES][width] -> y, tokens from t and rows from r on; all of them, each token's rows side by side. */
ALWAYS_INLINE void finish_square(const REAL *tile, size_t width, REAL *y, size_t y_stride, const REAL *added, size_t added_stride,
                                 int added_first, const int activation)
{
    vec square[LANES];
#pragma GCC unroll 16
    for (int i = 0; i < LANES; i++)
        square[i] = load(tile + (size_t)i * width);
    transpose(square);
#pragma GCC unroll 16
    for (int i = 0; i < LANES; i++) {
        vec more = added ? load(added + (size_t)i * added_stride) : (vec){0};
        store(y + (size_t)i * y_stride, added_first ? activated(square[i] + more, activation) : activated(square[i], activation) + more);
    }
}

/* The same of fewer tokens or rows, or of any strides. */
static void finish_corner(const Product *p, const REAL *tile, int width, int64_t t, int64_t tokens, int64_t r, int64_t rows)
{
    vec square[LANES];
    for (int i = 0; i < LANES; i++)
        square[i] = i < rows ? load(tile + i * width) : (vec){0};
    transpose(square);
    for (int64_t i = 0; i < tokens && i < LANES; i++)
        finish_vector(p, square[i], t + i, r, rows, 1, p->activation);
}

ALWAYS_INLINE void finish_tile(const Product *p, int64_t first_token, int64_t tokens, int64_t first_row, int64_t rows,
                               const REAL *tile, int width, const int activation)
{
    if (p->y.outer == 1) {                                 /* y has its tokens side by side, as the tile has */
        for (int64_t r = 0; r < rows; r++)
            finish_row(p, tile + r * width, first_token, tokens, first_row + r, activation);
        return;
    }
    int plain = p->y.inner == 1 && (!p->added.first || p->added.inner == 1);
    for (int64_t lines = 0; lines < tokens; lines += LINE)         /* whole cache lines of the tile, and few rows of y at once */
        for (int64_t r = 0; r < rows; r += LANES)
            for (int64_t t = lines; t < lines + LINE && t < tokens; t += LANES) {
                const REAL *from = tile + r * width + t;
                if (plain && rows - r >= LANES && tokens - t >= LANES)
                    finish_square(from, (size_t)width, element(&p->y, first_token + t, first_row + r), (size_t)p->y.outer,
                                  p->added.first ? element(&p->added, first_token + t, first_row + r) : NULL,
                                  (size_t)p->added.outer, p->added_first, activation);
                else
                    finish_corner(p, from, width, first_token + t, tokens - t, first_row + r, rows - r < LANES ? rows - r : LANES);
            }
}

/* y tile [rows][width], the rows from first_row on -> y, tokens from first_token on. */
static void finish(const Product *p, int64_t first_token, int64_t tokens, int64_t first_row, int64_t rows, const REAL *tile,
                   int width)
{
    switch (p->activation) {
    case RELU: finish_tile(p, first_token, tokens, first_row, rows, tile, width, RELU); break;
    case GELU: finish_tile(p, first_token, tokens, first_row, rows, tile, width, GELU); break;
    case GELU_TANH: finish_tile(p, first_token, tokens, first_row, rows, tile, width, GELU_TANH); break;
    default: finish_tile(p, first_token, tokens, first_row, rows, tile, width, NO_ACTIVATION); break;
    }
}

#endif
