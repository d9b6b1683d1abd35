/* The kernel: runs times a tile of tokens.
 *
 *   x tile [K][V vectors]      tokens side by side, so that one entry of the weight meets V vectors of them
 *   y tile [rows][V vectors]   sums of one group of rows
 *
 *               x[k]:  V vectors, loaded once for n rows
 *   row a  acc  acc ...   += value a, broadcast
 *   row b  acc  acc ...   += value b, broadcast        n x V sums stay in registers through a run
 *
 * Where n x V sums are too few to keep the multipliers at work, R runs abreast go side by side.  Where they are enough, runs of
 * two rows and more stand alone, and those that begin with the same row follow each other: its sums stay in registers through
 * all of them.
 * The order in which a sum grows depends on these runs alone: not on threads or tiles.
 */
#include "runs.h"
#include "tiles.h"

/* Sums in flight: a multiplication takes about four cycles, of which two can begin in each.  Measured: of runs abreast sixteen are
 * up to a twentieth faster than eight, where there are registers. */
enum { ENOUGH_SUMS = 8, MOST_SUMS = 16, SUMS_ABREAST = REGISTERS == 32 ? 16 : 12 };

/* Columns of a run alone between two questions whether it ends, which the machine can guess wrongly and which take a fifth of a
 * column's instructions.  Measured on a Zen 3: a tenth. */
enum { AT_ONCE = 4 };

ALWAYS_INLINE void load_sums(vec *acc, const char *row, const int V)
{
#pragma GCC unroll 8
    for (int j = 0; j < V; j++)
        acc[j] = load((const REAL *)(row + j * VECTOR_BYTES));
}

ALWAYS_INLINE void store_sums(char *row, const vec *acc, const int V)
{
#pragma GCC unroll 8
    for (int j = 0; j < V; j++)
        store((REAL *)(row + j * VECTOR_BYTES), acc[j]);
}

/* acc[n][V] += a column's values, `apart` in memory, times V vectors of x. */
ALWAYS_INLINE void multiply_column(vec (*acc)[MOST_VECTORS], const REAL *value, const int apart, const char *x, const int N,
                                   const int V)
{
    vec broadcasts[MOST_ROWS];
    if (N == 1)
        IN_GENERAL_REGISTER(x);                            /* an address of one register: loading and multiplying stay one */
#pragma GCC unroll 4
    for (int i = 0; i < N; i++)
        broadcasts[i] = broadcast(value[i * apart]);
#pragma GCC unroll 8
    for (int j = 0; j < V; j++) {
        vec some = load((const REAL *)(x + j * VECTOR_BYTES));
        if (N > 1)
            IN_REGISTER(some);                             /* loaded once, not once for each row */
#pragma GCC unroll 4
        for (int i = 0; i < N; i++)
            acc[i][j] += some * broadcasts[i];
    }
}

/* R of A runs abreast: y[rows of each] += its values times x; column and value are those of the first of the R. */
ALWAYS_INLINE void multiply_abreast(const Run *run, const uint32_t *restrict column, const REAL *restrict value,
                                    const REAL *restrict x, REAL *restrict y, const int N, const int V, const int R, const int A)
{
    const size_t count = longest(run, R), tile_row = (size_t)V * VECTOR_BYTES;
    if (!count)                                            /* another of the four goes on */
        return;
    vec acc[MOST_SUMS][MOST_VECTORS];                      /* row by row of each run */
    char *sums[MOST_SUMS];
#pragma GCC unroll 8
    for (int i = 0; i < R * N; i++) {
        sums[i] = (char *)y + run[i / N].row[i % N] * tile_row;
        load_sums(acc[i], sums[i], V);
    }
    for (const uint32_t *end = column + count * (size_t)A; column < end; column += A, value += A * N)
#pragma GCC unroll 8
        for (int r = 0; r < R; r++)
            multiply_column(acc + r * N, value + r, A, (const char *)x + column[r] * tile_row, N, V);
#pragma GCC unroll 8
    for (int i = 0; i < R * N; i++)
        store_sums(sums[i], acc[i], V);
}

/* Runs that stand alone, one after the other. */
ALWAYS_INLINE void multiply_one_by_one(const Run *run, const Run *end, const uint32_t *restrict column,
                                       const REAL *restrict value, const REAL *restrict x, REAL *restrict y, const int N,
                                       const int V)
{
    const size_t tile_row = (size_t)V * VECTOR_BYTES;
    vec acc[MOST_ROWS][MOST_VECTORS];
    char *sums[MOST_ROWS];
    while (run < end) {
        const uint32_t kept = run->row[0];
        sums[0] = (char *)y + kept * tile_row;
        load_sums(acc[0], sums[0], V);
        do {
#pragma GCC unroll 4
            for (int i = 1; i < N; i++) {
                sums[i] = (char *)y + run->row[i] * tile_row;
                load_sums(acc[i], sums[i], V);
            }
            const uint32_t *last = column + run->count;
            for (; last - column >= AT_ONCE; column += AT_ONCE, value += AT_ONCE * N)
#pragma GCC unroll 4
                for (int i = 0; i < AT_ONCE; i++)
                    multiply_column(acc, value + i * N, 1, (const char *)x + column[i] * tile_row, N, V);
            for (; column < last; column++, value += N)
                multiply_column(acc, value, 1, (const char *)x + *column * tile_row, N, V);
#pragma GCC unroll 4
            for (int i = 1; i < N; i++)
                store_sums(sums[i], acc[i], V);
        } while (++run < end && run->row[0] == kept);
        store_sums(sums[0], acc[0], V);
    }
}

ALWAYS_INLINE void multiply_segment(const Runs *w, const Segment *segment, const REAL *restrict x, REAL *restrict y,
                                    const int N, const int V)
{
    /* Measured: three rows and more leave no general registers for the addresses of four runs. */
    const int R = N <= 2 && ABREAST * N * V <= SUMS_ABREAST ? ABREAST : 2 * N * V <= SUMS_ABREAST ? 2 : 1;
    const uint32_t *column = w->column + segment->first_column;
    const REAL *value = (const REAL *)w->value + segment->first_value;
    const Run *run = w->runs + segment->first_run, *end = run + segment->runs;
    if (segment->abreast == 1)
        multiply_one_by_one(run, end, column, value, x, y, N, V);
    else
        for (size_t count; run < end; column += ABREAST * count, value += ABREAST * count * N, run += ABREAST) {
            count = longest(run, ABREAST);
            for (int r = 0; r < ABREAST; r += R)
                multiply_abreast(run + r, column + r, value + r, x, y, N, V, R, ABREAST);
        }
}

/* One instance for each n and V: the sums have to be known as registers. */
#define FOR_ONE_V(V)                                                                                            \
    static void multiply_##V(const Runs *w, const Segment *s, const REAL *x, REAL *y)                            \
    {                                                                                                            \
        FOR_ONE_N(1, V)                                                                                          \
        FOR_ONE_N(2, V)                                                                                          \
        FOR_ONE_N(3, V)                                                                                          \
        FOR_ONE_N(4, V)                                                                                          \
    }
#define FOR_ONE_N(N, V)                            \
    if (V <= vectors_at_most(N) && s->n == N)      \
        multiply_segment(w, s, x, y, N, V);
FOR_ONE_V(1)
FOR_ONE_V(2)
FOR_ONE_V(3)
FOR_ONE_V(4)
FOR_ONE_V(6)
FOR_ONE_V(8)

/* y tile [group's rows][V vectors] += the group's rows of the weight times x tile [K][V vectors]; V is 1, 2, 3, 4, 6 or 8. */
static void NAME(multiply)(const Runs *w, int64_t group, int V, const REAL *x, REAL *y)
{
    static void (*const of_v[9])(const Runs *, const Segment *, const REAL *, REAL *) = {
        [1] = multiply_1, [2] = multiply_2, [3] = multiply_3, [4] = multiply_4, [6] = multiply_6, [8] = multiply_8};
    for (const Segment *s = w->segments + w->segment_of[group]; s < w->segments + w->segment_of[group + 1]; s++)
        if (s->serves & ((int)s->n * V < ENOUGH_SUMS ? FEW_TOKENS : MANY_TOKENS))
            of_v[V](w, s, x, y);
}
