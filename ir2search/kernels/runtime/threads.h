/* Threads that share the rows of a step. */

#ifndef IR2_THREADS_H
#define IR2_THREADS_H

#include <stddef.h>

typedef struct ir2_threads ir2_threads;

/* Work on the part with this number. */
typedef void (*ir2_work)(const void *job, int part);

/* Threads start at the first use: until then, a process can fork. NULL if there is no memory. */
ir2_threads *ir2_threads_new(int count);
void ir2_threads_free(ir2_threads *threads);

int ir2_threads_count(const ir2_threads *threads);

/* Call work(job, part) for parts 0 to parts - 1, part 0 on this thread; returns when all is done.
   There are at most as many parts as threads. */
void ir2_threads_run(ir2_threads *threads, ir2_work work, const void *job, int parts);

#endif
