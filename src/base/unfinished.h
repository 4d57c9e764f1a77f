#ifndef CLORA_BASE_UNFINISHED_H
#define CLORA_BASE_UNFINISHED_H

#include <stdbool.h>

/*
 * The files ".clora-unfinished-PID-N": what is being written, before it gets its name. Its writer holds a lock (flock)
 * on it, which ends with the process however that ends; so a file without a lock is what a killed run left, on
 * whichever machine and in whichever container.
 */

/* Ends the name of a journal: a list of files that belong together, and are of no use before the last is there. */
#define UNFINISHED_JOURNAL ".list"

bool unfinished_is_name(const char *name);

/* A fresh one in a directory, locked: its descriptor and path, which the caller frees. -1 with errno set,
 * *path NULL. */
int unfinished_create(char **path, const char *directory, const char *ending);

/* Remove what killed runs left in a directory, each with a note: their unfinished files, and the files in a journal
 * whose last is not there. */
void unfinished_sweep(const char *directory);

/* A journal: the name of the last file first, then each name before its file appears. -1 with errno set. */
int unfinished_journal_begin(int journal, const char *last);
int unfinished_journal_add(int journal, const char *name);

/* Remove the files in a journal from its directory. */
void unfinished_journal_undo(int journal, const char *directory);

#endif
