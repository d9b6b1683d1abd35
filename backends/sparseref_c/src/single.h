/* One token: nothing lies side by side but the four runs that go abreast.
 *
 *             x[k] of run 0, 1, 2, 3      four loads
 *   row a     acc acc acc acc   += 4 values, one load
 *   row b     acc acc acc acc   += 4 values
 *
 * For row i of four runs to be one vector, sums lie so: [four block rows][place in a block row][block row].  Sixteen of them,
 * from a multiple of sixteen on, are one vector where sixteen rows go abreast.
 */
#ifndef SPARSEREF_SINGLE_H
#define SPARSEREF_SINGLE_H

#include "lookup.h"
#include "vectors.h"

typedef REAL four __attribute__((vector_size(ABREAST * REAL_BYTES)));
typedef REAL loose_four __attribute__((vector_size(ABREAST * REAL_BYTES), aligned(sizeof(REAL)), may_alias));

/* Where the sum of each row of a group lies, rows as many as fill fours of block rows. */
static void place_sums(const Runs *w, int64_t rows, uint32_t *place)
{
    uint32_t next = 0;
    for (int64_t first = 0; first < rows; first += ABREAST * w->block_rows)
        for (int64_t i = 0; i < w->block_rows; i++)
            for (int64_t r = 0; r < ABREAST; r++)
                place[first + r * w->block_rows + i] = next++;
}

#define FOUR_OF(x, column) ((four){(x)[(column)[0]], (x)[(column)[1]], (x)[(column)[2]], (x)[(column)[3]]})

/* Four runs abreast. */
ALWAYS_INLINE void multiply_four(const Run *run, size_t count, const uint32_t *restrict column, const REAL *restrict value,
                                 const REAL *restrict x, REAL *restrict sums, const uint32_t *place, const int N)
{
    four acc[MOST_ROWS];
#pragma GCC unroll 4
    for (int i = 0; i < N; i++)
        acc[i] = *(const loose_four *)(sums + place[run->row[i]]);
    for (const uint32_t *end = column + count * ABREAST; column < end; column += ABREAST, value += ABREAST * N) {
        four some = FOUR_OF(x, column);
#pragma GCC unroll 4
        for (int i = 0; i < N; i++)
            acc[i] += some * *(const loose_four *)(value + i * ABREAST);
    }
#pragma GCC unroll 4
    for (int i = 0; i < N; i++)
        *(loose_four *)(sums + place[run->row[i]]) = acc[i];
}

ALWAYS_INLINE void multiply_alone(const Run *run, const uint32_t *restrict column, const REAL *restrict value,
                                  const REAL *restrict x, REAL *restrict sums, const uint32_t *place, const int N)
{
    REAL acc[MOST_ROWS];
#pragma GCC unroll 4
    for (int i = 0; i < N; i++)
        acc[i] = sums[place[run->row[i]]];
    for (const uint32_t *end = column + run->count; column < end; column++, value += N)
#pragma GCC unroll 4
        for (int i = 0; i < N; i++)
            acc[i] += x[*column] * value[i];
#pragma GCC unroll 4
    for (int i = 0; i < N; i++)
        sums[place[run->row[i]]] = acc[i];
}

ALWAYS_INLINE void segment_of_one(const Runs *w, const Segment *s, const REAL *x, REAL *sums, const uint32_t *place, const int N)
{
    const uint32_t *column = w->column + s->first_column;
    const REAL *value = (const REAL *)w->value + s->first_value;
    const Run *run = w->runs + s->first_run, *end = run + s->runs;
    if (s->abreast == 1)
        for (; run < end; column += run->count, value += run->count * N, run++)
            multiply_alone(run, column, value, x, sums, place, N);
    else
        for (size_t count; run < end; column += ABREAST * count, value += ABREAST * count * N, run += ABREAST) {
            count = longest(run, ABREAST);
            multiply_four(run, count, column, value, x, sums, place, N);
        }
}

/* Sixteen rows abreast, four by four where they cannot be looked up. */
static void segment_of_sixteens(const Runs *w, const Segment *s, const REAL *x, REAL *sums)
{
#ifdef LOOKS_UP
    if (looked_up(w, s, x, sums))
        return;
#endif
    const uint8_t *column = bytes_of(w, s);
    const REAL *value = (const REAL *)w->value + s->first_value;
    for (const Run *run = w->runs + s->first_run, *end = run + s->runs; run < end; run++) {
        size_t size = (size_t)run->count * SIXTEEN;
        for (size_t r = 0; r < SIXTEEN; r += ABREAST) {
            REAL *sum = sums + run->row[0] + r;
            four acc = *(const loose_four *)sum;
            for (size_t k = r; k < size; k += SIXTEEN)
                acc += FOUR_OF(x, ((uint32_t[]){byte_column(w, s, column[k]), byte_column(w, s, column[k + 1]),
                                                byte_column(w, s, column[k + 2]), byte_column(w, s, column[k + 3])}))
                       * *(const loose_four *)(value + k);
            *(loose_four *)sum = acc;
        }
        column += size, value += size;
    }
}

/* sums [group's rows, at their places] += the group's rows of the weight times x [K]. */
static void multiply_by_one(const Runs *w, int64_t group, const REAL *x, REAL *sums, const uint32_t *place)
{
    for (const Segment *s = w->segments + w->segment_of[group]; s < w->segments + w->segment_of[group + 1]; s++)
        switch (!(s->serves & ONE_TOKEN) ? 0 : s->abreast == SIXTEEN ? SIXTEEN : s->n) {
        case 0: break;
        case SIXTEEN: segment_of_sixteens(w, s, x, sums); break;
        case 1: segment_of_one(w, s, x, sums, place, 1); break;
        case 2: segment_of_one(w, s, x, sums, place, 2); break;
        case 3: segment_of_one(w, s, x, sums, place, 3); break;
        default: segment_of_one(w, s, x, sums, place, 4); break;
        }
}

#endif
