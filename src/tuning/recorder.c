#include "tuning/recorder.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

static bool is_same_build(const kernel_build *a, const kernel_build *b) {
    return memcmp(a, b, sizeof(*a)) == 0;
}

clora_status recorder_note(recorder *r, const kernel_build *build, const kernel_key *key) {
    clora_status status = CLORA_OK;

    for (size_t i = 0; i < r->count; i++)
        if (kernel_key_is(&r->list[i].key, key) && is_same_build(&r->list[i].build, build)) {
            r->list[i].count++;
            return CLORA_OK;
        }
    TRY(alloc_grow((void **)&r->list, &r->capacity, r->count + 1, sizeof(*r->list)));
    memcpy(&r->list[r->count].build, build, sizeof(*build)); /* builds are compared by their bytes */
    r->list[r->count].key = *key;
    r->list[r->count++].count = 1;
done:
    return status;
}

const launch_record *recorder_find(const recorder *r, const kernel_row *row, const kernel_key *key) {
    for (size_t i = 0; i < r->count; i++)
        if (r->list[i].build.row == row && (!key || kernel_key_is(&r->list[i].key, key)))
            return &r->list[i];
    return NULL;
}

recorder *recorder_attach(clora_context *context, recorder *r) {
    pthread_mutex_lock(&context->lock);
    recorder *before = context->recorder;
    context->recorder = r;
    pthread_mutex_unlock(&context->lock);
    return before;
}

void recorder_finish(recorder *r) {
    free(r->list);
    *r = (recorder){0};
}

bool recorder_is_tracing(const clora_context *context) {
    return context->recorder && context->recorder->tracing;
}
