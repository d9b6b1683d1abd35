/* What Python calls.  Every function gives a status and touches nothing but what it is given. */
#ifndef SPARSEREF_H
#define SPARSEREF_H

#include "runs.h"

#define EXPORT __attribute__((visibility("default")))

/* NO_SUCH_SET: also where a set has no kernels for reals of so many bytes. */
enum { SPARSEREF_DONE, SPARSEREF_NO_MEMORY, SPARSEREF_BAD_ARGUMENT, SPARSEREF_NO_SUCH_SET, SPARSEREF_NO_SLOT };

/* The instruction sets that the library was built for, by number, from the plainest to the best. */
EXPORT int sparseref_sets(void);
EXPORT const char *sparseref_set_name(int set);
EXPORT int sparseref_set_runs_here(int set);

/* How many elements the arrays of a weight have. */
typedef struct {
    int64_t groups, segments, runs, columns, values;       /* groups: of segment_of, one more than the weight has */
} Sizes;

enum { MOST_SIDE = 1 << 30 };

/* Asked once for a weight: whether all that its arrays name lies within them.  No product looks again. */
EXPORT int sparseref_check(const Runs *w, const Sizes *sizes);

/* real_bytes: 4 float, 8 double; of weight, x, bias, added and y alike.  The result does not depend on `threads`. */
EXPORT int sparseref_linear(const Product *p, int set, int real_bytes, int threads);

/* The gradient of a product by the values of its weight.  The result does not depend on `threads`. */
EXPORT int sparseref_sampled(const Sampled *s, int set, int real_bytes, int threads);

/* Work from now on with the threads of an OpenMP: the address of its GOMP_parallel, or NULL.  The threads that fork leaves behind
 * are forgotten. */
EXPORT void sparseref_borrow_threads(void *gomp_parallel);
EXPORT int sparseref_borrows_threads(void);

/* values [count], float or double, are changed in place. */
EXPORT int sparseref_activate(void *values, int64_t count, int32_t activation, int set, int real_bytes, int threads);

/* Every thread multiplies and adds in registers alone.  -> how many operations were done in all; 0: no such set or size. */
EXPORT int64_t sparseref_spin(int set, int real_bytes, int64_t rounds, int threads);

enum { MOST_PLACES = 256 };        /* m at most, as a place is a byte */

/* One chunk of n:m:g in every block row: which pattern each of its C * g fibres keeps. */
typedef struct {
    const double *scores;          /* of block row i, row r, fibre f: scores[i * block_stride + r * row_stride + f] */
    int64_t block_rows, block_stride, row_stride;
    int64_t n, m, patterns, g, fibres;
    int64_t real_fibres;           /* of the chunk in the array; the others are filling, and what they own says nothing */
    const uint8_t *places;         /* [C][n], rising */
    int32_t *owner;                /* [block_rows][fibres], the result */
} Choice;

EXPORT int sparseref_nmg_choose(const Choice *choice, int set, int threads);

/* One chunk of n:m:g in every block row: fibres first .. first + C*g - 1. */
typedef struct {
    int64_t block_rows, slots;     /* RB, S */
    int64_t first, n, m, patterns, g;
    int64_t fibres;                /* of the chunk in the array; the others are filling */
    const uint8_t *places;         /* [C][n], rising */
    const uint32_t *binomial;      /* [m][n + 1]: i over j; what no subset of n adds up is 0 */
    const int32_t *pattern_of_rank;        /* [C] */
    void *blocks;                  /* [RB][m][S] of item_bytes: the matrix; for owners a byte for each entry that is kept */
    void *values;                  /* [RB][S][n] of item_bytes */
    void *idx;                     /* [RB][S] of index_bytes */
    int32_t *owner;                /* [RB][C*g]: the pattern of each fibre, -1: none */
    int32_t item_bytes, index_bytes;
} Coding;

EXPORT int sparseref_nmg_owners(const Coding *c, int threads);     /* blocks -> owner */
EXPORT int sparseref_nmg_place(const Coding *c, int threads);      /* blocks, owner -> values, idx; or NO_SLOT */
EXPORT int sparseref_nmg_check(const Coding *c, int threads);      /* idx; NO_SLOT where it is no permutation */
EXPORT int sparseref_nmg_scatter(const Coding *c, int threads);    /* values, idx -> blocks; NO_SLOT where it names no fibre */

#endif
