#ifndef CLORA_INFER_ENGINE_H
#define CLORA_INFER_ENGINE_H

#include <clora/engine.h>

#include "model/session.h"

/* A slot is a sequence of the session. The logits and ids of a step are indexed like the slots. */
struct clora_engine {
    clora_session *session; /* borrowed: clora_engine_create() makes one, clora_generate() has its caller's */
    const clora_tokenizer *tokenizer;
    int slots;
    clora_request **slot; /* borrowed; NULL: free */
    uint64_t turns;       /* requests that were admitted */
    float *logits;        /* (slots, V) */
    int32_t *last;        /* of a step: the last id of each slot, and its adapter */
    const clora_adapter **adapter;
};

/* A slot for each sequence of the session, all of them free. */
clora_status engine_init(clora_engine *e, clora_session *session, const clora_tokenizer *tokenizer);

/* clora_engine_admit() for a caller of ours: all options are there. */
clora_status engine_admit(clora_request **out, clora_engine *e, const int32_t *prompt, size_t count,
                          const clora_request_options *options);

/* End the requests that run, and free what is the engine's own. */
void engine_finish(clora_engine *e);

#endif
