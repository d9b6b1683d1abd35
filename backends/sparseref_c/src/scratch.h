#ifndef SPARSEREF_SCRATCH_H
#define SPARSEREF_SCRATCH_H

#include <stddef.h>

/* Memory of the calling thread's own, at least so many bytes, at a multiple of 64; NULL where there is none. */
void *scratch_memory(size_t bytes);

#endif
