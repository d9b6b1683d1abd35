/* All that is compiled once for each instruction set and each type of number. */
#include "multiply.c"

#include "activate.c"
#include "linear.c"

#include "kernels.h"
#include "peak.h"

const Kernels NAME(kernels) = {.lanes = LANES, .scratch = NAME(scratch), .linear = NAME(linear), .activate = NAME(activate),
                               .spin = NAME(spin), .spin_operations = 2 * CHAINS * LANES};
