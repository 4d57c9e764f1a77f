#ifndef CLORA_EXCHANGE_TERM_LIST_H
#define CLORA_EXCHANGE_TERM_LIST_H

#include "base/json.h"

/* What an adapter adds to one weight: W0 + scale * b a. On the host, whatever file it came from. */
typedef struct lowrank_term {
    char *module; /* "model.layers.0.self_attn.q_proj" */
    int N, K, R;
    float scale;
    float *a, *b; /* (R, K) and (N, R) */
} lowrank_term;

typedef struct term_list {
    lowrank_term *term; /* sorted by module, each once */
    size_t count, capacity;
    json_t *settings; /* as of an adapter_config.json */
    bool told;        /* they say what the terms are (term_settings) */
} term_list;

void term_list_finish(term_list *list); /* a zeroed one is allowed */

/* One more term with factors of zeros, for the caller to fill. The name is copied. */
clora_status term_list_add(lowrank_term **out, term_list *list, const char *module, int N, int K, int R);

/* After the last is added. An error that names `where` when a module is there twice. */
clora_status term_list_sort(term_list *list, const char *where);

/* NULL when there is none. */
const lowrank_term *term_list_find(const term_list *list, const char *module);

/* The largest rank. */
int term_list_rank(const term_list *list);

/* All terms with one rank, none above it before: rows of a and columns of b that are zero. An error when that would
 * make much of little. */
clora_status term_list_widen(term_list *list, int rank);

/* b becomes scale * b, and scale 1. An error when a product is not finite. */
clora_status term_fold(lowrank_term *term);

/* The number N of ".N." in a module's name: its layer; -1 without one. *rest: what follows, or the whole name. */
int term_layer(const char **rest, const char *module);

#endif
