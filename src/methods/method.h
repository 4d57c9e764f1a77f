#ifndef CLORA_METHODS_METHOD_H
#define CLORA_METHODS_METHOD_H

#include <clora/train.h>

#include "methods/adapter.h"
#include "train/parameters.h"

/*
 * A way to adapt a model. Each has a file of its own, which makes adapters that fill one or more attach points of
 * clora_adapter, and a row in methods.c.
 */
typedef struct method {
    const char *name;      /* as --method has it */
    const char *peft_type; /* of its adapter_config.json; NULL: it has no files of its own */

    clora_status (*load)(clora_adapter **out, const base_model *base, const char *directory);
    clora_status (*save)(const clora_adapter *adapter, const char *directory,
                         const clora_adapter_save_options *options);

    /* Add what trains to a list whose values are the adapter's own. */
    clora_status (*list_parameters)(parameters *out, const clora_adapter *adapter, const clora_train_options *options);

    /* What follows from the values, made anew: they have changed. NULL: nothing does. */
    clora_status (*derive)(const clora_adapter *adapter);

    /* What a trainer that is made from now on drops, in [0, 1), or refuse it. NULL: the method has no dropout. */
    clora_status (*set_dropout)(clora_adapter *adapter, float dropout);

    /* The adapter has no holder any more: free what is the method's, and the struct. What every adapter has goes by
     * itself. */
    void (*destroy)(clora_adapter *adapter);
} method;

extern const method method_lora;                            /* lora_files.c */
extern const method method_bottleneck;                      /* bottleneck_adapter.c */
extern const method method_full, method_bias, method_norms; /* full.c: no files of an adapter, but a model's */
extern const method method_prefix, method_prompt;           /* past_adapter.c */
extern const method method_joined;                          /* joined.c */
extern const method method_scaled;                          /* scaled.c */

/* The adapter's derive, if it has one. */
clora_status method_derive(const clora_adapter *adapter);

/* Read an adapter of whatever method its settings name. */
clora_status method_load(clora_adapter **out, const base_model *base, const char *directory);

#endif
