#ifndef CLORA_MODEL_HEAD_H
#define CLORA_MODEL_HEAD_H

#include "methods/selection.h"
#include "model/workspace.h"

/* logits (rows of x, V) overwritten = x * head, capped where the model caps them */
clora_status head_forward(workspace *ws, const selection *s, clora_tensor *logits, const clora_tensor *x);

/* Whether the head, or a term at it, trains: then its backward pass adds to gradients. */
bool head_trains(const workspace *ws, const selection *s);

/* Where an adapter has a head of its own, of labels instead of the vocabulary, its logits are meant from here on. */

/* What a loss makes of the logits of rows from `row` on, of all the step's or of ws->learnt. With `gradient` the logits
 * become d(loss) / d(logits) in place. */
typedef clora_status (*head_loss)(void *loss, clora_tensor *logits, int row, bool gradient);

/*
 * Rows of ws->normed through the head, all or those of ws->learnt, some at a time, for a full matrix of logits would be
 * the largest of all tensors. With `gradient` each chunk goes back through the head too: dnorm (M, C) overwritten =
 * d(loss) / d(normed), zero in rows that are left out, and the gradients of the head's own term accumulate.
 */
typedef enum head_rows { HEAD_ALL, HEAD_LEARNT } head_rows;

clora_status head_chunks(workspace *ws, const selection *s, head_rows rows, head_loss loss, void *user, bool gradient);

#endif
