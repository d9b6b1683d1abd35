/* All that is compiled once for each instruction set and each type of number. */
#include "multiply.c"

#include "linear.c"

#include "kernels.h"

const Kernels NAME(kernels) = {.lanes = LANES, .scratch = NAME(scratch), .linear = NAME(linear)};
