#ifndef SPARSEREF_POOL_H
#define SPARSEREF_POOL_H

#include <stddef.h>
#include <stdint.h>

/* Runs task(what, 0), task(what, 1) ... task(what, tasks - 1), each once, on this thread and up to threads - 1 others.
 *
 * Which thread takes which task is chance, so a task writes what no other one does.  Where the others are busy for another
 * caller, or cannot be started, this thread runs all.
 */
void run_tasks(int threads, int64_t tasks, void (*task)(void *what, int64_t index), void *what);

#endif
