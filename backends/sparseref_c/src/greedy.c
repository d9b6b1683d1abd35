/* The greedy choice of n:m:g (NMGS-S1 to S3), by deferred acceptance.
 *
 * Taking pairs of fibre and pattern best first gives the one matching in which no fibre and pattern would both rather have
 * each other.  So each fibre may ask in turn, and a pattern that has g fibres keeps the better:
 *
 *   fibre 7 asks pattern 3      3 has room            3 takes it
 *   fibre 9 asks pattern 3      3 is full             3 gives up its worst fibre, which asks on
 *
 * A fibre asks the best of the patterns that would take it: one sweep over its scores and those of each pattern's worst.
 * Gale and Shapley (1962), with equal scores decided as the specification says: lower fibre, lower pattern.
 */
#include "sparseref.h"
#include "vectors.h"

#include <math.h>

typedef struct {
    int64_t patterns, padded;      /* C, and up to whole vectors */
    int64_t g;
    double *score;                 /* [F][padded]; NaN where there is no pattern: it compares as no better */
    double *worst;                 /* [padded]: the least score that each pattern holds, -infinity while it has room, */
    double *worst_fibre;           /* [padded]: and whose it is, of equal ones the last; infinity while it has room */
    double *held_score;            /* [C][g]: what each pattern holds, a heap with the worst on top, */
    int32_t *held;                 /* [C][g]: and whose it is */
    int32_t *count;                /* [C] */
} Matching;

/* The pattern that the fibre likes best of those that would take it; there is one, as there are as many slots as fibres. */
static int64_t best_that_takes(const Matching *m, int32_t fibre)
{
    const double *score = m->score + fibre * m->padded;
    const vec asking = broadcast(fibre);
    vec best = broadcast(-INFINITY);
    for (int64_t p = 0; p < m->padded; p += LANES) {
        vec some = load(score + p), worst = load(m->worst + p);
        lanes takes = (some > worst) | ((some == worst) & (asking < load(m->worst_fibre + p)));
        best = choose(takes & (some > best), some, best);
    }
    double highest = best[0];
    for (int i = 1; i < LANES; i++)
        highest = best[i] > highest ? best[i] : highest;
    int64_t p = 0;
    while (!(score[p] == highest && (highest > m->worst[p] || (highest == m->worst[p] && fibre < m->worst_fibre[p]))))
        p++;
    return p;
}

static int worse(const Matching *m, int64_t i, int64_t j)
{
    return m->held_score[i] < m->held_score[j] || (m->held_score[i] == m->held_score[j] && m->held[i] > m->held[j]);
}

static void swap(const Matching *m, int64_t i, int64_t j)
{
    double score = m->held_score[i];
    int32_t fibre = m->held[i];
    m->held_score[i] = m->held_score[j], m->held[i] = m->held[j];
    m->held_score[j] = score, m->held[j] = fibre;
}

/* Put the fibre into the pattern's heap; -> the fibre that it gives up, -1 while it has room. */
static int32_t take(const Matching *m, int64_t pattern, int32_t fibre)
{
    int64_t top = pattern * m->g, count = m->count[pattern];
    double score = m->score[fibre * m->padded + pattern];
    int32_t given_up = -1;
    if (count < m->g) {
        int64_t i = count;
        m->held_score[top + i] = score, m->held[top + i] = fibre;
        for (; i && worse(m, top + i, top + (i - 1) / 2); i = (i - 1) / 2)
            swap(m, top + i, top + (i - 1) / 2);
        m->count[pattern]++;
    } else {
        given_up = m->held[top];
        m->held_score[top] = score, m->held[top] = fibre;
        for (int64_t i = 0, child; (child = 2 * i + 1) < count; i = child) {
            child += child + 1 < count && worse(m, top + child + 1, top + child);
            if (!worse(m, top + child, top + i))
                break;
            swap(m, top + child, top + i);
        }
    }
    if (m->count[pattern] == m->g) {
        m->worst[pattern] = m->held_score[top];
        m->worst_fibre[pattern] = m->held[top];
    }
    return given_up;
}

/* What fibres first .. last - 1 keep under each pattern, summed place by place; NaN counts as infinite (SPF-3).  -> the least. */
ALWAYS_INLINE double add_up_n(const Choice *c, const double *block, int64_t first, int64_t last, int64_t padded, double *score,
                              const int64_t n)
{
    double own[MOST_PLACES], least = INFINITY;
    for (int64_t f = first; f < last; f++) {
        double *sums = score + f * padded;
        for (int64_t i = 0; i < c->m; i++)
            own[i] = block[i * c->row_stride + f];
        for (int64_t p = 0; p < c->patterns; p++) {
            double sum = 0;
            for (int64_t j = 0; j < n; j++)
                sum += own[c->places[p * n + j]];
            sums[p] = isnan(sum) ? INFINITY : sum;
            least = sums[p] < least ? sums[p] : least;
        }
        for (int64_t p = c->patterns; p < padded; p++)
            sums[p] = NAN;
    }
    return least;
}

static double add_up(const Choice *c, const double *block, int64_t first, int64_t last, int64_t padded, double *score)
{
    switch (c->n) {
    case 1: return add_up_n(c, block, first, last, padded, score, 1);
    case 2: return add_up_n(c, block, first, last, padded, score, 2);
    default: return add_up_n(c, block, first, last, padded, score, c->n);
    }
}

static int64_t NAME(padded)(const Choice *c) { return (c->patterns + LANES - 1) / LANES * LANES; }

/* Bytes of memory for one block row. */
static size_t NAME(choice_bytes)(const Choice *c)
{
    size_t padded = (size_t)NAME(padded)(c), F = (size_t)c->fibres, C = (size_t)c->patterns;
    return (F * padded + 2 * padded + F) * sizeof(double) + (F + C) * sizeof(int32_t);
}

static void NAME(choose_patterns)(const Choice *c, int64_t block_row, void *scratch)
{
    int64_t F = c->fibres, C = c->patterns, padded = NAME(padded)(c);
    Matching m = {.patterns = C, .padded = padded, .g = c->g, .score = scratch};
    m.worst = m.score + F * padded;
    m.worst_fibre = m.worst + padded;
    m.held_score = m.worst_fibre + padded;
    m.held = (int32_t *)(m.held_score + F);
    m.count = m.held + F;
    for (int64_t p = 0; p < padded; p++)
        m.worst[p] = -INFINITY, m.worst_fibre[p] = INFINITY;
    memset(m.count, 0, (size_t)C * sizeof *m.count);
    const double *block = c->scores + block_row * c->block_stride;
    int32_t *owner = c->owner + block_row * F;
    int64_t asking_fibres = c->real_fibres;
    memset(owner, 0, (size_t)F * sizeof *owner);
    if (add_up(c, block, 0, c->real_fibres, padded, m.score) < 0) {    /* filling has 0 (NMGS-S4) and would be preferred */
        add_up(c, block, c->real_fibres, F, padded, m.score);
        asking_fibres = F;
    }
    for (int64_t f = 0; f < asking_fibres; f++)
        for (int32_t asking = (int32_t)f; asking >= 0;) {
            int64_t p = best_that_takes(&m, asking);
            owner[asking] = (int32_t)p;
            asking = take(&m, p, asking);
        }
}
