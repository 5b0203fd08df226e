/* pool.c - one pool of threads for every kernel.
 *
 * A job is published in one 64-bit word: its generation, its number of tasks
 * and the next task to hand out. A thread claims a task by adding one to the
 * word. A claim below the number of tasks pins the job (the caller returns only
 * when every claimed task is done), so a late thread can neither run a task of
 * a job that has ended nor miss one of the job that follows.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "internal.h"

enum {
    TASK_BITS = 20,
    MAX_TASKS = (1 << TASK_BITS) - VIDYA_MAX_THREADS - 1,
    /* pauses before a worker goes to sleep, some hundreds of microseconds: longer
     * than the way from one kernel to the next, or from one token to the next */
    SPINS = 12000,
    STACK_BYTES = 4 << 20,
};

#define TASK_MASK ((uint64_t)((1 << TASK_BITS) - 1))

static struct {
    pthread_mutex_t run;   /* held by the caller whose job it is */
    pthread_mutex_t sleep; /* guards the sleepers' condition */
    pthread_cond_t wake;
    atomic_int sleepers;
    atomic_int stopping;
    _Atomic uint64_t word; /* generation | tasks | next, TASK_BITS each below */
    atomic_llong done;
    void (*task)(int64_t, void *);
    void *context;
    int64_t base; /* index of task 0 of this round */
    atomic_int n_threads;
    int n_workers; /* started ones */
    int refused;   /* the system gave no more threads */
    atomic_int spins;
    pthread_t workers[VIDYA_MAX_THREADS];
} pool = {
    .run = PTHREAD_MUTEX_INITIALIZER,
    .sleep = PTHREAD_MUTEX_INITIALIZER,
    .wake = PTHREAD_COND_INITIALIZER,
    .n_threads = 1,
    .spins = SPINS,
};

static inline void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Numbers too small to be normal count as 0 in tasks: many processors need a hundred
 * times as long for each, and a softmax makes plenty. Returns what held before. */
static inline uint64_t flush_subnormals(void)
{
    uint64_t before = 0;
#if defined(__x86_64__)
    before = __builtin_ia32_stmxcsr();
    __builtin_ia32_ldmxcsr((unsigned)before | 0x8040); /* results, operands */
#elif defined(__aarch64__)
    __asm__ volatile("mrs %0, fpcr" : "=r"(before));
    __asm__ volatile("msr fpcr, %0" : : "r"(before | 1u << 24));
#endif
    return before;
}

static inline void restore_subnormals(uint64_t before)
{
#if defined(__x86_64__)
    __builtin_ia32_ldmxcsr((unsigned)before);
#elif defined(__aarch64__)
    __asm__ volatile("msr fpcr, %0" : : "r"(before));
#else
    (void)before;
#endif
}

static inline int has_work(uint64_t word)
{
    return (word & TASK_MASK) < ((word >> TASK_BITS) & TASK_MASK);
}

/* Runs tasks until none is left to claim. */
static void run_tasks(void)
{
    while (has_work(atomic_load_explicit(&pool.word, memory_order_acquire))) {
        uint64_t word = atomic_fetch_add_explicit(&pool.word, 1, memory_order_acq_rel);
        if (!has_work(word))
            return;
        pool.task(pool.base + (int64_t)(word & TASK_MASK), pool.context);
        atomic_fetch_add_explicit(&pool.done, 1, memory_order_release);
    }
}

static void *worker(void *unused)
{
    (void)unused;
    flush_subnormals();
    for (;;) {
        int spins = pool.spins;
        while (!has_work(atomic_load_explicit(&pool.word, memory_order_acquire)) &&
               !atomic_load_explicit(&pool.stopping, memory_order_relaxed) && spins-- > 0)
            relax();
        if (spins < 0) {
            pthread_mutex_lock(&pool.sleep);
            atomic_fetch_add(&pool.sleepers, 1);
            while (!has_work(atomic_load(&pool.word)) && !atomic_load(&pool.stopping))
                pthread_cond_wait(&pool.wake, &pool.sleep);
            atomic_fetch_sub(&pool.sleepers, 1);
            pthread_mutex_unlock(&pool.sleep);
        }
        if (atomic_load(&pool.stopping))
            return NULL;
        run_tasks();
    }
}

static void wake_sleepers(void)
{
    if (atomic_load(&pool.sleepers) > 0) {
        pthread_mutex_lock(&pool.sleep);
        pthread_cond_broadcast(&pool.wake);
        pthread_mutex_unlock(&pool.sleep);
    }
}

/* Holding pool.run: ends the workers. */
static void stop_workers(void)
{
    atomic_store(&pool.stopping, 1);
    /* unconditional: a worker may be between its last look and its sleep */
    pthread_mutex_lock(&pool.sleep);
    pthread_cond_broadcast(&pool.wake);
    pthread_mutex_unlock(&pool.sleep);
    for (int i = 0; i < pool.n_workers; i++)
        pthread_join(pool.workers[i], NULL);
    pool.n_workers = 0;
    atomic_store(&pool.stopping, 0);
}

/* The child of a fork has no workers and must not trust the locks it inherits. */
static void after_fork_in_child(void)
{
    pthread_mutex_init(&pool.run, NULL);
    pthread_mutex_init(&pool.sleep, NULL);
    pthread_cond_init(&pool.wake, NULL);
    atomic_store(&pool.sleepers, 0);
    atomic_store(&pool.stopping, 0);
    atomic_store(&pool.word, 0);
    pool.n_workers = 0;
    pool.refused = 0;
}

static void register_fork_handler(void) { pthread_atfork(NULL, NULL, after_fork_in_child); }

/* Holding pool.run: starts the workers that are missing. A machine that will not
 * give a thread gets the work done by fewer. */
static void start_workers(void)
{
    if (pool.n_workers == pool.n_threads - 1 || pool.refused)
        return;
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, register_fork_handler);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    while (pool.n_workers < pool.n_threads - 1 &&
           pthread_create(&pool.workers[pool.n_workers], &attributes, worker, NULL) == 0)
        pool.n_workers++;
    pool.refused = pool.n_workers < pool.n_threads - 1;
    pthread_attr_destroy(&attributes);
}

static void run_round(int64_t base, int64_t n_tasks)
{
    pool.base = base;
    atomic_store_explicit(&pool.done, 0, memory_order_relaxed);
    uint64_t generation = (atomic_load(&pool.word) >> (2 * TASK_BITS)) + 1;
    atomic_store(&pool.word, generation << (2 * TASK_BITS) | (uint64_t)n_tasks << TASK_BITS);
    wake_sleepers();
    run_tasks();
    for (int spins = 0; atomic_load_explicit(&pool.done, memory_order_acquire) < n_tasks; spins++) {
        if (spins < pool.spins)
            relax();
        else
            sched_yield();
    }
}

static void run_all(int64_t n_tasks, void (*task)(int64_t, void *), void *context)
{
    if (n_tasks > 1 && pool.n_threads > 1 && pthread_mutex_trylock(&pool.run) == 0) {
        start_workers();
        pool.task = task;
        pool.context = context;
        for (int64_t base = 0; base < n_tasks; base += MAX_TASKS)
            run_round(base, vd_min(MAX_TASKS, n_tasks - base));
        pthread_mutex_unlock(&pool.run);
        return;
    }
    for (int64_t i = 0; i < n_tasks; i++)
        task(i, context);
}

void vd_parallel(int64_t n_tasks, void (*task)(int64_t, void *), void *context)
{
    vd_assert(n_tasks >= 0 && task);
    uint64_t before = flush_subnormals(); /* the caller's is put back */
    run_all(n_tasks, task, context);
    restore_subnormals(before);
}

void vidya_set_num_threads(int n, int cores)
{
    n = (int)vd_max(1, vd_min(n, VIDYA_MAX_THREADS));
    pthread_mutex_lock(&pool.run);
    if (n != pool.n_threads)
        stop_workers();
    pool.refused = 0;
    /* spinning helps only while every thread has a core of its own */
    pool.spins = n <= cores ? SPINS : 0;
    pool.n_threads = n;
    pthread_mutex_unlock(&pool.run);
}

int vidya_get_num_threads(void) { return pool.n_threads; }
