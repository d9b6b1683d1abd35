/* How many vectors of tokens a tile has. */
#ifndef SPARSEREF_TILES_H
#define SPARSEREF_TILES_H

#include "vectors.h"

/* Few tokens: as many vectors as they fill.  V is one of 1, 2, 3, 4, 6, 8. */
ALWAYS_INLINE int vectors_for(int64_t tokens)
{
    int V = (int)((tokens + LANES - 1) / LANES);
    return V <= 4 ? V : V <= 6 ? 6 : 8;
}

#endif
