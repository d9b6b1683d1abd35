#ifndef SPARSEREF_KERNELS_H
#define SPARSEREF_KERNELS_H

#include "runs.h"

/* What an instruction set brings for a type; scratch is memory of this thread, in elements of the type. */
typedef struct {
    int lanes;
    int64_t (*scratch)(const Runs *w, int width);
    void (*linear)(const Product *p, int64_t first_token, int64_t tokens, int64_t first_group, int64_t groups, void *scratch);
} Kernels;

#endif
