/* One token, sixteen rows abreast: lane r is row r's.
 *
 *   x[k of row 0], x[k of row 1] ...   looked up at once
 *   acc  += that times 16 values
 *
 * One instruction of AVX-512 looks through 32 numbers in two registers; P such pairs hold all x that a segment meets.  Of
 * a column bits 0 to 4 say where in a pair, and bits 5 and up in which.
 */
#ifndef SPARSEREF_LOOKUP_H
#define SPARSEREF_LOOKUP_H

#include "runs.h"
#include "vectors.h"

#if VECTOR_BYTES == 64 && REAL_BYTES == 4
#define LOOKS_UP
#include <immintrin.h>

enum { IN_PAIR = 32, MOST_PAIRS = 5 };     /* more leave no registers for what is found */

typedef struct {
    __m512 half[2 * MOST_PAIRS];
    __m512i count;
} Table;

ALWAYS_INLINE void fill_table(Table *table, const Segment *s, const float *x, const int P)
{
#pragma GCC unroll 10
    for (int h = 0; h < 2 * P; h++) {
        int64_t left = (int64_t)s->x_columns - h * LANES;
        table->half[h] = left >= LANES ? _mm512_loadu_ps(x + s->first_x + h * LANES)
                         : left > 0    ? _mm512_maskz_loadu_ps((__mmask16)((1 << left) - 1), x + s->first_x + h * LANES)
                                       : _mm512_setzero_ps();
    }
    table->count = _mm512_set1_epi32((int)s->x_columns);
}

/* -> x of each column, 0 of one that is not in the table. */
ALWAYS_INLINE __m512 look_up(const Table *table, const uint8_t *column, const int P)
{
    __m512i at = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)column));
    __m512 found[MOST_PAIRS];
#pragma GCC unroll 5
    for (int p = 0; p < P; p++)
        found[p] = _mm512_permutex2var_ps(table->half[2 * p], at, table->half[2 * p + 1]);
#pragma GCC unroll 3
    for (int bit = 0; 1 << bit < P; bit++) {               /* pairs by twos, fours ... */
        __mmask16 upper = _mm512_test_epi32_mask(at, _mm512_set1_epi32(IN_PAIR << bit));
#pragma GCC unroll 5
        for (int p = 0; p + (1 << bit) < P; p += 2 << bit)
            found[p] = _mm512_mask_blend_ps(upper, found[p], found[p + (1 << bit)]);
    }
    return _mm512_maskz_mov_ps(_mm512_cmplt_epu32_mask(at, table->count), found[0]);
}

ALWAYS_INLINE void multiply_by_table(const Runs *w, const Segment *s, const float *x, float *sums, const int P)
{
    Table table;
    fill_table(&table, s, x, P);
    const uint8_t *column = bytes_of(w, s);
    const float *value = (const float *)w->value + s->first_value;
    for (const Run *run = w->runs + s->first_run, *end = run + s->runs; run < end; run++) {
        __m512 acc = _mm512_loadu_ps(sums + run->row[0]);
        for (uint32_t k = 0; k < run->count; k++, column += SIXTEEN, value += SIXTEEN)
            acc = _mm512_fmadd_ps(look_up(&table, column, P), _mm512_loadu_ps(value), acc);
        _mm512_storeu_ps(sums + run->row[0], acc);
    }
}

/* -> whether the segment's x fits a table, and has been multiplied. */
static int looked_up(const Runs *w, const Segment *s, const float *x, float *sums)
{
    switch ((s->x_columns + IN_PAIR - 1) / IN_PAIR) {
    case 1: multiply_by_table(w, s, x, sums, 1); return 1;
    case 2: multiply_by_table(w, s, x, sums, 2); return 1;
    case 3: multiply_by_table(w, s, x, sums, 3); return 1;
    case 4: multiply_by_table(w, s, x, sums, 4); return 1;
    case 5: multiply_by_table(w, s, x, sums, 5); return 1;
    default: return 0;
    }
}
#endif

#endif
