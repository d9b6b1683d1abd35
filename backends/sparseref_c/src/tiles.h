/* How many vectors of tokens a tile has. */
#ifndef SPARSEREF_TILES_H
#define SPARSEREF_TILES_H

#include "vectors.h"

/* For runs of n rows: n x V sums, n values and one vector of x have to fit the registers.  Measured: at n = 1 64 tokens feed the
 * multipliers best, and more than 4 vectors gain nothing elsewhere. */
ALWAYS_INLINE int vectors_at_most(int n)
{
    if (n == 1)
        return VECTOR_BYTES == 64 ? 4 : 8;
    return n <= 3 || REGISTERS == 32 ? 4 : 2;
}

/* Few tokens: as many vectors as they fill.  V is one of 1, 2, 3, 4, 6, 8. */
ALWAYS_INLINE int vectors_for(int64_t tokens)
{
    int V = (int)((tokens + LANES - 1) / LANES);
    return V <= 4 ? V : V <= 6 ? 6 : 8;
}

#endif
