/* y = activation(x W^T + b) + added, tile by tile.
 *
 *   x [T, K]  -> x tile [K][V vectors]      transposed into scratch memory, once for each tile of tokens
 *   runs x x tile -> y tile [rows][V vectors]      multiply.c, group of rows by group of rows
 *   y tile    -> y [T, O]                   transposed back, with bias, activation and what is added
 *
 * Where x or y has its tokens side by side already, rows are copied instead of turned.
 */
#include "finish.h"
#include "patches.h"
#include "single.h"
#include "tiles.h"
#include "transpose.h"

/* x [T, K] from token `first` on -> x tile [K][width]; columns of tokens that there are not are 0. */
static void pack_x(const Matrix *x, int64_t columns, int64_t first, int64_t tokens, int width, REAL *tile)
{
    const REAL *from = (const REAL *)x->first + first * x->outer;
    if (tokens < width)
        memset(tile, 0, sizeof(REAL) * (size_t)columns * (size_t)width);
    if (x->outer == 1) {
        for (int64_t k = 0; k < columns; k++)
            memcpy(tile + k * width, from + k * x->inner, sizeof(REAL) * (size_t)tokens);
        return;
    }
    int64_t squares = x->inner == 1 ? tokens / LANES * LANES : 0, k = 0;
    for (int64_t lines = 0; lines < squares; lines += LINE)        /* whole cache lines of the tile */
        for (k = 0; k + LANES <= columns; k += LANES)
            for (int64_t t = lines; t < lines + LINE && t < squares; t += LANES)
                transpose_square(from + t * x->outer + k, x->outer, tile + k * width + t, width);
    for (; k < columns; k++)
        for (int64_t t = 0; t < squares; t++)
            tile[k * width + t] = from[t * x->outer + k];
    for (int64_t t = squares; t < tokens; t++)
        for (k = 0; k < columns; k++)
            tile[k * width + t] = from[t * x->outer + k * x->inner];
}

/* y tile [all][width]: every sum begins with the bias of its row, those behind the last row with 0. */
static void begin_sums(const Product *p, int64_t first_row, int64_t rows, int64_t all, int width, REAL *tile)
{
    const REAL *bias = (const REAL *)p->bias;
    for (int64_t r = 0; r < all; r++) {
        vec first = broadcast(bias && r < rows ? bias[first_row + r] : 0);
        for (int t = 0; t < width; t += LANES)
            store(tile + r * width + t, first);
    }
}

/* The groups of rows that fall to one of `splits` shares. */
typedef struct {
    int64_t first, end;
} Share;

static Share share_of(const Runs *w, int64_t split, int64_t splits)
{
    int64_t each = (w->groups + splits - 1) / splits, first = split * each;
    return (Share){first, first + each < w->groups ? first + each : w->groups};
}

static int64_t rows_of(const Runs *w, int64_t group)
{
    int64_t left = w->rows - group * w->group_rows;
    return left < w->group_rows ? left : w->group_rows;
}

/* One token, x [K + 1]: nothing to turn. */
static void multiply_token(const Product *p, const REAL *x, int64_t token, Share share, REAL *scratch)
{
    const Runs *w = p->tokens == 1 && p->weight->one_token ? p->weight->one_token : p->weight;
    REAL *sums = scratch, *in_order = sums + w->group_rows + SIXTEEN;
    uint32_t *place = (uint32_t *)(in_order + w->group_rows);
    place_sums(w, w->group_rows, place);
    for (int64_t group = share.first; group < share.end; group++) {
        int64_t first_row = group * w->group_rows, rows = rows_of(w, group);
        memset(sums, 0, sizeof(REAL) * (size_t)(w->group_rows + SIXTEEN));
        for (int64_t r = 0; p->bias && r < rows; r++)
            sums[place[r]] = ((const REAL *)p->bias)[first_row + r];
        multiply_by_one(w, group, x, sums, place);
        for (int64_t r = 0; r < rows; r++)
            in_order[r] = sums[place[r]];
        for (int64_t r = 0; r < rows; r += LANES) {
            int64_t count = rows - r < LANES ? rows - r : LANES;
            finish_vector(p, load_some(in_order + r, 1, count), token, first_row + r, count, 1, p->activation);
        }
    }
}

/* x tile [K + 1][V vectors] -> y, tokens from first_token on. */
static void multiply_tile(const Product *p, const REAL *x_tile, int64_t first_token, int64_t tokens, Share share, REAL *y_tile)
{
    const Runs *w = p->weight;
    int V = vectors_for(tokens), width = V * LANES;
    for (int64_t group = share.first; group < share.end; group++) {
        int64_t rows = rows_of(w, group);
        begin_sums(p, group * w->group_rows, rows, w->group_rows, width, y_tile);
        NAME(multiply)(w, group, V, x_tile, y_tile);
        finish(p, first_token, tokens, group * w->group_rows, rows, y_tile, width);
    }
}

/* The same -> the x tile [O + 1][V vectors] of the next product; its memory goes on to the end of the last group. */
static void multiply_on(const Product *p, const REAL *x_tile, int64_t tokens, REAL *next)
{
    const Runs *w = p->weight;
    int V = vectors_for(tokens), width = V * LANES;
    for (int64_t group = 0; group < w->groups; group++) {
        REAL *y_tile = next + group * w->group_rows * width;
        begin_sums(p, group * w->group_rows, rows_of(w, group), w->group_rows, width, y_tile);
        NAME(multiply)(w, group, V, x_tile, y_tile);
        NAME(activate)(y_tile, 0, rows_of(w, group) * width, p->activation);
    }
    memset(next + w->rows * width, 0, sizeof(REAL) * (size_t)width);
}

/* Memory of one tile of `width` tokens, in REALs: x, what lies between two products, sums.  A single token has its sums twice,
 * the last sixteen whole, and their places. */
static int64_t NAME(scratch)(const Product *p, int width)
{
    int64_t between = 0, sums = 0;
    for (const Product *q = p; q; q = q->beside) {
        const Runs *last = q->then ? q->then->weight : q->weight;
        int64_t needed = last->group_rows * (width > 3 ? width : 3) + SIXTEEN;
        sums = needed > sums ? needed : sums;
        needed = q->then ? (q->weight->groups * q->weight->group_rows + 1) * width : 0;
        between = needed > between ? needed : between;
    }
    return (p->weight->columns + 1) * width + between + sums;
}

static int any_chained(const Product *p)
{
    for (; p; p = p->beside)
        if (p->then)
            return 1;
    return 0;
}

/* Tokens of all products of one x, of each the groups of rows of one share; scratch is this thread's own. */
static void NAME(linear)(const Product *p, int64_t first_token, int64_t tokens, int64_t split, int64_t splits, void *scratch)
{
    int64_t columns = p->weight->columns;
    REAL *x_tile = scratch;
    if (tokens == 1 && !p->patches && !any_chained(p)) {
        const REAL *x = (const REAL *)p->x.first + first_token * p->x.outer;
        for (int64_t k = 0; k < columns; k++)
            x_tile[k] = x[k * p->x.inner];
        x_tile[columns] = 0;
        for (; p; p = p->beside)
            multiply_token(p, x_tile, first_token, share_of(p->weight, split, splits), x_tile + columns + 1);
        return;
    }
    int width = vectors_for(tokens) * LANES;
    REAL *rest = x_tile + (columns + 1) * width;
    if (p->patches)
        pack_patches(p->patches, first_token, tokens, width, x_tile);
    else
        pack_x(&p->x, columns, first_token, tokens, width, x_tile);
    memset(x_tile + columns * width, 0, sizeof(REAL) * (size_t)width);
    for (; p; p = p->beside) {
        if (!p->then) {
            multiply_tile(p, x_tile, first_token, tokens, share_of(p->weight, split, splits), rest);
            continue;
        }
        const Runs *w = p->then->weight;
        multiply_on(p, x_tile, tokens, rest);
        multiply_tile(p->then, rest, first_token, tokens, share_of(w, split, splits),
                      rest + (p->weight->groups * p->weight->group_rows + 1) * width);
    }
}
