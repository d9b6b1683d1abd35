/* The greedy of n:m:g, a task for each block row. */
#include "kernels.h"
#include "pool.h"
#include "scratch.h"
#include "sparseref.h"

#include <stdatomic.h>

typedef struct {
    const Choice *choice;
    const Kernels *kernels;
    atomic_int status;
} Choosing;

static void one_block_row(void *what, int64_t index)
{
    Choosing *work = what;
    void *scratch = scratch_memory(work->kernels->choice_bytes(work->choice));
    if (scratch)
        work->kernels->choose_patterns(work->choice, index, scratch);
    else
        atomic_store(&work->status, SPARSEREF_NO_MEMORY);
}

int sparseref_nmg_choose(const Choice *c, int set, int threads)
{
    const Kernels *kernels = kernels_of(set, sizeof(double));
    if (!kernels)
        return SPARSEREF_NO_SUCH_SET;
    if (!good_places(c->places, c->patterns, c->n, c->m) || c->g < 1 || c->g > MOST_SIDE || c->fibres != c->patterns * c->g
        || c->real_fibres < 0 || c->real_fibres > c->fibres || c->block_rows < 0 || threads < 1)
        return SPARSEREF_BAD_ARGUMENT;
    Choosing work = {.choice = c, .kernels = kernels};
    run_tasks(threads, c->block_rows, one_block_row, &work);
    return atomic_load(&work.status);
}
