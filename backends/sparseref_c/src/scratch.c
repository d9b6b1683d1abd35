/* One piece of memory for each thread, kept between calls and freed when the thread ends. */
#define _GNU_SOURCE                /* madvise */
#include "scratch.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { HUGE = 1 << 21 };           /* bytes of a large page: a tile whose columns are read in any order has few to look up then */

static pthread_key_t own_memory;
static pthread_once_t once = PTHREAD_ONCE_INIT;

typedef struct {
    size_t bytes;
    void *memory;
} Scratch;

static void free_scratch(void *kept)
{
    free(((Scratch *)kept)->memory);
    free(kept);
}

static void make_key(void) { pthread_key_create(&own_memory, free_scratch); }

void *scratch_memory(size_t bytes)
{
    pthread_once(&once, make_key);
    Scratch *kept = pthread_getspecific(own_memory);
    if (!kept) {
        kept = calloc(1, sizeof(Scratch));
        if (!kept)
            return NULL;
        pthread_setspecific(own_memory, kept);
    }
    if (kept->bytes < bytes) {
        free(kept->memory);
        size_t page = bytes < HUGE / 8 ? 64 : HUGE;
        bytes = (bytes + page - 1) / page * page;
        kept->memory = aligned_alloc(page, bytes);
#ifdef MADV_HUGEPAGE
        if (kept->memory && page == HUGE)
            madvise(kept->memory, bytes, MADV_HUGEPAGE);       /* refused: slower, and right */
#endif
        kept->bytes = kept->memory ? bytes : 0;
    }
    return kept->memory;
}
