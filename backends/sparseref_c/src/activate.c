/* An activation by itself, of an array that is changed in place. */
#include "finish.h"

static void NAME(activate)(void *values, int64_t first, int64_t end, int32_t activation)
{
    REAL *at = values;
    for (int64_t i = first; i < end; i += LANES) {
        int64_t count = end - i < LANES ? end - i : LANES;
        store_some(at + i, 1, count, activated(load_some(at + i, 1, count), activation));
    }
}
