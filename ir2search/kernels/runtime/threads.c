#define _GNU_SOURCE
#include "threads.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

/* A thread that waits looks so often before it sleeps, some microseconds in all. Steps follow each
   other quickly, and waking a thread takes longer than most steps. */
#define LOOKS 500

struct ir2_threads {
    int count; /* the calling thread is one of them */
    pid_t process; /* that the threads belong to; 0 before they start */
    pthread_t *ids;
    int started;
    pthread_mutex_t lock;
    pthread_cond_t change;
    atomic_int turn, left, asleep, ends;
    ir2_work work;
    const void *job;
    int parts;
};

typedef struct {
    ir2_threads *threads;
    int part, turn;
} worker;

static void pause_briefly(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Wait until value differs from known; sleeps after a while. */
static void wait_for_change(ir2_threads *threads, atomic_int *value, int known) {
    for (int look = 0; look < LOOKS; ++look) {
        if (atomic_load_explicit(value, memory_order_acquire) != known)
            return;
        pause_briefly();
    }
    pthread_mutex_lock(&threads->lock);
    atomic_fetch_add(&threads->asleep, 1);
    while (atomic_load(value) == known)
        pthread_cond_wait(&threads->change, &threads->lock);
    atomic_fetch_sub(&threads->asleep, 1);
    pthread_mutex_unlock(&threads->lock);
}

static void wake(ir2_threads *threads) {
    if (atomic_load(&threads->asleep) == 0)
        return;
    pthread_mutex_lock(&threads->lock);
    pthread_cond_broadcast(&threads->change);
    pthread_mutex_unlock(&threads->lock);
}

static void *work_until_end(void *argument) {
    worker own = *(worker *)argument;
    ir2_threads *threads = own.threads;
    free(argument);
    for (;;) {
        wait_for_change(threads, &threads->turn, own.turn);
        if (atomic_load(&threads->ends))
            return NULL;
        own.turn = atomic_load(&threads->turn);
        if (own.part < threads->parts)
            threads->work(threads->job, own.part);
        if (atomic_fetch_sub(&threads->left, 1) == 1)
            wake(threads);
    }
}

ir2_threads *ir2_threads_new(int count) {
    ir2_threads *threads = calloc(1, sizeof *threads);
    if (threads == NULL)
        return NULL;
    threads->count = count;
    threads->ids = calloc((size_t)count, sizeof *threads->ids);
    if (threads->ids == NULL) {
        free(threads);
        return NULL;
    }
    return threads;
}

/* Start as many threads as the system allows; the calling thread does what they do not. */
static void start(ir2_threads *threads) {
    pthread_mutex_init(&threads->lock, NULL);
    pthread_cond_init(&threads->change, NULL);
    atomic_store(&threads->asleep, 0);
    threads->process = getpid();
    threads->started = 0;
    while (threads->started < threads->count - 1) {
        worker *own = malloc(sizeof *own);
        if (own == NULL)
            return;
        own->threads = threads;
        own->part = threads->started + 1;
        own->turn = atomic_load(&threads->turn);
        if (pthread_create(&threads->ids[threads->started], NULL, work_until_end, own) != 0) {
            free(own);
            return;
        }
        ++threads->started;
    }
}

int ir2_threads_count(const ir2_threads *threads) { return threads == NULL ? 1 : threads->count; }

void ir2_threads_run(ir2_threads *threads, ir2_work work, const void *job, int parts) {
    if (threads != NULL && parts > 1 && threads->process != getpid())
        start(threads);
    const int shared = threads != NULL && parts > 1 ? threads->started : 0;
    if (shared > 0) {
        threads->work = work;
        threads->job = job;
        threads->parts = parts;
        atomic_store(&threads->left, shared);
        atomic_fetch_add(&threads->turn, 1);
        wake(threads);
    }
    work(job, 0);
    for (int part = shared + 1; part < parts; ++part)
        work(job, part);
    while (shared > 0) {
        const int left = atomic_load_explicit(&threads->left, memory_order_acquire);
        if (left == 0)
            return;
        wait_for_change(threads, &threads->left, left);
    }
}

void ir2_threads_free(ir2_threads *threads) {
    if (threads == NULL)
        return;
    if (threads->process == getpid()) {
        atomic_store(&threads->ends, 1);
        atomic_fetch_add(&threads->turn, 1);
        wake(threads);
        for (int i = 0; i < threads->started; ++i)
            pthread_join(threads->ids[i], NULL);
        pthread_mutex_destroy(&threads->lock);
        pthread_cond_destroy(&threads->change);
    }
    free(threads->ids);
    free(threads);
}
