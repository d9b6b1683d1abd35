/* The kernel: runs times a tile of tokens.
 *
 *   x tile [K][V vectors]      tokens side by side, so that one entry of the weight meets V vectors of them
 *   y tile [rows][V vectors]   sums of one group of rows
 *
 *               x[k]:  V vectors, loaded once for n rows
 *   row a  acc  acc ...   += value a, broadcast
 *   row b  acc  acc ...   += value b, broadcast        n x V sums stay in registers through a run
 *
 * Where n x V sums are too few to keep the multipliers at work, R runs abreast go side by side.
 * The order in which a sum grows depends on the weight alone: not on threads, tiles or tokens.
 */
#include "runs.h"
#include "tiles.h"

/* Sums in flight: a multiplication takes about four cycles, of which two can begin in each. */
enum { ENOUGH_SUMS = 8, MOST_SUMS = 16 };

/* R of A runs abreast: y[rows of each] += its values times x; column and value are those of the first of the R. */
ALWAYS_INLINE void multiply_runs(const Run *run, const uint32_t *restrict column, const REAL *restrict value,
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
#pragma GCC unroll 8
        for (int j = 0; j < V; j++)
            acc[i][j] = load((REAL *)(sums[i] + j * VECTOR_BYTES));
    }
    for (const uint32_t *end = column + count * (size_t)A; column < end; column += A, value += A * N)
#pragma GCC unroll 8
        for (int r = 0; r < R; r++) {
            const char *tokens = (const char *)x + column[r] * tile_row;
            vec broadcasts[MOST_ROWS];
#pragma GCC unroll 4
            for (int i = 0; i < N; i++)
                broadcasts[i] = broadcast(value[i * A + r]);
#pragma GCC unroll 8
            for (int j = 0; j < V; j++) {
                vec some = load((const REAL *)(tokens + j * VECTOR_BYTES));
                if (N > 1)
                    IN_REGISTER(some);                     /* loaded once, not once for each row */
#pragma GCC unroll 4
                for (int i = 0; i < N; i++)
                    acc[r * N + i][j] += some * broadcasts[i];
            }
        }
#pragma GCC unroll 8
    for (int i = 0; i < R * N; i++)
#pragma GCC unroll 8
        for (int j = 0; j < V; j++)
            store((REAL *)(sums[i] + j * VECTOR_BYTES), acc[i][j]);
}

ALWAYS_INLINE void multiply_segment(const Runs *w, const Segment *segment, const REAL *restrict x, REAL *restrict y,
                                    const int N, const int V)
{
    const int R = N * V >= ENOUGH_SUMS ? 1 : N * V >= ENOUGH_SUMS / 2 ? 2 : ABREAST;
    const uint32_t *column = w->column + segment->first_column;
    const REAL *value = (const REAL *)w->value + segment->first_value;
    const Run *run = w->runs + segment->first_run, *end = run + segment->runs;
    if (segment->abreast == 1)
        for (; run < end; column += run->count, value += run->count * N, run++)
            multiply_runs(run, column, value, x, y, N, V, 1, 1);
    else
        for (size_t count; run < end; column += ABREAST * count, value += ABREAST * count * N, run += ABREAST) {
            count = longest(run, ABREAST);
            for (int r = 0; r < ABREAST; r += R)
                multiply_runs(run + r, column + r, value + r, x, y, N, V, R, ABREAST);
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
    for (int64_t s = w->segment_of[group]; s < w->segment_of[group + 1]; s++)
        if (w->segments[s].serves & MANY_TOKENS)
            of_v[V](w, w->segments + s, x, y);
}
