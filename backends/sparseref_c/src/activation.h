/* What may follow a linear, a vector at a time. */
#ifndef SPARSEREF_ACTIVATION_H
#define SPARSEREF_ACTIVATION_H

#include "runs.h"
#include "vectors.h"

/* max(x, 0); a NaN stays one. */
ALWAYS_INLINE vec relu(vec x)
{
    return (vec)((lanes)x & ~(x < 0));
}

ALWAYS_INLINE vec activated(vec x, int32_t activation)
{
    return activation == RELU ? relu(x) : x;
}

#endif
