#ifndef CLORA_MODEL_SESSION_SHARE_H
#define CLORA_MODEL_SESSION_SHARE_H

#include "model/session.h"

/*
 * Prompts that begin alike share keys and values: a prompt takes those that a sequence of the session has already, also
 * one whose text has ended, and computes the rest; both have the same pages then. The text is the same bit by bit on
 * the kernels for CPUs: a row of a prompt depends on the rows before it and on which kernels make it. Those for few
 * rows have another order of sums than those for many, so that what is shared and what is left to compute are both made
 * by the latter, or cut where every prompt is.
 */

/* What a sequence of the session has of a prompt's beginning. */
typedef struct beginning {
    int sequence;
    int tokens; /* 0: nothing */
} beginning;

/* The longest that a prompt of T ids for an empty sequence can take; prompts are fed `longest` tokens at a time. */
beginning session_find_beginning(const clora_session *s, int sequence, const clora_adapter *adapter, const int32_t *ids,
                                 int T, int longest);

/* The sequence begins so. */
void session_take_beginning(clora_session *s, int sequence, beginning from);

/* The sequence has a prompt of T tokens, which others may share. */
void session_keep_beginning(clora_session *s, int sequence, const clora_adapter *adapter, int T, int longest);

#endif
