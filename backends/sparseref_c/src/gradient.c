/* The gradient by a weight's values is cut into tasks: groups of rows, each with all tokens, so that no two write one value. */
#include "kernels.h"
#include "pool.h"
#include "scratch.h"
#include "sparseref.h"

#include <stdatomic.h>

typedef struct {
    const Sampled *sampled;
    const Kernels *kernels;
    size_t real_bytes;
    int64_t groups_each;
    atomic_int status;
} Work;

static void one_task(void *what, int64_t index)
{
    Work *work = what;
    const Sampled *s = work->sampled;
    int64_t first_group = index * work->groups_each, left = s->weight->groups - first_group;
    void *scratch = scratch_memory((size_t)work->kernels->sampled_scratch(s) * work->real_bytes);
    if (!scratch)
        atomic_store(&work->status, SPARSEREF_NO_MEMORY);
    else if (left > 0)
        work->kernels->sampled(s, first_group, left < work->groups_each ? left : work->groups_each, scratch);
}

/* Each value stands once: nothing goes abreast. */
static int one_by_one(const Runs *w)
{
    for (const Segment *s = w->segments + w->segment_of[0]; s < w->segments + w->segment_of[w->groups]; s++)
        if (s->abreast != 1)
            return 0;
    return 1;
}

int sparseref_sampled(const Sampled *s, int set, int real_bytes, int threads)
{
    const Kernels *kernels = kernels_of(set, real_bytes);
    if (!kernels)
        return SPARSEREF_NO_SUCH_SET;
    if (s->tokens < 0 || threads < 1 || !one_by_one(s->weight) || (s->tokens && s->patches && !patches_fit(s->patches, s->tokens, s->weight->columns)))
        return SPARSEREF_BAD_ARGUMENT;
    if (s->tokens == 0 || s->weight->groups == 0)
        return SPARSEREF_DONE;
    Work work = {.sampled = s, .kernels = kernels, .real_bytes = (size_t)real_bytes};
    int64_t tasks = threads < s->weight->groups ? threads : s->weight->groups;
    work.groups_each = (s->weight->groups + tasks - 1) / tasks;
    run_tasks(threads, tasks, one_task, &work);
    return atomic_load(&work.status);
}
