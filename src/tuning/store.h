#ifndef CLORA_TUNING_STORE_H
#define CLORA_TUNING_STORE_H

#include "tuning/entry.h"
#include "tuning/environment.h"

/*
 * Tuned parameters on disk:
 *
 *     CACHE/tune/v1/ENVIRONMENT/environment.json     what the entries hold for, in clear
 *     CACHE/tune/v1/ENVIRONMENT/entries/KEY.json     one entry
 *     CACHE/tune/v1/ENVIRONMENT/journal.jsonl        every configuration that was measured
 *
 * A file appears under its name complete or not at all, so any number of processes may read and write.
 */

/* Directory of this context's environment, kept with the context; NULL when there is no place for a cache. */
const char *tuning_store_directory(clora_context *context);

/* Called with a directory of the cache and its description. */
typedef void (*directory_visitor)(void *user, clora_context *context, const char *directory, const json_t *environment);

/* Visit the directories beside the context's own that hold for it as well as `match` says, in the order of their names.
 * One may be ENVIRONMENT_SAME: earlier releases named them by more, such as the memory that the system had left. */
void tuning_store_visit(clora_context *context, environment_match match, directory_visitor visit, void *user);

/* Make the directory and its description. */
clora_status tuning_store_prepare(clora_context *context);

/* Read all that holds for this context into its table: shipped tables, entries of another driver or number of units,
 * entries. A file that cannot be used is one line in the log. */
void tuning_store_load(clora_context *context);

/* Add the entries of a table of clora_tune_export_table() when it is of a device of this name and vector width. What
 * this clora's kernels do not take is skipped in silence: a table may be older than they are. */
void tuning_store_add_table(clora_context *context, const char *text, size_t size, const char *name);

/* The entries on disk, measurements included, in the order of their directories and names; those that cannot be used
 * are left out and logged. The caller frees. */
clora_status tuning_store_list(clora_tune_entry **out, int *count, clora_context *context);

/* Entries as a program gets them: pointers to copies, in one block. */
clora_status tuning_give_entries(const clora_tune_entry ***out, size_t *count, const clora_tune_entry *entries,
                                 int found);

/* Forget an entry. */
void tuning_store_delete(clora_context *context, const clora_tune_entry *entry);

clora_status tuning_store_save(clora_context *context, const clora_tune_entry *entry);

#endif
