/* The instruction sets that the library was compiled for, and which of them this machine runs. */
#include "sparseref.h"

#include "kernels.h"

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

const Kernels *kernels_of(int set, int real_bytes)
{
    if (!sparseref_set_runs_here(set))
        return NULL;
    return real_bytes == 4 ? sets[set].of_float : real_bytes == 8 ? sets[set].of_double : NULL;
}
