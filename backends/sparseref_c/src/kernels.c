/* All that is compiled once for each instruction set and each type of number. */
#include "multiply.c"

#include "activate.c"
#include "linear.c"
#include "sampled.c"

#include "kernels.h"
#include "peak.h"
#if REAL_BYTES == 8                  /* scores are doubles whatever the weight is */
#include "greedy.c"
#endif

const Kernels NAME(kernels) = {.lanes = LANES, .vectors_at_most = vectors_at_most, .scratch = NAME(scratch), .linear = NAME(linear),
                               .sampled_scratch = NAME(sampled_scratch), .sampled = NAME(sampled), .activate = NAME(activate),
                               .spin = NAME(spin), .spin_operations = 2 * CHAINS * LANES,
#if REAL_BYTES == 8
                               .choice_bytes = NAME(choice_bytes), .choose_patterns = NAME(choose_patterns),
#endif
};
