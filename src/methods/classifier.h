#ifndef CLORA_METHODS_CLASSIFIER_H
#define CLORA_METHODS_CLASSIFIER_H

#include "base/json.h"
#include "methods/base_model.h"
#include "ops/lowrank.h"
#include "train/parameters.h"

/*
 * A head that tells which label a text has, in place of the one that tells the next token: PEFT's SEQ_CLS.
 *
 *     logits (M, labels) = x (M, hidden) * W^T      W (labels, hidden): score.weight
 *
 * of the last token's normed stream. It has the shape of a low-rank term's first product, and is computed as one.
 */
typedef struct classifier {
    int labels;
    char **name;          /* (labels) and a NULL; owned */
    lowrank *head;        /* W is its A; it has no B */
    clora_tensor *values; /* f32 (1, n): where W lies */
} classifier;

/* W is unspecified. names is taken over, also when it fails. */
clora_status classifier_create(classifier **out, const base_model *base, char **names);
void classifier_free(classifier *c);

/* W (labels, hidden) from the host and to it. Waits. */
clora_status classifier_write(classifier *c, const float *w);
clora_status classifier_read(float *w, const classifier *c);

/* As transformers begins: normal with standard deviation 0.02. */
clora_status classifier_begin(classifier *c, uint64_t seed);

/* logits (M, labels), dense, overwritten */
clora_status classifier_forward(clora_tensor *logits, const clora_tensor *x, const classifier *c);

/* dx (M, hidden) overwritten = dlogits * W; the gradient of W accumulates where it trains. */
clora_status classifier_backward(clora_tensor *dx, const clora_tensor *dlogits, const clora_tensor *x,
                                 const classifier *c, const parameters *trains);

/* ---- names of labels (label_names.c): lists that end with NULL, each owned with its texts ---- */

char **label_names_copy(const char *const *names); /* NULL without memory */
void label_names_free(char **names);

/* Of an adapter's settings with so many labels: "id2label", or LABEL_0, LABEL_1, ... as transformers calls them. */
clora_status label_names_read(char ***out, const json_t *config, int count, const char *path);

/* The settings of a new adapter say what it is: task, modules that are saved, names. */
clora_status label_names_put(json_t *config, const char *const *names);

#endif
