/* What looks at one number at a time: an activation, and the machine's peak. */
#include "kernels.h"
#include "pool.h"
#include "sparseref.h"

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
    const Kernels *kernels = kernels_of(set, real_bytes);
    if (!kernels)
        return SPARSEREF_NO_SUCH_SET;
    if (count < 0 || threads < 1 || activation < NO_ACTIVATION || activation > GELU_TANH)
        return SPARSEREF_BAD_ARGUMENT;
    Activation what = {kernels, values, count, activation};
    run_tasks(threads, (count + PIECE - 1) / PIECE, one_piece, &what);
    return SPARSEREF_DONE;
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
    const Kernels *kernels = kernels_of(set, real_bytes);
    if (!kernels || rounds < 1 || threads < 1)
        return 0;
    Spin spin = {kernels, rounds};
    run_tasks(threads, threads, one_spin, &spin);
    return threads * rounds * kernels->spin_operations;
}
