#ifndef CLI_TRAIN_METHOD_H
#define CLI_TRAIN_METHOD_H

#include "cli/train/cmd_train.h"

/* What `clora train` knows of a method. Each has a file of its own and a row in train_methods.c. */
typedef struct train_method {
    const char *name;         /* of --method, and clora_adapter_method()'s */
    const char *heading;      /* of its options in the help; NULL: it has none */
    const char *label;        /* before its line in the plan */
    const opt *options;       /* fields of train_args */
    const char *const *fresh; /* names of those that --init-adapter has no use for; ends with NULL */

    bool own; /* trains the model's own weights, and saves a model */

    /* What NAME:SIZE of clora compare says; NULL: the method has no size. */
    void (*set_size)(train_args *args, int size);

    clora_status (*make)(clora_adapter **out, const train_state *state);

    /* An adapter that --init-adapter names against the options given, which may say nothing else. CLI_DONE, or the exit
     * status after saying what is wrong. */
    int (*check_continued)(const train_state *state, clora_adapter *adapter);

    /* The rest of the plan's line, without its end. */
    void (*describe)(FILE *out, const train_state *state, const clora_adapter *adapter);
} train_method;

/* The row of a name of this length, or TRAIN_METHOD_COUNT; a row by its number. */
int train_method_find(const char *name, size_t length);
const train_method *train_method_row(int i);

/* The labels that a method's adapter has a head for: one of those that train, where data have labels. NULL: none. */
const char *const *train_labels_of(const train_state *state, int method);
void train_describe_labels(FILE *out, const clora_adapter *adapter);

extern const train_method train_lora;                          /* train_lora.c */
extern const train_method train_bottleneck;                    /* train_bottleneck.c */
extern const train_method train_full, train_bias, train_norms; /* train_full.c */
extern const train_method train_prefix, train_prompt;          /* train_past.c */

#endif
