/* The library's door: which instruction set, how a product is cut into tasks, statuses instead of crashes. */
#include "sparseref.h"

#include "kernels.h"
#include "pool.h"
#include "scratch.h"

#include <stdatomic.h>

/* compiling.py says with -DWITH_ which instruction sets the kernels were compiled for. */
#define BOTH(isa) extern const Kernels kernels_##isa##_float, kernels_##isa##_double
BOTH(portable);
BOTH(sse42);
BOTH(avx2);
BOTH(avx512);
BOTH(neon);

typedef struct {
    const char *name;
    int (*runs_here)(void);
    const Kernels *of_float, *of_double;
} InstructionSet;

#define SET(isa) {#isa, has_##isa, &kernels_##isa##_float, &kernels_##isa##_double}

static int has_portable(void) { return 1; }
#ifdef WITH_SSE42
static int has_sse42(void) { return __builtin_cpu_supports("sse4.2"); }
#endif
#ifdef WITH_AVX2
static int has_avx2(void) { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
#endif
#ifdef WITH_AVX512
static int has_avx512(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("avx512f")
           && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw");
}
#endif
#ifdef WITH_NEON
static int has_neon(void) { return 1; }                    /* every 64-bit Arm has it */
#endif

/* From the plainest to the best. */
static const InstructionSet sets[] = {
    SET(portable),
#ifdef WITH_SSE42
    SET(sse42),
#endif
#ifdef WITH_AVX2
    SET(avx2),
#endif
#ifdef WITH_AVX512
    SET(avx512),
#endif
#ifdef WITH_NEON
    SET(neon),
#endif
};
enum { SETS = sizeof sets / sizeof *sets };

int sparseref_sets(void) { return SETS; }

const char *sparseref_set_name(int set) { return set >= 0 && set < SETS ? sets[set].name : NULL; }

int sparseref_set_runs_here(int set) { return set >= 0 && set < SETS && sets[set].runs_here(); }

void sparseref_borrow_threads(void *gomp_parallel) { borrow_threads((ParallelRegion)gomp_parallel); }

int sparseref_borrows_threads(void) { return borrows_threads(); }

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
    if (!sparseref_set_runs_here(set))
        return SPARSEREF_NO_SUCH_SET;
    if ((real_bytes != 4 && real_bytes != 8) || p->tokens < 0 || threads < 1 || p->activation < NO_ACTIVATION
        || p->activation > GELU_TANH || (p->tokens && p->patches && !fit(p->patches, p)))
        return SPARSEREF_BAD_ARGUMENT;
    if (p->tokens == 0 || p->weight->groups == 0)
        return SPARSEREF_DONE;
    Work work = {.product = p, .kernels = real_bytes == 4 ? sets[set].of_float : sets[set].of_double,
                 .real_bytes = (size_t)real_bytes};
    work.width = width_for(p, work.kernels, threads);
    work.tiles = (p->tokens + work.width - 1) / work.width;
    work.splits = work.tiles >= threads ? 1 : (threads + work.tiles - 1) / work.tiles;
    if (work.splits > p->weight->groups)
        work.splits = p->weight->groups;
    work.groups_each = (p->weight->groups + work.splits - 1) / work.splits;
    run_tasks(threads, work.tiles * work.splits, one_task, &work);
    return atomic_load(&work.status);
}

typedef struct {
    const Kernels *kernels;
    void *values;
    int64_t count;
    int32_t activation;
} Activation;

enum { PIECE = 1 << 14 };          /* values of a task */

static void one_piece(void *what, int64_t index)
{
    const Activation *a = what;
    int64_t end = (index + 1) * PIECE;
    a->kernels->activate(a->values, index * PIECE, end < a->count ? end : a->count, a->activation);
}

int sparseref_activate(void *values, int64_t count, int32_t activation, int set, int real_bytes, int threads)
{
    if (!sparseref_set_runs_here(set))
        return SPARSEREF_NO_SUCH_SET;
    if ((real_bytes != 4 && real_bytes != 8) || count < 0 || threads < 1 || activation < NO_ACTIVATION || activation > GELU_TANH)
        return SPARSEREF_BAD_ARGUMENT;
    Activation what = {real_bytes == 4 ? sets[set].of_float : sets[set].of_double, values, count, activation};
    run_tasks(threads, (count + PIECE - 1) / PIECE, one_piece, &what);
    return SPARSEREF_DONE;
}

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
    if (!sparseref_set_runs_here(set))
        return SPARSEREF_NO_SUCH_SET;
    if (c->patterns < 1 || c->fibres != c->patterns * c->g || c->real_fibres < 0 || c->real_fibres > c->fibres || c->n < 1 || c->m > MOST_PLACES || c->block_rows < 0 || threads < 1)
        return SPARSEREF_BAD_ARGUMENT;
    Choosing work = {.choice = c, .kernels = sets[set].of_double};
    run_tasks(threads, c->block_rows, one_block_row, &work);
    return atomic_load(&work.status);
}

typedef struct {
    const Kernels *kernels;
    int64_t rounds;
} Spin;

static void one_spin(void *what, int64_t index)
{
    (void)index;
    const Spin *spin = what;
    spin->kernels->spin(spin->rounds);
}

int64_t sparseref_spin(int set, int real_bytes, int64_t rounds, int threads)
{
    if (!sparseref_set_runs_here(set) || (real_bytes != 4 && real_bytes != 8) || rounds < 1 || threads < 1)
        return 0;
    Spin spin = {real_bytes == 4 ? sets[set].of_float : sets[set].of_double, rounds};
    run_tasks(threads, threads, one_spin, &spin);
    return threads * rounds * spin.kernels->spin_operations;
}
