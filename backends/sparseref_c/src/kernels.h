#ifndef SPARSEREF_KERNELS_H
#define SPARSEREF_KERNELS_H

#include "sparseref.h"

#include <stddef.h>

/* What an instruction set brings for a type; scratch is memory of this thread, in elements of the type. */
typedef struct {
    int lanes;
    int (*vectors_at_most)(int n);
    int64_t (*scratch)(const Product *p, int width);
    void (*linear)(const Product *p, int64_t first_token, int64_t tokens, int64_t split, int64_t splits, void *scratch);
    int64_t (*sampled_scratch)(const Sampled *s);
    void (*sampled)(const Sampled *s, int64_t first_group, int64_t groups, void *scratch);
    void (*activate)(void *values, int64_t first, int64_t end, int32_t activation);      /* in place */
    size_t (*choice_bytes)(const Choice *c);                                             /* of double alone */
    void (*choose_patterns)(const Choice *c, int64_t block_row, void *scratch);
    double (*spin)(int64_t rounds);
    int spin_operations;           /* of one round */
} Kernels;

/* NULL where this machine does not run the set, or there are no such reals. */
const Kernels *kernels_of(int set, int real_bytes);

/* Of each pattern n places, rising, all below m. */
int good_places(const uint8_t *places, int64_t patterns, int64_t n, int64_t m);

/* Steps and a kernel of at least 1, and as many places and columns as there are tokens and columns of the weight. */
int patches_fit(const Patches *patches, int64_t tokens, int64_t columns);

#endif
