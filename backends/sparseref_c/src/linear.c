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

/* One token: nothing to turn. */
static void linear_of_one(const Product *p, int64_t token, int64_t first_group, int64_t groups, REAL *scratch)
{
    const Runs *w = p->weight;
    const REAL *x = (const REAL *)p->x.first + token * p->x.outer;
    REAL *copy = scratch, *sums = copy + w->columns + 1, *in_order = sums + w->group_rows;
    uint32_t *place = (uint32_t *)(in_order + w->group_rows);
    place_sums(w, w->group_rows, place);
    for (int64_t k = 0; k < w->columns; k++)
        copy[k] = x[k * p->x.inner];
    copy[w->columns] = 0;
    for (int64_t group = first_group; group < first_group + groups; group++) {
        int64_t first_row = group * w->group_rows;
        int64_t rows = w->rows - first_row < w->group_rows ? w->rows - first_row : w->group_rows;
        memset(sums, 0, sizeof(REAL) * (size_t)w->group_rows);
        for (int64_t r = 0; p->bias && r < rows; r++)
            sums[place[r]] = ((const REAL *)p->bias)[first_row + r];
        multiply_by_one(w, group, copy, sums, place);
        for (int64_t r = 0; r < rows; r++)
            in_order[r] = sums[place[r]];
        for (int64_t r = 0; r < rows; r += LANES) {
            int64_t count = rows - r < LANES ? rows - r : LANES;
            finish_vector(p, load_some(in_order + r, 1, count), token, first_row + r, count, 1, p->activation);
        }
    }
}

/* Memory of one tile of `width` tokens, in REALs; a single token has its sums twice, and their places. */
static int64_t NAME(scratch)(const Runs *w, int width)
{
    return (w->columns + 1 + w->group_rows) * width + 3 * w->group_rows;
}

/* Tokens and groups of rows of one product; scratch is this thread's own. */
static void NAME(linear)(const Product *p, int64_t first_token, int64_t tokens, int64_t first_group, int64_t groups,
                         void *scratch)
{
    const Runs *w = p->weight;
    if (tokens == 1 && !p->patches) {
        linear_of_one(p, first_token, first_group, groups, scratch);
        return;
    }
    int V = vectors_for(tokens);
    int width = V * LANES;
    REAL *x_tile = scratch, *y_tile = x_tile + (w->columns + 1) * width;
    if (p->patches)
        pack_patches(p->patches, first_token, tokens, width, x_tile);
    else
        pack_x(&p->x, w->columns, first_token, tokens, width, x_tile);
    memset(x_tile + w->columns * width, 0, sizeof(REAL) * (size_t)width);
    for (int64_t group = first_group; group < first_group + groups; group++) {
        int64_t first_row = group * w->group_rows;
        int64_t rows = w->rows - first_row < w->group_rows ? w->rows - first_row : w->group_rows;
        begin_sums(p, first_row, rows, w->group_rows, width, y_tile);
        NAME(multiply)(w, group, V, x_tile, y_tile);
        finish(p, first_token, tokens, first_row, rows, y_tile, width);
    }
}
