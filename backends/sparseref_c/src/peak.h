/* As many multiplications and additions as the machine can do: what a kernel's speed is a share of. */
#ifndef SPARSEREF_PEAK_H
#define SPARSEREF_PEAK_H

#include "vectors.h"

enum { CHAINS = 12 };              /* enough to hide the latency of one, few enough for 16 registers */

/* 2 * CHAINS * LANES operations in each round; the sum keeps the compiler from leaving them out. */
static double NAME(spin)(int64_t rounds)
{
    vec acc[CHAINS], factor = broadcast((REAL)0.5), term = broadcast((REAL)rounds);
    for (int c = 0; c < CHAINS; c++)
        acc[c] = broadcast((REAL)c);                       /* not the same, or one chain would do for all */
    for (int64_t i = 0; i < rounds; i++)
#pragma GCC unroll 12
        for (int c = 0; c < CHAINS; c++)
            acc[c] = acc[c] * factor + term;
    double sum = 0;
    for (int c = 0; c < CHAINS; c++)
        sum += (double)acc[c][0];
    return sum;
}

#endif
