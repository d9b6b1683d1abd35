/* Squares of LANES x LANES are turned in registers, in log2(LANES) steps.
 *
 *   step 0      a0 a1 a2 a3       a0 b0 a2 b2      step 1 does the same with pairs, step 2 with fours:
 *               b0 b1 b2 b3       a1 b1 a3 b3      blocks off the diagonal change places
 */
#ifndef SPARSEREF_TRANSPOSE_H
#define SPARSEREF_TRANSPOSE_H

#include "vectors.h"

#if defined(__clang__) || __GNUC__ >= 12
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (lanes){__VA_ARGS__})
#endif

/* Two rows keep the lanes of the first list and take those of the second; PAIRS(s, ...) does so for rows that differ in bit s. */
#define EXCHANGE(low, high, keep, take)     \
    do {                                    \
        vec kept = SHUFFLE(low, high, keep); \
        high = SHUFFLE(low, high, take);    \
        low = kept;                         \
    } while (0)
#define LIST(...) __VA_ARGS__

/* row[i] lane j <-> row[j] lane i */
ALWAYS_INLINE void transpose(vec *row)
{
#define PAIRS(s, keep, take)                              \
    _Pragma("GCC unroll 16") for (int i = 0; i < LANES; i++) \
        if (!(i & (1 << s)))                              \
            EXCHANGE(row[i], row[i + (1 << s)], LIST keep, LIST take)
#if VECTOR_BYTES == 16 && REAL_BYTES == 8
    PAIRS(0, (0, 2), (1, 3));
#elif (VECTOR_BYTES == 16 && REAL_BYTES == 4) || (VECTOR_BYTES == 32 && REAL_BYTES == 8)
    PAIRS(0, (0, 4, 2, 6), (1, 5, 3, 7));
    PAIRS(1, (0, 1, 4, 5), (2, 3, 6, 7));
#elif (VECTOR_BYTES == 32 && REAL_BYTES == 4) || (VECTOR_BYTES == 64 && REAL_BYTES == 8)
    PAIRS(0, (0, 8, 2, 10, 4, 12, 6, 14), (1, 9, 3, 11, 5, 13, 7, 15));
    PAIRS(1, (0, 1, 8, 9, 4, 5, 12, 13), (2, 3, 10, 11, 6, 7, 14, 15));
    PAIRS(2, (0, 1, 2, 3, 8, 9, 10, 11), (4, 5, 6, 7, 12, 13, 14, 15));
#elif VECTOR_BYTES == 64 && REAL_BYTES == 4
    PAIRS(0, (0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30),
          (1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31));
    PAIRS(1, (0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29),
          (2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31));
    PAIRS(2, (0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27),
          (4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31));
    PAIRS(3, (0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23),
          (8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31));
#else
#error "vectors of 16, 32 or 64 bytes of float or double"
#endif
#undef PAIRS
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
