#ifndef CLORA_MODEL_SESSION_H
#define CLORA_MODEL_SESSION_H

#include <clora/generate.h>

#include "base/ints.h"
#include "methods/selection.h"
#include "model/each_terms.h"
#include "ops/tape.h"
#include "model/kvcache.h"
#include "model/workspace.h"

/* By what keys and values were made. */
typedef struct text_origin {
    uint64_t adapter; /* the number of that whose factors they are; 0: none */
    float scale;      /* its strength */
    unsigned merges;  /* of adapters into the weights until then, and updates of what trains */
    unsigned updates;
} text_origin;

/* A sequence's text. It is known also after it was forgotten, until another takes its place. */
typedef struct session_text {
    int32_t *ids;       /* of each of its positions; those before its tokens are not read */
    int before;         /* positions that its adapter had before its tokens */
    bool longer;        /* rotated as longer texts are, in a model whose rotations depend on the length */
    int prompt;         /* its first positions, whose keys and values others may share (session_share.h) */
    text_origin origin; /* of these */
    int promised;       /* positions that it may come to (session_pages.h); 0: it has ended, or nobody asked */
    uint64_t ended;     /* the number of its end among all */
} session_text;

/* More tokens than these, of all sequences together, are fed in pieces. */
enum { SESSION_ROWS = 512 };

/* clora_session_create() with a cache of so many positions for all sequences (0: as many as they may have). */
clora_status session_create(clora_session **out, clora_model *model, int batch, int capacity, size_t positions);

struct clora_session {
    clora_model *model;
    workspace *ws;
    selection select;
    kv_cache cache;
    tape *tape;             /* of the last short step */
    uint64_t taped;         /* whose terms may be on it: see taped_of */
    unsigned taped_changes; /* of the model's weights then */
    each_terms *terms;      /* of the last step of sequences with an adapter each; NULL before the first */
    arena memory;           /* of the cache and the logits */
    clora_tensor logits;    /* (rows, V) */
    clora_tensor *u;        /* (rows, R) scratch of the adapter's term; grows with the largest rank selected */
    clora_tensor *sublayer; /* (rows, width) scratch of its bottlenecks, likewise */
    int32_t *host;          /* staging for ids, positions, past */
    int *length;            /* positions of each sequence in the cache, with what its adapter has before its tokens */
    int *before;            /* the lengths before a call, for when it fails */
    bool *lost;             /* a call failed after what a sequence was could not be restored */
    session_text *text;     /* of each sequence */
    int32_t *text_ids;
    size_t reused;    /* tokens of prompts that took what others had */
    uint64_t endings; /* of texts that had a promise */
};

/*
 * The sequences of a session may also go on alone, for texts of different lengths, and with an adapter each.
 */

/* Tokens of each of B sequences that are fed at once. */
static inline int session_longest(const clora_session *s, int B) {
    return B < SESSION_ROWS ? least(SESSION_ROWS, s->ws->max_rows) / B : 1;
}

/* The ids are in the vocabulary; the adapter (or NULL) is the model's, and there is room for its term. */
clora_status session_check_ids(const clora_session *s, const int32_t *ids, size_t count);
clora_status session_prepare(clora_session *s, const clora_adapter *adapter);

void session_forget(clora_session *s, int sequence);

/* Whether a call that failed has left nothing of a sequence to go on with: it is refused until it is forgotten. */
static inline bool session_has_lost(const clora_session *s, int sequence) {
    return s->lost[sequence];
}

/* Sequence `to` becomes a copy of another: its tokens, keys and values. */
void session_copy(clora_session *s, int to, int from);

/* Append T tokens to one sequence, with the logits (V) of the last; append one to each of sequences 0 .. B - 1, with
 * logits (B, V). A sequence whose id is SESSION_IDLE takes part in the step, and stays as it is. These two wait. */
enum { SESSION_IDLE = -1 };
clora_status session_prefill(clora_session *s, const selection *select, int sequence, float *logits, const int32_t *ids,
                             int T);
clora_status session_step(clora_session *s, const selection *select, float *logits, const int32_t *ids, int B);

#endif
