/* Squares of LANES x LANES are turned in registers, in log2(LANES) steps of one instruction for each vector.
 *
 *   a0 a1 a2 a3      a0 b0 a1 b1      a0 b0 c0 d0     floats: step 0 interleaves rows 1 apart, step 1 takes pairs of rows
 *   b0 b1 b2 b3      a2 b2 a3 b3      a2 b2 c2 d2     2 apart; further steps exchange 128-bit parts, 4 and 8 apart
 *   c0 c1 c2 c3  ->  c0 d0 c1 d1  ->  a1 b1 c1 d1
 *   d0 d1 d2 d3      c2 d2 c3 d3      a3 b3 c3 d3     rows 1 and 2 of each four have changed places: put right by name
 */
#ifndef SPARSEREF_TRANSPOSE_H
#define SPARSEREF_TRANSPOSE_H

#include "vectors.h"

#if defined(__clang__) || __GNUC__ >= 12
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (lanes){__VA_ARGS__})
#endif

/* STEP(s, one, other): rows i and i + s become what the two lists take of both, or the sum of that. */
#define LIST(...) __VA_ARGS__
#define PAIR(low, high, one, other)           \
    do {                                      \
        vec first = SHUFFLE(low, high, one);  \
        high = SHUFFLE(low, high, other);     \
        low = first;                          \
    } while (0)
#define STEP(s, one, other)                                  \
    _Pragma("GCC unroll 16") for (int i = 0; i < LANES; i++) \
        if (!(i & (add ? 2 * s - 1 : s))) {                  \
            PAIR(row[i], row[i + s], LIST one, LIST other);  \
            if (add)                                         \
                row[i] += row[i + s];                        \
        }

/* The steps alone: lane i of every row comes from row i.  add: only the sum of all rows is wanted, in row[0]. */
ALWAYS_INLINE void turn(vec *row, const int add)
{
#if VECTOR_BYTES == 16 && REAL_BYTES == 8
    STEP(1, (0, 2), (1, 3));
#elif VECTOR_BYTES == 32 && REAL_BYTES == 8
    STEP(1, (0, 4, 2, 6), (1, 5, 3, 7));
    STEP(2, (0, 1, 4, 5), (2, 3, 6, 7));
#elif VECTOR_BYTES == 64 && REAL_BYTES == 8
    STEP(1, (0, 8, 2, 10, 4, 12, 6, 14), (1, 9, 3, 11, 5, 13, 7, 15));
    STEP(2, (0, 1, 4, 5, 8, 9, 12, 13), (2, 3, 6, 7, 10, 11, 14, 15));
    STEP(4, (0, 1, 4, 5, 8, 9, 12, 13), (2, 3, 6, 7, 10, 11, 14, 15));
#elif VECTOR_BYTES == 16 && REAL_BYTES == 4
    STEP(1, (0, 4, 1, 5), (2, 6, 3, 7));
    STEP(2, (0, 1, 4, 5), (2, 3, 6, 7));
#elif VECTOR_BYTES == 32 && REAL_BYTES == 4
    STEP(1, (0, 8, 1, 9, 4, 12, 5, 13), (2, 10, 3, 11, 6, 14, 7, 15));
    STEP(2, (0, 1, 8, 9, 4, 5, 12, 13), (2, 3, 10, 11, 6, 7, 14, 15));
    STEP(4, (0, 1, 2, 3, 8, 9, 10, 11), (4, 5, 6, 7, 12, 13, 14, 15));
#elif VECTOR_BYTES == 64 && REAL_BYTES == 4
    STEP(1, (0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29),
         (2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31));
    STEP(2, (0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29),
         (2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31));
    STEP(4, (0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27),
         (4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31));
    STEP(8, (0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27),
         (4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31));
#else
#error "vectors of 16, 32 or 64 bytes of float or double"
#endif
}

/* row[i] lane j <-> row[j] lane i */
ALWAYS_INLINE void transpose(vec *row)
{
    turn(row, 0);
#if REAL_BYTES == 4
#pragma GCC unroll 4
    for (int i = 0; i < LANES; i += 4) {
        vec kept = row[i + 1];
        row[i + 1] = row[i + 2];
        row[i + 2] = kept;
    }
#endif
}

/* -> lane i: the sum of row[i]'s lanes.  A step leaves half as many rows: two shuffles and an addition for each sum. */
ALWAYS_INLINE vec sums_of_rows(vec *row)
{
    turn(row, 1);
    return row[0];
}

/* to[j * to_stride + i] = from[i * from_stride + j] for i, j < LANES */
ALWAYS_INLINE void transpose_square(const REAL *from, int64_t from_stride, REAL *to, int64_t to_stride)
{
    vec row[LANES];
#pragma GCC unroll 16
    for (int i = 0; i < LANES; i++)
        row[i] = load(from + i * from_stride);
    transpose(row);
#pragma GCC unroll 16
    for (int i = 0; i < LANES; i++)
        store(to + i * to_stride, row[i]);
}

#endif
