/* Descriptors and buffers made of any bytes: the library may refuse them, and touches nothing but what it was given.
 *
 * Each array is memory of its own, exactly as large as its descriptor says, so that a sanitizer sees every byte beside it.
 * In the form of libFuzzer; with -DBY_CHANCE a program that takes how many rounds, and from which number on.
 */
#include "sparseref.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    const uint8_t *at;
    size_t left;
} Bytes;

static uint64_t take(Bytes *from, size_t bytes)
{
    uint64_t value = 0;
    for (; bytes && from->left; bytes--, from->left--)
        value = value << 8 | *from->at++;
    return value;
}

static int64_t below(Bytes *from, int64_t end) { return end > 0 ? (int64_t)(take(from, 2) % (uint64_t)end) : 0; }

/* Memory of its own, filled with what is left to take. */
static void *filled(Bytes *from, int64_t count, size_t size)
{
    uint8_t *memory = malloc(count > 0 ? (size_t)count * size : 1);
    for (int64_t i = 0; i < count * (int64_t)size; i++)
        memory[i] = (uint8_t)take(from, 1);
    return memory;
}

/* A field becomes a little more or less, or anything, now and then. */
static void lie(Bytes *from, void *field, size_t bytes)
{
    uint64_t chance = take(from, 1) % 48, value = 0;
    if (chance > 1)
        return;
    memcpy(&value, field, bytes);
    value = chance ? value + take(from, 1) % 9 - 4 : take(from, bytes);
    memcpy(field, &value, bytes);                          /* little end first, as everywhere that this runs */
}

enum { MOST_SEGMENTS = 6, MOST_RUNS = 48, MOST_COLUMNS = 256, TRIED = 600 };

typedef struct {
    Runs runs;
    Sizes sizes;
    int64_t *segment_of;
    Segment *segments;
    Run *run;
    uint32_t *column;
    double *value;
} Weight;

static void *cut(const void *from, size_t bytes)
{
    void *memory = malloc(bytes ? bytes : 1);
    memcpy(memory, from, bytes);
    return memory;
}

/* Mostly a right one; of every field a lie sometimes. */
static Weight weight_of(Bytes *from, int64_t columns)
{
    static int64_t segment_of[8];
    static Segment segments[MOST_SEGMENTS];
    static Run run[MOST_RUNS];
    static uint32_t column[MOST_COLUMNS];
    int64_t m = 1 + below(from, 3), group_rows = 4 * m * (1 + below(from, 2)), rows = below(from, 40);
    int64_t groups = (rows + group_rows - 1) / group_rows, count = 0, runs = 0, used = 0, values = 0;
    if (groups > 6)
        groups = 6, rows = 6 * group_rows;
    segment_of[0] = 0;
    for (int64_t g = 0; g < groups; g++) {
        for (int64_t k = below(from, 3); k > 0 && count < MOST_SEGMENTS; k--) {
            Segment *s = &segments[count++];
            *s = (Segment){.first_run = (uint64_t)runs, .first_column = (uint64_t)used, .first_value = (uint64_t)values,
                           .n = (uint32_t)(1 + below(from, m < 4 ? m : 4)), .abreast = below(from, 2) ? 4 : 1, .serves = 7,
                           .x_columns = (uint32_t)columns};
            if (!below(from, 3))
                s->n = 1, s->abreast = SIXTEEN, s->serves = ONE_TOKEN;
            for (int64_t i = below(from, 3); i > 0 && runs + 4 <= MOST_RUNS; i--) {
                uint32_t longest = 0, base = (uint32_t)(below(from, group_rows / (4 * m)) * 4 * m);
                int together = s->abreast == SIXTEEN ? 1 : s->abreast;
                if (s->abreast == SIXTEEN)
                    base = (uint32_t)(below(from, (group_rows + 15) / 16) * 16);
                for (int r = 0; r < together; r++) {
                    run[runs + r] = (Run){.count = (uint32_t)below(from, 5)};
                    longest = run[runs + r].count > longest ? run[runs + r].count : longest;
                    for (uint32_t j = 0; j < s->n; j++)
                        run[runs + r].row[j] = base + (uint32_t)(r * m) + j % (uint32_t)m;
                }
                int64_t more = (int64_t)longest * s->abreast;
                if (used + more > MOST_COLUMNS)
                    break;
                for (int64_t c = 0; c < more; c++) {
                    int64_t k = below(from, columns + 1);
                    if (s->abreast == SIXTEEN)
                        ((uint8_t *)(column + used))[c] = (uint8_t)(k < columns ? k : BEHIND);
                    else
                        column[used + c] = (uint32_t)k;
                }
                used += s->abreast == SIXTEEN ? more / 4 : more;
                runs += together, s->runs += (uint64_t)together, values += more * s->n;
            }
            lie(from, &s->first_run, 8), lie(from, &s->runs, 8), lie(from, &s->first_column, 8), lie(from, &s->first_value, 8);
            lie(from, &s->n, 4), lie(from, &s->abreast, 2), lie(from, &s->serves, 2);
            lie(from, &s->first_x, 4), lie(from, &s->x_columns, 4);
        }
        segment_of[g + 1] = count;
    }
    for (int64_t i = 0; i < runs; i++)
        lie(from, &run[i].count, 4), lie(from, &run[i].row[below(from, 4)], 4);
    for (int64_t i = 0; i < used; i++)
        lie(from, &column[i], 4);
    lie(from, &segment_of[below(from, groups + 1)], 8);
    Weight w = {.sizes = {groups + 1, count, runs, used, values}};
    w.segment_of = cut(segment_of, (size_t)(groups + 1) * sizeof *segment_of);
    w.segments = cut(segments, (size_t)count * sizeof *segments);
    w.run = cut(run, (size_t)runs * sizeof *run);
    w.column = cut(column, (size_t)used * sizeof *column);
    w.value = filled(from, values, sizeof *w.value);
    w.runs = (Runs){rows, columns, group_rows, groups, 4, m, w.segment_of, w.segments, w.run, w.column, w.value, NULL};
    lie(from, &w.runs.rows, 8), lie(from, &w.runs.columns, 8), lie(from, &w.runs.group_rows, 8), lie(from, &w.runs.groups, 8);
    lie(from, &w.runs.widest_run, 8), lie(from, &w.runs.block_rows, 8);
    return w;
}

static void forget(Weight *w)
{
    free(w->segment_of), free(w->segments), free(w->run), free(w->column), free(w->value);
}

/* Else it is right, and only too large to be tried here. */
static int small(const Runs *w) { return w->rows <= TRIED && w->columns <= TRIED && w->group_rows <= TRIED; }

/* Products and gradients of what sparseref_check lets through. */
static void multiply(Bytes *from)
{
    int64_t columns = below(from, 20), tokens = below(from, 40);
    Weight w = weight_of(from, columns), next = weight_of(from, below(from, 8) ? w.runs.rows : below(from, 20)), other = weight_of(from, columns);
    int fine = !sparseref_check(&w.runs, &w.sizes) && small(&w.runs);
    int chained = !sparseref_check(&next.runs, &next.sizes) && small(&next.runs) && below(from, 2);
    int good = !sparseref_check(&other.runs, &other.sizes) && small(&other.runs), beside = good && below(from, 2);
    if (good && below(from, 2))                            /* of its own form or another */
        w.runs.one_token = &other.runs;
    if (fine) {
        int64_t side[] = {w.runs.columns, w.runs.rows, chained ? next.runs.rows : 0, beside ? other.runs.rows : 0};
        double *array[4], *bias = filled(from, w.runs.rows, 8), *added = filled(from, tokens * w.runs.rows, 8);
        double *gradient = filled(from, w.sizes.values, 8);
        for (int i = 0; i < 4; i++)
            array[i] = filled(from, tokens * side[i], 8);
        Product then = {&next.runs, {0}, {array[2], next.runs.rows, 1}, {0}, NULL, tokens, (int32_t)below(from, 4), 0, NULL, NULL, NULL};
        Product more = {&other.runs, {0}, {array[3], other.runs.rows, 1}, {0}, NULL, tokens, (int32_t)below(from, 4), 0, NULL, NULL, NULL};
        Product p = {&w.runs, {array[0], w.runs.columns, 1}, {array[1], w.runs.rows, 1}, {below(from, 2) ? added : NULL, w.runs.rows, 1},
                     below(from, 2) ? bias : NULL, tokens, (int32_t)below(from, 4), (int32_t)below(from, 2), NULL,
                     chained ? &then : NULL, beside ? &more : NULL};
        lie(from, &p.activation, 4), lie(from, &then.activation, 4);
        int set = (int)below(from, 6) - 1, threads = (int)below(from, 4) - 1;
        sparseref_linear(&p, set, 8, threads);
        Sampled s = {&w.runs, p.y, p.x, gradient, tokens, NULL};
        sparseref_sampled(&s, set, 8, threads);
        for (int i = 0; i < 4; i++)
            free(array[i]);
        free(bias), free(added), free(gradient);
    }
    forget(&w), forget(&next), forget(&other);
}

/* The greedy, and what places and finds slots; arrays are as large as the honest numbers say. */
static void place(Bytes *from)
{
    static const uint32_t binomials[] = {1, 0, 0, 1, 1, 0, 1, 2, 1, 1, 3, 3};              /* [4][3]: i over j */
    int64_t n = 1 + below(from, 2), m = n + below(from, 3 - n + 1), g = 1 + below(from, 3), RB = below(from, 3);
    int64_t C = m == n ? 1 : 3 - (m == 2), first = below(from, 3), slots = first + C * g + below(from, 3);
    int64_t item = (int64_t)1 << below(from, 4), index = 1 + below(from, 2), fibres = below(from, C * g + 1);
    uint8_t *places = filled(from, C * n, 1);
    if (below(from, 4))
        for (int64_t p = 0; p < C; p++)
            for (int64_t j = 0; j < n; j++)
                places[p * n + j] = (uint8_t)(n == 1 ? p : m == n ? j : j ? 1 + (p > 0) : p > 1);
    uint32_t *binomial = malloc((size_t)(m * (n + 1)) * 4);
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j <= n; j++)
            binomial[i * (n + 1) + j] = below(from, 9) ? binomials[i * 3 + j] : (uint32_t)take(from, 4);
    void *scores = filled(from, RB * m * C * g, 8), *blocks = filled(from, RB * m * slots, (size_t)item);
    void *values = filled(from, RB * slots * n, (size_t)item), *idx = filled(from, RB * slots, (size_t)index);
    int32_t *rank = filled(from, C, 4), *owner = filled(from, RB * C * g, 4);
    Choice choice = {scores, RB, m * C * g, C * g, n, m, C, g, C * g, fibres, places, owner};
    lie(from, &choice.n, 8), lie(from, &choice.m, 8), lie(from, &choice.patterns, 8), lie(from, &choice.g, 8);
    lie(from, &choice.fibres, 8), lie(from, &choice.real_fibres, 8);
    if (choice.n <= n && choice.m <= m && choice.patterns <= C && choice.fibres <= C * g)  /* else arrays are larger than these */
        sparseref_nmg_choose(&choice, (int)below(from, 6) - 1, (int)below(from, 3));
    Coding c = {RB, slots, first, n, m, C, g, fibres, places, binomial, rank, blocks, values, idx, owner, (int32_t)item, (int32_t)index};
    lie(from, &c.first, 8), lie(from, &c.fibres, 8), lie(from, &c.g, 8), lie(from, &c.n, 8);
    if (c.n <= n && c.g <= g) {
        Coding bytes = c;                                  /* who owns what is asked of bytes */
        bytes.item_bytes = 1;
        sparseref_nmg_owners(&bytes, (int)below(from, 3));
        if (!below(from, 2))
            for (int64_t i = 0; i < RB * C * g; i++)
                owner[i] = (int32_t)below(from, C + 2) - 1;
        sparseref_nmg_place(&c, (int)below(from, 3));
        sparseref_nmg_check(&c, 1);
        sparseref_nmg_scatter(&c, 1);
    }
    free(places), free(binomial), free(scores), free(blocks), free(values), free(idx), free(rank), free(owner);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Bytes from = {data, size};
    if (take(&from, 1) % 2)
        multiply(&from);
    else
        place(&from);
    return 0;
}

#ifdef BY_CHANCE
int main(int count, char **words)
{
    long rounds = count > 1 ? atol(words[1]) : 10000, first = count > 2 ? atol(words[2]) : 0;
    static uint8_t data[4096];
    for (long round = first; round < first + rounds; round++) {
        uint64_t state = (uint64_t)round * 0x9e3779b97f4a7c15u + 1;
        for (size_t i = 0; i < sizeof data; i++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            data[i] = (uint8_t)(state >> 56);
        }
        LLVMFuzzerTestOneInput(data, sizeof data);
    }
    printf("%ld rounds\n", rounds);
    return 0;
}
#endif
