#include "cli/inputs/tokenizer_ahead.h"

static void *read_tokenizer(void *argument) {
    tokenizer_ahead *a = argument;

    if (clora_tokenizer_load(&a->tokenizer, a->model) != CLORA_OK)
        a->tokenizer = NULL;
    return NULL;
}

void tokenizer_ahead_start(tokenizer_ahead *a, const char *model) {
    *a = (tokenizer_ahead){.model = model};
    a->started = pthread_create(&a->thread, NULL, read_tokenizer, a) == 0;
}

clora_tokenizer *tokenizer_ahead_wait(tokenizer_ahead *a) {
    if (a->started)
        pthread_join(a->thread, NULL);
    return a->tokenizer;
}
