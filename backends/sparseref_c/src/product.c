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
    int64_t width, tiles, splits, groups_each;
    atomic_int status;
} Work;

/* Tokens of a tile: as many vectors as n leaves registers for, fewer where that keeps all threads at work. */
static int64_t width_for(const Product *p, const Kernels *kernels, int threads)
{
    static const int vectors[] = {8, 6, 4, 3, 2, 1};
    int most = kernels->vectors_at_most((int)p->weight->widest_run);
    int64_t best = 0, least = INT64_MAX;
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        int64_t width = (int64_t)vectors[i] * kernels->lanes;
        int64_t tiles = (p->tokens + width - 1) / width, rounds = (tiles + threads - 1) / threads;
        int64_t cost = rounds * (vectors[i] + 1);          /* a vector's loads of weights count about as one more */
        if (vectors[i] <= most && cost < least) {
            least = cost;
            best = width;
        }
    }
    return best;
}

/* Positive sides and steps, and as many places and columns as the product says. */
static int fit(const Patches *patches, const Product *p)
{
    const int64_t positive[] = {patches->channels, patches->height, patches->width, patches->kernel_height, patches->kernel_width,
                                patches->stride_height, patches->stride_width, patches->dilation_height, patches->dilation_width,
                                patches->out_height, patches->out_width};
    for (size_t i = 0; i < sizeof positive / sizeof *positive; i++)
        if (positive[i] < 1)
            return 0;
    return patches->pad_height >= 0 && patches->pad_width >= 0 && patches->out_height * patches->out_width == p->tokens
           && patches->channels * patches->kernel_height * patches->kernel_width == p->weight->columns;
}

static void one_task(void *what, int64_t index)
{
    Work *work = what;
    const Product *p = work->product;
    int64_t tile = index / work->splits, first_group = index % work->splits * work->groups_each;
    int64_t first = tile * work->width, tokens = p->tokens - first < work->width ? p->tokens - first : work->width;
    int64_t left = p->weight->groups - first_group;
    void *scratch = scratch_memory((size_t)work->kernels->scratch(p->weight, (int)work->width) * work->real_bytes);
    if (!scratch)
        atomic_store(&work->status, SPARSEREF_NO_MEMORY);
    else if (left > 0)
        work->kernels->linear(p, first, tokens, first_group, left < work->groups_each ? left : work->groups_each, scratch);
}

int sparseref_linear(const Product *p, int set, int real_bytes, int threads)
{
    const Kernels *kernels = kernels_of(set, real_bytes);
    if (!kernels)
        return SPARSEREF_NO_SUCH_SET;
    if (p->tokens < 0 || threads < 1 || p->activation < NO_ACTIVATION
        || p->activation > GELU_TANH || (p->tokens && p->patches && !fit(p->patches, p)))
        return SPARSEREF_BAD_ARGUMENT;
    if (p->tokens == 0 || p->weight->groups == 0)
        return SPARSEREF_DONE;
    Work work = {.product = p, .kernels = kernels, .real_bytes = (size_t)real_bytes};
    work.width = width_for(p, work.kernels, threads);
    work.tiles = (p->tokens + work.width - 1) / work.width;
    work.splits = work.tiles >= threads ? 1 : (threads + work.tiles - 1) / work.tiles;
    if (work.splits > p->weight->groups)
        work.splits = p->weight->groups;
    work.groups_each = (p->weight->groups + work.splits - 1) / work.splits;
    run_tasks(threads, work.tiles * work.splits, one_task, &work);
    return atomic_load(&work.status);
}
