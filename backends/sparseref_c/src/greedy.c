/* The greedy choice of n:m:g (NMGS-S1 to S3), by deferred acceptance.
 *
 * Taking pairs of fibre and pattern best first gives the one matching in which no fibre and pattern would both rather have
 * each other.  So each fibre may ask in its own order, best pattern first, and a pattern that has g fibres keeps the better:
 *
 *   fibre 7 asks pattern 3      3 has room            3 takes it
 *   fibre 9 asks pattern 3      3 is full             3 gives up its worst fibre, or sends 9 on to its next best
 *
 * Gale and Shapley (1962), with equal scores decided as the specification says: lower fibre, lower pattern.
 */
#include "pool.h"
#include "scratch.h"
#include "sparseref.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

typedef struct {
    const double *score;           /* [F][C] */
    int64_t patterns;
    int g;
    int32_t *held;                 /* [C][g]: the fibres of each pattern, a heap with the worst on top */
    int32_t *count;                /* [C] */
    int32_t *wishes, *left;        /* [F][C], [F]: the patterns that each fibre has not asked, and how many */
    int32_t *owner;                /* [F]: the last pattern that a fibre asked */
} Matching;

static int worse(const Matching *m, int64_t pattern, int32_t one, int32_t other)
{
    double a = m->score[one * m->patterns + pattern], b = m->score[other * m->patterns + pattern];
    return a < b || (a == b && one > other);
}

/* Of one fibre: does pattern p come before q?  Higher score first, equal ones by rising pattern. */
static int before(const double *score, int32_t p, int32_t q)
{
    return score[p] > score[q] || (score[p] == score[q] && p < q);
}

/* A heap of patterns, the best on top: what a fibre has not asked yet. */
static void sift_wish(const double *score, int32_t *wish, int64_t count, int64_t i)
{
    int32_t moved = wish[i];
    for (int64_t child; (child = 2 * i + 1) < count; i = child) {
        child += child + 1 < count && before(score, wish[child + 1], wish[child]);
        if (!before(score, wish[child], moved))
            break;
        wish[i] = wish[child];
    }
    wish[i] = moved;
}

/* The best pattern that the fibre has not asked; as there are as many slots as fibres, it never runs out of them. */
static int32_t next_best(const Matching *m, int64_t fibre)
{
    const double *score = m->score + fibre * m->patterns;
    int32_t *wish = m->wishes + fibre * m->patterns, best = wish[0];
    wish[0] = wish[--m->left[fibre]];
    sift_wish(score, wish, m->left[fibre], 0);
    return best;
}

static void wish_all(const Matching *m, int64_t fibre)
{
    int32_t *wish = m->wishes + fibre * m->patterns;
    for (int32_t p = 0; p < m->patterns; p++)
        wish[p] = p;
    for (int64_t i = m->patterns / 2; i-- > 0;)
        sift_wish(m->score + fibre * m->patterns, wish, m->patterns, i);
    m->left[fibre] = (int32_t)m->patterns;
}

static void sift_down(const Matching *m, int64_t pattern)
{
    int32_t *heap = m->held + pattern * m->g;
    for (int i = 0, child; (child = 2 * i + 1) < m->count[pattern]; i = child) {
        if (child + 1 < m->count[pattern] && worse(m, pattern, heap[child + 1], heap[child]))
            child++;
        if (!worse(m, pattern, heap[child], heap[i]))
            return;
        int32_t kept = heap[i];
        heap[i] = heap[child];
        heap[child] = kept;
    }
}

static void add(const Matching *m, int64_t pattern, int32_t fibre)
{
    int32_t *heap = m->held + pattern * m->g;
    int i = m->count[pattern]++;
    for (heap[i] = fibre; i && worse(m, pattern, heap[i], heap[(i - 1) / 2]); i = (i - 1) / 2) {
        heap[i] = heap[(i - 1) / 2];
        heap[(i - 1) / 2] = fibre;
    }
}

static void match(const Matching *m, int64_t fibres)
{
    for (int64_t f = 0; f < fibres; f++) {
        int32_t asking = (int32_t)f;
        wish_all(m, f);
        while (asking >= 0) {
            int32_t p = next_best(m, asking);
            m->owner[asking] = p;
            if (m->count[p] < m->g) {
                add(m, p, asking);
                asking = -1;
            } else if (worse(m, p, m->held[p * m->g], asking)) {
                int32_t sent_on = m->held[p * m->g];
                m->held[p * m->g] = asking;
                sift_down(m, p);
                asking = sent_on;
            }
        }
    }
}

typedef struct {
    const Choice *choice;
    atomic_int status;
} Work;

/* One block row: what each fibre keeps under each pattern, summed place by place, then the matching. */
static void one_block_row(void *what, int64_t index)
{
    Work *work = what;
    const Choice *c = work->choice;
    int64_t F = c->fibres, C = c->patterns, slots = C * c->g;
    size_t numbers = (size_t)(F * C + F + slots + C);
    double *score = scratch_memory((size_t)(F * C) * sizeof(double) + numbers * sizeof(int32_t));
    if (!score) {
        atomic_store(&work->status, SPARSEREF_NO_MEMORY);
        return;
    }
    int32_t *held = (int32_t *)(score + F * C), *count = held + slots, *left = count + C, *wishes = left + F;
    Matching m = {score, C, (int)c->g, held, count, wishes, left, c->owner + index * F};
    const double *block = c->scores + index * c->block_stride;
    for (int64_t f = 0; f < F; f++)
        for (int64_t p = 0; p < C; p++) {
            double sum = 0;
            for (int64_t j = 0; j < c->n; j++)
                sum += block[c->places[p * c->n + j] * c->row_stride + f];
            score[f * C + p] = isnan(sum) ? INFINITY : sum;        /* SPF-3 */
        }
    memset(m.count, 0, (size_t)C * sizeof(int32_t));
    match(&m, F);
}

int sparseref_nmg_choose(const Choice *c, int threads)
{
    if (c->fibres != c->patterns * c->g || c->n < 1 || c->block_rows < 0 || threads < 1)
        return SPARSEREF_BAD_ARGUMENT;
    Work work = {.choice = c};
    run_tasks(threads, c->block_rows, one_block_row, &work);
    return atomic_load(&work.status);
}
