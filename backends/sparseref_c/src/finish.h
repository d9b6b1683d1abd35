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
ALWAYS_INLINE void finish_vector(const Product *p, vec sums, int64_t t, int64_t r, int64_t count, int turned)
{
    const REAL *bias = (const REAL *)p->bias;
    if (bias)
        sums += turned ? load_some(bias + r, 1, count) : broadcast(bias[r]);
    sums = activated(sums, p->activation);
    if (p->added.first)
        sums += load_some(element(&p->added, t, r), turned ? p->added.inner : p->added.outer, count);
    store_some(element(&p->y, t, r), turned ? p->y.inner : p->y.outer, count, sums);
}

/* y tile [rows][width], the rows from first_row on -> y, tokens from first_token on. */
static void finish(const Product *p, int64_t first_token, int64_t tokens, int64_t first_row, int64_t rows, const REAL *tile,
                   int width)
{
    if (p->y.outer == 1) {                                 /* y has its tokens side by side, as the tile has */
        for (int64_t r = 0; r < rows; r++)
            for (int64_t t = 0; t < tokens; t += LANES)
                finish_vector(p, load(tile + r * width + t), first_token + t, first_row + r,
                              tokens - t < LANES ? tokens - t : LANES, 0);
        return;
    }
    for (int64_t r = 0; r < rows; r += LANES) {
        int64_t some_rows = rows - r < LANES ? rows - r : LANES;
        for (int64_t t = 0; t < tokens; t += LANES) {
            vec square[LANES];
#pragma GCC unroll 16
            for (int i = 0; i < LANES; i++)
                square[i] = i < some_rows ? load(tile + (r + i) * width + t) : (vec){0};
            transpose(square);
            for (int64_t i = 0; i < LANES && t + i < tokens; i++)
                finish_vector(p, square[i], first_token + t + i, first_row + r, some_rows, 1);
        }
    }
}

#endif
