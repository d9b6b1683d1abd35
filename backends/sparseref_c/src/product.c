/* A product is cut into tasks: tiles of tokens and, where these are few, pieces of the weight. */
#include "kernels.h"
#include "pool.h"
#include "scratch.h"
#include "sparseref.h"

#include <stdatomic.h>

typedef struct {
    const Product *product;
    const Kernels *kernels;
    size_t real_bytes;
    int64_t width, vectors, tiles, splits;     /* tokens of a tile at most; vectors of all tokens, as even in all tiles as can be */
    atomic_int status;
} Work;

/* What all products of one x need, and all that follow them. */
typedef struct {
    int64_t widest_run, groups;
    int chained;
} Needs;

static void need(Needs *needs, const Runs *w)
{
    needs->widest_run = w->widest_run > needs->widest_run ? w->widest_run : needs->widest_run;
    needs->groups = w->groups > needs->groups ? w->groups : needs->groups;
}

static Needs needs_of(const Product *p)
{
    Needs needs = {1, 1, 0};
    for (; p; p = p->beside) {
        need(&needs, p->weight);
        if (p->then) {
            need(&needs, p->then->weight);
            needs.chained = 1;
        }
    }
    return needs;
}

/* Into how many pieces of the weight each of few tiles is cut, so that all threads are at work: not where another product
 * follows, which needs all rows of this one. */
static int64_t splits_for(int64_t tiles, const Needs *needs, int threads)
{
    if (needs->chained || tiles >= threads)
        return 1;
    int64_t splits = (threads + tiles - 1) / tiles;
    return splits < needs->groups ? splits : needs->groups;
}

/* Tokens of a tile: as many vectors as n leaves registers for, fewer where that is done earlier. */
static int64_t width_for(int64_t tokens, const Needs *needs, const Kernels *kernels, int threads)
{
    static const int vectors[] = {8, 6, 4, 3, 2, 1};
    int most = kernels->vectors_at_most((int)needs->widest_run);
    int64_t best = 0;
    double least = 1e300;
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        int64_t width = (int64_t)vectors[i] * kernels->lanes, tiles = (tokens + width - 1) / width;
        int64_t splits = splits_for(tiles, needs, threads), rounds = (tiles * splits + threads - 1) / threads;
        double cost = (double)rounds / (double)splits * (vectors[i] + 1);      /* a vector's loads of weights count about as one more */
        if (vectors[i] <= most && cost < least) {
            least = cost;
            best = width;
        }
    }
    return best;
}

static int known(int32_t activation) { return activation >= NO_ACTIVATION && activation <= GELU_TANH; }

/* What stands for a weight at one token is of its form; both have been checked by themselves. */
static int alike(const Runs *w, const Runs *one)
{
    return !one || (one->rows == w->rows && one->columns == w->columns && one->group_rows == w->group_rows
                    && one->groups == w->groups);
}

/* A product and the one that follows it belong together, and what stands beside them has the same x. */
static int good(const Product *p)
{
    for (const Product *q = p; q; q = q->beside) {
        const Product *then = q->then;
        if (!known(q->activation) || q->weight->columns != p->weight->columns || (q != p && q->patches)
            || !alike(q->weight, q->weight->one_token))
            return 0;
        if (then && (q->added.first || then->then || then->beside || then->patches || !known(then->activation)
                     || then->weight->columns != q->weight->rows))
            return 0;
    }
    return !p->tokens || !p->patches || patches_fit(p->patches, p->tokens, p->weight->columns);
}

static void one_task(void *what, int64_t index)
{
    Work *work = what;
    const Product *p = work->product;
    int64_t tile = index / work->splits, first = work->vectors * tile / work->tiles * work->kernels->lanes;
    int64_t end = work->vectors * (tile + 1) / work->tiles * work->kernels->lanes;
    void *scratch = scratch_memory((size_t)work->kernels->scratch(p, (int)work->width) * work->real_bytes);
    if (scratch)
        work->kernels->linear(p, first, (end < p->tokens ? end : p->tokens) - first, index % work->splits, work->splits, scratch);
    else
        atomic_store(&work->status, SPARSEREF_NO_MEMORY);
}

int sparseref_linear(const Product *p, int set, int real_bytes, int threads)
{
    const Kernels *kernels = kernels_of(set, real_bytes);
    if (!kernels)
        return SPARSEREF_NO_SUCH_SET;
    if (p->tokens < 0 || threads < 1 || !good(p))
        return SPARSEREF_BAD_ARGUMENT;
    if (p->tokens == 0)
        return SPARSEREF_DONE;
    Needs needs = needs_of(p);
    int64_t width = width_for(p->tokens, &needs, kernels, threads), tiles = (p->tokens + width - 1) / width;
    Work work = {.product = p, .kernels = kernels, .real_bytes = (size_t)real_bytes, .width = width, .tiles = tiles,
                 .vectors = (p->tokens + kernels->lanes - 1) / kernels->lanes, .splits = splits_for(tiles, &needs, threads)};
    run_tasks(threads, work.tiles * work.splits, one_task, &work);
    return atomic_load(&work.status);
}
