/* What may follow a linear, a vector at a time. */
#ifndef SPARSEREF_ACTIVATION_H
#define SPARSEREF_ACTIVATION_H

#include "exponential.h"
#include "runs.h"

/* max(x, 0); a NaN stays one. */
ALWAYS_INLINE vec relu(vec x)
{
    return (vec)((lanes)x & ~(x < 0));
}

/* Phi(-z), z >= 0: half of erfc(z / sqrt 2). */
ALWAYS_INLINE vec normal_tail(vec z)
{
#if REAL_BYTES == 4
    vec t = 1.0f / (1.0f + z * (0.3f * 0x1.6a09e6p-1f));
    vec p = broadcast(-6.471696695e-2f);                   /* erfcx / 2, fitted to a relative error of 2e-8 up to z = 13 */
    p = p * t + 2.425478797e-1f;
    p = p * t - 2.556125276e-1f;
    p = p * t + 2.731967511e-1f;
    p = p * t - 4.681510764e-2f;
    p = p * t + 1.072179259e-1f;
    p = p * t + 7.424126762e-2f;
    p = p * t + 8.534596041e-2f;
    p = p * t + 8.459480779e-2f;
    return p * t * exponential(z * z * -0.5f);
#else
    for (int i = 0; i < LANES; i++)
        z[i] = 0.5 * erfc(z[i] * 0x1.6a09e667f3bcdp-1);
    return z;
#endif
}

/* x Phi(x), 0 at minus infinity (GELU-1). */
ALWAYS_INLINE vec gelu(vec x)
{
    vec tail = normal_tail(choose(x < 0, -x, x));
    return choose(tail == 0, relu(x), x * choose(x < 0, tail, 1 - tail));
}

/* x (1 + tanh u) / 2 = x / (1 + e**(-2u)), u = sqrt(2 / pi) (x + 0.044715 x**3); 0 at minus infinity (GELU-1). */
ALWAYS_INLINE vec gelu_tanh(vec x)
{
    const REAL slope = (REAL)1.5957691216057308, cubic = (REAL)0.044715;
    vec twice_u = slope * (x + cubic * x * x * x);
    vec small = exponential(-choose(twice_u < 0, -twice_u, twice_u));      /* so that nothing overflows */
    vec factor = choose(twice_u < 0, small, broadcast(1)) / (1 + small);
    return choose(factor == 0, (vec){0}, x * factor);
}

ALWAYS_INLINE vec activated(vec x, int32_t activation)
{
    switch (activation) {
    case RELU: return relu(x);
    case GELU: return gelu(x);
    case GELU_TANH: return gelu_tanh(x);
    default: return x;
    }
}

#endif
