/* The kernel: runs times a tile of tokens.
 *
 *   x tile [K][V vectors]      tokens side by side, so that one entry of the weight meets V vectors of them
 *   y tile [rows][V vectors]   sums of one group of rows
 *
 *               x[k]:  V vectors, loaded once for n rows
 *   row a  acc  acc ...   += value a, broadcast
 *   row b  acc  acc ...   += value b, broadcast        n x V sums stay in registers through a run
 *
 * The order in which a sum grows depends on the weight alone: not on threads, tiles or tokens.
 */
#include "runs.h"
#include "vectors.h"

ALWAYS_INLINE void multiply_segment(const Runs *w, const Segment *segment, const REAL *restrict x, REAL *restrict y,
                                    const int N, const int V)
{
    const uint32_t *restrict column = w->column + segment->first_column;
    const REAL *restrict value = (const REAL *)w->value + segment->first_value;
    const Run *run = w->runs + segment->first_run;
    for (const Run *end = run + segment->runs; run < end; run++) {
        vec acc[MOST_ROWS][MOST_VECTORS];
#pragma GCC unroll 4
        for (int i = 0; i < N; i++)
#pragma GCC unroll 8
            for (int j = 0; j < V; j++)
                acc[i][j] = load(y + (size_t)run->row[i] * (V * LANES) + j * LANES);
        const uint32_t *stop = column + run->count;
        for (; column < stop; column++, value += N) {
            const char *tokens = (const char *)x + (size_t)*column * (V * VECTOR_BYTES);
            vec broadcasts[MOST_ROWS];
#pragma GCC unroll 4
            for (int i = 0; i < N; i++)
                broadcasts[i] = broadcast(value[i]);
#pragma GCC unroll 8
            for (int j = 0; j < V; j++) {
                vec some = load((const REAL *)(tokens + j * VECTOR_BYTES));
#pragma GCC unroll 4
                for (int i = 0; i < N; i++)
                    acc[i][j] += some * broadcasts[i];
            }
        }
#pragma GCC unroll 4
        for (int i = 0; i < N; i++)
#pragma GCC unroll 8
            for (int j = 0; j < V; j++)
                store(y + (size_t)run->row[i] * (V * LANES) + j * LANES, acc[i][j]);
    }
}

/* One instance for each n and V: the sums have to be known as registers. */
#define FOR_ONE_V(V)                                                                                            \
    static void multiply_##V(const Runs *w, const Segment *s, const REAL *x, REAL *y)                            \
    {                                                                                                            \
        switch (s->n) {                                                                                          \
        case 1: multiply_segment(w, s, x, y, 1, V); break;                                                       \
        case 2: multiply_segment(w, s, x, y, 2, V); break;                                                       \
        case 3: multiply_segment(w, s, x, y, 3, V); break;                                                       \
        default: multiply_segment(w, s, x, y, 4, V); break;                                                      \
        }                                                                                                        \
    }
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
        of_v[V](w, w->segments + s, x, y);
}
