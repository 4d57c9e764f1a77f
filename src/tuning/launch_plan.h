#ifndef CLORA_TUNING_LAUNCH_PLAN_H
#define CLORA_TUNING_LAUNCH_PLAN_H

#include "tuning/entry.h"

/* What was launched so far, each kernel and key once, with what it took last. The memo does not hold that: it is
 * emptied when answers may have changed. */
typedef struct launch_notes {
    tuning_entry *list;
    size_t count, capacity;
    bool incomplete; /* memory ran out */
} launch_notes;

/* In place of what was noted before for its kernel and key. */
void launch_notes_add(launch_notes *notes, const tuning_entry *answer);
void launch_notes_finish(launch_notes *notes);

#endif
