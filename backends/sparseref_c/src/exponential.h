/* e**x of a vector: x = k ln 2 + r, |r| <= ln 2 / 2, and e**r a polynomial.  Floats to 2 units in the last place; doubles by libm. */
#ifndef SPARSEREF_EXPONENTIAL_H
#define SPARSEREF_EXPONENTIAL_H

#include "vectors.h"

#include <math.h>

#if REAL_BYTES == 4

/* 0 below -87, where the numbers cease to be normal; x must not be above 88.  A NaN stays one. */
ALWAYS_INLINE vec exponential(vec x)
{
    const float round_to_whole = 0x1.8p23f;                /* at 2**23 a float has no fraction left */
    vec k = (x * 0x1.715476p0f + round_to_whole) - round_to_whole;
    vec r = (x - k * 0x1.62ep-1f) - k * 0x1.0bfbe8p-15f;   /* ln 2 in two parts, k times the first is exact */
    vec p = broadcast(1.381461363e-3f);                    /* fitted to a relative error of 3e-9 */
    p = p * r + 8.368710257e-3f;
    p = p * r + 4.166838739e-2f;
    p = p * r + 1.666652069e-1f;
    p = p * r + 4.999999345e-1f;
    p = (p * r) * r + r + 1.0f;
    lanes scale = (__builtin_convertvector(choose(x >= -87.0f, k, (vec){0}), lanes) + 127) << 23;
    return choose(x < -87.0f, (vec){0}, p * (vec)scale);
}

#else

ALWAYS_INLINE vec exponential(vec x)
{
    for (int i = 0; i < LANES; i++)
        x[i] = exp(x[i]);
    return x;
}

#endif

#endif
