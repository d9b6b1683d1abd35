/* Threads that wait for work: started once, asleep between calls; or those of an OpenMP that the process has already.
 *
 *   caller   job = {task, what}, round += 1, wake ---- takes tasks too ---- waits until no helper is inside
 *   helpers  ... asleep ...  round moved: inside += 1, take tasks, inside -= 1
 */
#include "pool.h"
#include "sparseref.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <time.h>

/* A helper waits busily for so many nanoseconds before it sleeps: to wake takes as long as a product of one token. */
enum { MOST_HELPERS = 255, PATIENCE = 200000, LOOKS = 64 };

typedef struct {
    void (*task)(void *, int64_t);
    void *what;
    int64_t tasks;
    int helpers;                                           /* how many may take part */
} Job;

static pthread_mutex_t one_caller = PTHREAD_MUTEX_INITIALIZER, gate = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t work_came = PTHREAD_COND_INITIALIZER;
static Job job;
static atomic_uint round_number;
static atomic_int_least64_t next_task;
static atomic_int inside;
static int helpers_started;
/* GOMP_parallel of an OpenMP whose threads wait in this process anyway: its own and ours would stand in each other's way. */
typedef void (*ParallelRegion)(void (*part)(void *), void *what, unsigned threads, unsigned flags);
static _Atomic(ParallelRegion) borrowed;
static pthread_once_t forks_known = PTHREAD_ONCE_INIT;
static int forked;                                         /* this process has none of the threads that its OpenMP knows of */

typedef struct {
    void (*task)(void *, int64_t);
    void *what;
    int64_t tasks;
    atomic_int_least64_t next;
} Shared;

static void take_shared(void *shared)
{
    Shared *job = shared;
    for (int64_t i; (i = atomic_fetch_add(&job->next, 1)) < job->tasks;)
        job->task(job->what, i);
}

static void take_tasks(const Job *mine)
{
    for (int64_t i; (i = atomic_fetch_add(&next_task, 1)) < mine->tasks;)
        mine->task(mine->what, i);
}

static void pause_a_little(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static int64_t nanoseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Until another round begins, or patience ends. */
static void wait_busily(unsigned seen)
{
    for (int64_t end = nanoseconds() + PATIENCE; nanoseconds() < end;)
        for (int i = 0; i < LOOKS; i++) {
            if (atomic_load(&round_number) != seen)
                return;
            pause_a_little();
        }
}

static void *help(void *number)
{
    unsigned seen = 0;
    for (;;) {
        wait_busily(seen);
        pthread_mutex_lock(&gate);
        while (atomic_load(&round_number) == seen)
            pthread_cond_wait(&work_came, &gate);
        seen = atomic_load(&round_number);
        Job mine = job;
        int takes_part = (int)(intptr_t)number < mine.helpers && mine.task;
        if (takes_part)
            atomic_fetch_add(&inside, 1);
        pthread_mutex_unlock(&gate);
        if (takes_part) {
            take_tasks(&mine);
            atomic_fetch_sub(&inside, 1);
        }
    }
    return NULL;
}

/* After fork a child has the memory but not the threads, neither ours nor an OpenMP's. */
static void forget_helpers(void)
{
    atomic_store(&borrowed, (ParallelRegion)0);
    forked = 1;
    helpers_started = 0;
    job = (Job){0};                                        /* of the parent, whose caller goes on there */
    atomic_store(&inside, 0);
    pthread_mutex_init(&one_caller, NULL);
    pthread_mutex_init(&gate, NULL);
    pthread_cond_init(&work_came, NULL);
}

static void watch_forks(void) { pthread_atfork(NULL, NULL, forget_helpers); }

void sparseref_borrow_threads(void *gomp_parallel)
{
    pthread_once(&forks_known, watch_forks);
    atomic_store(&borrowed, forked ? (ParallelRegion)0 : (ParallelRegion)gomp_parallel);
}

int sparseref_borrows_threads(void) { return atomic_load(&borrowed) != 0; }

static void start_helpers(int wanted)
{
    pthread_once(&forks_known, watch_forks);
    for (; helpers_started < wanted; helpers_started++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, help, (void *)(intptr_t)helpers_started))
            return;
        pthread_detach(thread);
    }
}

void run_tasks(int threads, int64_t tasks, void (*task)(void *, int64_t), void *what)
{
    int helpers = threads - 1 < tasks - 1 ? threads - 1 : (int)(tasks - 1);
    if (helpers > MOST_HELPERS)
        helpers = MOST_HELPERS;
    ParallelRegion region = atomic_load(&borrowed);
    if (helpers > 0 && region) {
        Shared job = {.task = task, .what = what, .tasks = tasks};
        region(take_shared, &job, (unsigned)helpers + 1, 0);
        return;
    }
    if (helpers < 1 || pthread_mutex_trylock(&one_caller)) {
        for (int64_t i = 0; i < tasks; i++)
            task(what, i);
        return;
    }
    start_helpers(helpers);
    pthread_mutex_lock(&gate);
    job = (Job){task, what, tasks, helpers};
    atomic_store(&next_task, 0);
    atomic_fetch_add(&round_number, 1);
    pthread_cond_broadcast(&work_came);
    pthread_mutex_unlock(&gate);
    Job mine = job;
    take_tasks(&mine);
    pthread_mutex_lock(&gate);                             /* who has not come by now finds nothing: `what` may go */
    job.task = NULL;
    pthread_mutex_unlock(&gate);
    while (atomic_load(&inside))
        sched_yield();
    pthread_mutex_unlock(&one_caller);
}
