#ifndef CLORA_TUNING_TUNING_H
#define CLORA_TUNING_TUNING_H

#include "tuning/entry.h"
#include "tuning/recorder.h"

/*
 * Which parameters a kernel runs with at a shape. A context's table holds what was measured; what it does not hold is
 * taken from a similar shape or from the registry's rules. The answer is kept, so that a launch looks it up by numbers
 * alone. Safe from several threads.
 */

/* The parameters of the kernel at the key; `out->source` says how they were found. The name must live as long as the
 * context: answers are kept by its address, or found anew without memory to keep them. A kernel that does not exist
 * gives CLORA_ERROR_NOT_FOUND; nothing else fails. For a launch, which the plan of launches notes; or to look only. */
clora_status tuning_resolve(tuning_entry *out, clora_context *context, const char *kernel, const kernel_key *key);
clora_status tuning_peek(tuning_entry *out, clora_context *context, const char *kernel, const kernel_key *key);

/* While hidden, the log and the plan of launches do not hear of answers. */
void tuning_hide(clora_context *context, bool hidden);

/* What was launched in the mode CLORA_TUNE_MODE_TUNE; the caller may empty it. */
recorder *tuning_noted(clora_context *context);

/* A number that is another after each change of what kernels run with. */
unsigned tuning_changes(const clora_context *context);

/* What was resolved so far is found anew: after a change of the context that the rules look at. */
void tuning_forget(clora_context *context);

/* The first parameter of a choice at a key; noted like a launch. The name must exist. */
int tuning_choose(clora_context *context, const char *choice, const kernel_key *key);

/* May the choice fall on this value at the key with any number of rows? To plan for it; not noted. */
bool tuning_may_choose(clora_context *context, const char *choice, int value, const kernel_key *key);

/* One parameter at a key, for what must be known before a launch. Both names must exist. */
int tuning_value(clora_context *context, const char *kernel, const char *parameter, const kernel_key *key);

#endif
