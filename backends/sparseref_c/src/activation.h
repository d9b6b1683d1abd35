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

/* x Phi(x), 0 at minus infinity (GELU-1).
 *
 * Floats: Phi(x) = 1/2 + x P(t), t = 2 x**2 / FAR**2 - 1, a polynomial fitted to an error of Phi of 1.3e-8 for |x| <= FAR.  In t, not in
 * x**2: its coefficients are small, so that rounding leaves 1.6e-7.  Farther out Phi is 0 or 1 to 1.0e-7.  That is absolute: of the
 * tail below -4.8, where x Phi(x) is less than 4e-6, a tenth and more may be lost.
 */
ALWAYS_INLINE vec gelu(vec x)
{
#if REAL_BYTES == 4
    const float far = 5.2f;
    vec square = x * x, t = square * (2 / (far * far)) - 1;
    vec p = broadcast(2.023934794e-4f);
    p = p * t - 5.622918834e-4f;
    p = p * t + 6.007476477e-4f;
    p = p * t - 9.785112925e-4f;
    p = p * t + 2.662458224e-3f;
    p = p * t - 5.067373160e-3f;
    p = p * t + 8.010079153e-3f;
    p = p * t - 1.235335693e-2f;
    p = p * t + 1.813392527e-2f;
    p = p * t - 2.476345003e-2f;
    p = p * t + 3.196232393e-2f;
    p = p * t - 3.992539644e-2f;
    p = p * t + 5.002611130e-2f;
    p = p * t - 6.774380803e-2f;
    p = p * t + 1.359499842e-1f;
    return choose(square <= far * far, x * (x * p + 0.5f), relu(x));       /* a NaN is not <=, and relu keeps it */
#else
    for (int i = 0; i < LANES; i++)
        x[i] = x[i] == -HUGE_VAL ? 0 : x[i] * 0.5 * erfc(x[i] * -0x1.6a09e667f3bcdp-1);
    return x;
#endif
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
