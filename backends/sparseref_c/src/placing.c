/* Between blocks of a matrix and the slots of n:m:g, chunk by chunk (NMG-C4, NMG-C10).
 *
 *   blocks [RB][m][S]      --- owner [RB][C*g]: the pattern of each fibre --->      values [RB][S][n], idx [RB][S]
 *
 * A pattern's slots take its fibres in rising order, what is left takes the filling.
 */
#include "kernels.h"
#include "pool.h"
#include "scratch.h"
#include "sparseref.h"

#include <stdatomic.h>
#include <string.h>

typedef struct {
    const Coding *coding;
    void (*task)(const Coding *c, int64_t block_row, atomic_int *status);
    atomic_int status;
} Work;

static void one_block_row(void *what, int64_t index)
{
    Work *work = what;
    work->task(work->coding, index, &work->status);
}

static int for_block_rows(const Coding *c, int threads, void (*task)(const Coding *, int64_t, atomic_int *))
{
    int known = c->item_bytes == 1 || c->item_bytes == 2 || c->item_bytes == 4 || c->item_bytes == 8;
    if (!known || (c->index_bytes != 1 && c->index_bytes != 2) || c->block_rows < 0 || c->slots < 0 || c->slots > MOST_SIDE || c->g < 1
        || c->g > MOST_SIDE || !good_places(c->places, c->patterns, c->n, c->m) || c->fibres < 0 || c->fibres > c->patterns * c->g
        || c->first < 0 || c->first > c->slots || c->patterns * c->g > c->slots - c->first || threads < 1)
        return SPARSEREF_BAD_ARGUMENT;
    Work work = {.coding = c, .task = task};
    run_tasks(threads, c->block_rows, one_block_row, &work);
    return atomic_load(&work.status);
}

/* One slot's n values of fibre f, to or from its block. */
#define MOVE(type, to_block)                                                                      \
    {                                                                                             \
        type *block = (type *)c->blocks + block_row * c->m * c->slots + c->first + fibre;         \
        type *value = (type *)c->values + (block_row * c->slots + c->first + slot) * c->n;        \
        for (int64_t j = 0; j < c->n; j++)                                                        \
            if (to_block)                                                                         \
                block[place[j] * c->slots] = value[j];                                            \
            else                                                                                  \
                value[j] = block[place[j] * c->slots];                                            \
    }

static inline void move(const Coding *c, int64_t block_row, int64_t slot, int64_t fibre, int to_block)
{
    const uint8_t *place = c->places + slot / c->g * c->n;
    switch (c->item_bytes) {
    case 1: MOVE(uint8_t, to_block) break;
    case 2: MOVE(uint16_t, to_block) break;
    case 4: MOVE(uint32_t, to_block) break;
    default: MOVE(uint64_t, to_block) break;
    }
}

static void put(const Coding *c, int64_t block_row, int64_t slot, int64_t fibre)
{
    int64_t at = block_row * c->slots + c->first + slot;
    if (c->index_bytes == 1)
        ((uint8_t *)c->idx)[at] = (uint8_t)fibre;
    else
        ((uint16_t *)c->idx)[at] = (uint16_t)fibre;
    move(c, block_row, slot, fibre, 0);
}

static void place_row(const Coding *c, int64_t block_row, atomic_int *status)
{
    int32_t *used = scratch_memory((size_t)c->patterns * sizeof *used);
    const int32_t *owner = c->owner + block_row * c->patterns * c->g;
    if (!used) {
        atomic_store(status, SPARSEREF_NO_MEMORY);
        return;
    }
    memset(used, 0, (size_t)c->patterns * sizeof *used);
    for (int64_t f = 0; f < c->fibres; f++) {
        int32_t p = owner[f];
        if (p < 0 || p >= c->patterns || used[p] == c->g) {
            atomic_store(status, SPARSEREF_NO_SLOT);
            return;
        }
        put(c, block_row, p * c->g + used[p]++, f);
    }
    for (int64_t p = 0, f = c->fibres; p < c->patterns; p++)
        for (int64_t i = used[p]; i < c->g; i++)
            put(c, block_row, p * c->g + i, f++);
}

/* As entries rise within a fibre, the j-th of them (from 1) at place i adds binomial(i, j): the fibre's rank among subsets. */
static void find_owners(const Coding *c, int64_t block_row, atomic_int *status)
{
    int64_t F = c->fibres;
    uint32_t *count = scratch_memory(2 * (size_t)(F + 1) * sizeof *count), *rank = count + F;
    const uint8_t *kept = (const uint8_t *)c->blocks + block_row * c->m * c->slots + c->first;
    if (!count) {
        atomic_store(status, SPARSEREF_NO_MEMORY);
        return;
    }
    memset(count, 0, 2 * (size_t)F * sizeof *count);
    for (int64_t i = 0; i < c->m; i++)
        for (int64_t f = 0; f < F; f++)
            if (kept[i * c->slots + f] && ++count[f] <= (uint32_t)c->n)
                rank[f] += c->binomial[i * (c->n + 1) + count[f]];
    for (int64_t f = 0; f < F; f++)
        c->owner[block_row * c->patterns * c->g + f] = count[f] == (uint32_t)c->n && rank[f] < c->patterns ? c->pattern_of_rank[rank[f]] : -1;
}

static int64_t fibre_of(const Coding *c, int64_t block_row, int64_t slot)
{
    int64_t at = block_row * c->slots + c->first + slot;
    return c->index_bytes == 1 ? ((const uint8_t *)c->idx)[at] : ((const uint16_t *)c->idx)[at];
}

/* idx has to be a permutation of 0 .. C*g - 1 (NMG-C5). */
static void check_row(const Coding *c, int64_t block_row, atomic_int *status)
{
    int64_t size = c->patterns * c->g;
    uint8_t *seen = scratch_memory((size_t)size);
    if (!seen) {
        atomic_store(status, SPARSEREF_NO_MEMORY);
        return;
    }
    memset(seen, 0, (size_t)size);
    for (int64_t slot = 0; slot < size; slot++) {
        int64_t fibre = fibre_of(c, block_row, slot);
        if (fibre >= size || seen[fibre]++) {
            atomic_store(status, SPARSEREF_NO_SLOT);
            return;
        }
    }
}

static void scatter_row(const Coding *c, int64_t block_row, atomic_int *status)
{
    for (int64_t slot = 0; slot < c->patterns * c->g; slot++) {
        int64_t fibre = fibre_of(c, block_row, slot);
        if (fibre >= c->patterns * c->g) {
            atomic_store(status, SPARSEREF_NO_SLOT);
            return;
        }
        move(c, block_row, slot, fibre, 1);
    }
}

int sparseref_nmg_place(const Coding *c, int threads) { return for_block_rows(c, threads, place_row); }
int sparseref_nmg_owners(const Coding *c, int threads) { return for_block_rows(c, threads, find_owners); }
int sparseref_nmg_check(const Coding *c, int threads) { return for_block_rows(c, threads, check_row); }
int sparseref_nmg_scatter(const Coding *c, int threads) { return for_block_rows(c, threads, scatter_row); }
