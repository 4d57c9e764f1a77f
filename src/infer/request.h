#ifndef CLORA_INFER_REQUEST_H
#define CLORA_INFER_REQUEST_H

#include "infer/engine.h"
#include "infer/output.h"
#include "infer/sampler.h"

/* What a request has while it runs goes when it ends; its text and its ids stay. */
struct clora_request {
    clora_engine *engine; /* it has a slot there; NULL: it has ended */
    int slot;
    uint64_t turn; /* its number among those admitted */
    clora_stop_reason finish;
    int32_t *prompt; /* (prompt_count) until it is in the cache */
    int prompt_count;
    const clora_adapter *adapter; /* held while it runs; NULL: the base alone */
    sampler sampler;
    clora_decoder *decoder;
    output output;
    char **stop; /* NULL-terminated, or NULL */
    int32_t *stop_ids;
    size_t stop_id_count;
    int32_t *ids; /* (count), with room for all that may come */
    size_t count;
    size_t max_tokens, room; /* ids that are wanted, and that fit */
    clora_request_callback callback;
    void *user;
    double begun, prefilled, ended; /* seconds of a clock */
};

/* A request for a slot of the engine, which knows nothing of it yet. */
clora_status request_create(clora_request **out, clora_engine *e, int slot, const int32_t *prompt, size_t count,
                            const clora_request_options *options);

/* Positions that its text may come to in the cache. */
int request_positions(const clora_request *r);

/* Its prompt is being computed, and is in the cache. */
void request_begin(clora_request *r);
void request_prefilled(clora_request *r);

/* Its text cannot go on. It may be freed then. */
void request_fail(clora_request *r);

/* Whether texts end with this id. Training ends them with the tokenizer's eos, whatever the model's files name. */
bool text_ends(const clora_model *model, const clora_tokenizer *tokenizer, int32_t id);

/* The id that the next step appends to a request that runs. */
static inline int32_t request_last_id(const clora_request *r) {
    return r->ids[r->count - 1];
}

/* Choose the next id by the logits (V), which are changed. The request may have ended then, and been freed. */
clora_status request_advance(clora_request *r, float *logits);

#endif
