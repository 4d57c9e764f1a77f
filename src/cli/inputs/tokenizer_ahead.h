#ifndef CLI_TOKENIZER_AHEAD_H
#define CLI_TOKENIZER_AHEAD_H

#include <pthread.h>
#include <stdbool.h>

#include <clora/tokenizer.h>

/* A tokenizer that is read by a thread of its own while the device starts: both take about as long. */
typedef struct tokenizer_ahead {
    pthread_t thread;
    bool started;
    const char *model;
    clora_tokenizer *tokenizer;
} tokenizer_ahead;

/* The directory's name must live until the wait, which has to follow. */
void tokenizer_ahead_start(tokenizer_ahead *a, const char *model);

/* The tokenizer, yours to free; NULL when it cannot be read. Messages belong to threads: clora_tokenizer_load says what
 * is wrong. */
clora_tokenizer *tokenizer_ahead_wait(tokenizer_ahead *a);

#endif
