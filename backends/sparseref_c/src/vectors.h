/* One vector type for every instruction set: the compiler's own vectors, as wide as the machine's.
 *
 *   REAL    what is summed: float or double, of REAL_BYTES     LANES   of them in a vector
 *   NAME(f) f_avx2_float and so on: this file is compiled once for each
 */
#ifndef SPARSEREF_VECTORS_H
#define SPARSEREF_VECTORS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifndef VECTOR_BYTES
#error "compile with -DVECTOR_BYTES=16, 32 or 64, -DREAL=float or double, -DREAL_BYTES=4 or 8, -DISA=name"
#endif

#define LANES (VECTOR_BYTES / REAL_BYTES)
#define LINE (64 / REAL_BYTES)     /* numbers of a cache line */

#define PASTE3_(a, b, c) a##_##b##_##c
#define PASTE3(a, b, c) PASTE3_(a, b, c)
#define NAME(f) PASTE3(f, ISA, REAL)

typedef REAL vec __attribute__((vector_size(VECTOR_BYTES)));
/* The same where the address is any: nothing is asked of the caller's alignment. */
typedef REAL loose_vec __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(REAL)), may_alias));

typedef __typeof__((vec){0} == (vec){0}) lanes;            /* whole numbers as wide as REAL: what a comparison gives */

#define ALWAYS_INLINE static inline __attribute__((always_inline))

ALWAYS_INLINE vec load(const REAL *from) { return *(const loose_vec *)from; }
ALWAYS_INLINE void store(REAL *to, vec value) { *(loose_vec *)to = value; }
ALWAYS_INLINE vec broadcast(REAL value) { return value - (vec){0}; }
ALWAYS_INLINE vec choose(lanes condition, vec yes, vec no) { return (vec)(((lanes)yes & condition) | ((lanes)no & ~condition)); }

#if VECTOR_BYTES == 64 || defined(__aarch64__)
enum { REGISTERS = 32 };
#else
enum { REGISTERS = 16 };
#endif

/* The compiler may not read it from memory again. */
#if defined(__aarch64__)
#define IN_REGISTER(value) __asm__("" : "+w"(value))
#elif VECTOR_BYTES == 64
#define IN_REGISTER(value) __asm__("" : "+v"(value))
#else
#define IN_REGISTER(value) __asm__("" : "+x"(value))
#endif
/* Nor may it take an address for a sum of two registers. */
#define IN_GENERAL_REGISTER(address) __asm__("" : "+r"(address))

#endif
