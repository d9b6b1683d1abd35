/* The gradient by the values of a weight: of grad^T x only the entries that the weight stores.
 *
 *   x tile    [K][width]      tokens side by side, and 0 where there are none
 *   grad tile [rows][width]   the same of one group of rows
 *
 *                  x[k0]  x[k1] ...     C columns of one run
 *   grad row a      sum    sum          each sum: a vector of sums over every LANES-th token; n x C of them stay in registers
 *   grad row b      sum    sum          while the tokens stream by: n + C loads for n x C multiplications
 *
 * At the end of a tile the lanes of LANES sums are added up at once: n x C values that lie side by side, as column by column of
 * a run they do.  A value's sum grows from tile to tile of tokens; which these are depends on their number alone.
 */
#include "finish.h"
#include "patches.h"
#include "transpose.h"

enum { TILE_TOKENS = MOST_PLACES_OF_TILE };

/* Columns at once: n x C sums, n vectors of grad and one of x have to fit the registers. */
ALWAYS_INLINE int columns_at_once(const int N)
{
    switch (N) {
    case 1: return 8;                                      /* more would not leave registers for their addresses */
    case 2: return REGISTERS == 32 ? 8 : 4;
    case 3: return REGISTERS == 32 ? 5 : 4;
    default: return REGISTERS == 32 ? 4 : 2;
    }
}

/* gradient [C][N] += grad rows [N][width] times x columns [C][width] */
ALWAYS_INLINE void sample_columns(const uint32_t *column, const REAL *const *grad, const REAL *x, size_t width, REAL *gradient,
                                  const int N, const int C)
{
    vec sum[MOST_SUMS + LANES] = {0};                      /* up to whole squares */
    const REAL *tokens[MOST_SUMS];
#pragma GCC unroll 8
    for (int c = 0; c < C; c++)
        tokens[c] = x + column[c] * width;
    for (size_t t = 0; t < width; t += LANES) {
        vec row[MOST_ROWS];
#pragma GCC unroll 4
        for (int i = 0; i < N; i++)
            row[i] = load(grad[i] + t);
#pragma GCC unroll 8
        for (int c = 0; c < C; c++) {
            vec some = load(tokens[c] + t);
            if (N > 1)
                IN_REGISTER(some);
#pragma GCC unroll 4
            for (int i = 0; i < N; i++)
                sum[c * N + i] += some * row[i];
        }
    }
#pragma GCC unroll 16
    for (int first = 0; first < N * C; first += LANES) {
        int count = N * C - first < LANES ? N * C - first : LANES;
        store_some(gradient + first, 1, count, load_some(gradient + first, 1, count) + sums_of_rows(sum + first));
    }
}

ALWAYS_INLINE void sample_segment(const Runs *w, const Segment *segment, const REAL *grad, const REAL *x, size_t width,
                                  REAL *gradient, const int N)
{
    const int C = columns_at_once(N);
    const uint32_t *column = w->column + segment->first_column;
    gradient += segment->first_value;
    for (const Run *run = w->runs + segment->first_run, *end = run + segment->runs; run < end; run++) {
        const REAL *rows[MOST_ROWS];
        for (int i = 0; i < N; i++)
            rows[i] = grad + run->row[i] * width;
        uint32_t k = 0;
        for (; k + C <= run->count; k += C)
            sample_columns(column + k, rows, x, width, gradient + k * N, N, C);
        for (; C > 4 && k + 4 <= run->count; k += 4)
            sample_columns(column + k, rows, x, width, gradient + k * N, N, 4);
        for (; C > 2 && k + 2 <= run->count; k += 2)
            sample_columns(column + k, rows, x, width, gradient + k * N, N, 2);
        for (; k < run->count; k++)
            sample_columns(column + k, rows, x, width, gradient + k * N, N, 1);
        column += run->count, gradient += run->count * N;
    }
}

static void sample_group(const Runs *w, int64_t group, const REAL *grad, const REAL *x, int width, REAL *gradient)
{
    for (const Segment *s = w->segments + w->segment_of[group]; s < w->segments + w->segment_of[group + 1]; s++)
        switch (s->n) {
        case 1: sample_segment(w, s, grad, x, (size_t)width, gradient, 1); break;
        case 2: sample_segment(w, s, grad, x, (size_t)width, gradient, 2); break;
        case 3: sample_segment(w, s, grad, x, (size_t)width, gradient, 3); break;
        default: sample_segment(w, s, grad, x, (size_t)width, gradient, 4); break;
        }
}

static int64_t width_of_tile(int64_t tokens)
{
    return tokens < TILE_TOKENS ? (tokens + LANES - 1) / LANES * LANES : TILE_TOKENS;
}

/* Memory of one tile, in REALs. */
static int64_t NAME(sampled_scratch)(const Sampled *s)
{
    return (s->weight->columns + s->weight->group_rows) * width_of_tile(s->tokens);
}

/* All tokens, and groups of rows whose values are no other task's; scratch is this thread's own. */
static void NAME(sampled)(const Sampled *s, int64_t first_group, int64_t groups, void *scratch)
{
    const Runs *w = s->weight;
    for (int64_t first = 0; first < s->tokens; first += TILE_TOKENS) {
        int64_t tokens = s->tokens - first < TILE_TOKENS ? s->tokens - first : TILE_TOKENS;
        int width = (int)width_of_tile(tokens);
        REAL *x_tile = scratch, *grad_tile = x_tile + w->columns * width;
        if (s->patches)
            pack_patches(s->patches, first, tokens, width, x_tile);
        else
            pack_x(&s->x, w->columns, first, tokens, width, x_tile);
        for (int64_t group = first_group; group < first_group + groups; group++) {
            int64_t first_row = group * w->group_rows;
            int64_t rows = w->rows - first_row < w->group_rows ? w->rows - first_row : w->group_rows;
            Matrix grad = {element(&s->grad, 0, first_row), s->grad.outer, s->grad.inner};
            pack_x(&grad, rows, first, tokens, width, grad_tile);
            memset(grad_tile + rows * width, 0, sizeof(REAL) * (size_t)((w->group_rows - rows) * width));
            sample_group(w, group, grad_tile, x_tile, width, s->gradient);
        }
    }
}
