#ifndef CLORA_FILES_MODEL_TABLES_H
#define CLORA_FILES_MODEL_TABLES_H

#include "files/model_files.h"
#include "files/model_names.h"

/* Is it the name of an embedding in one of the families' files? */
bool model_is_embedding(const char *name);

/* Is it the name of a tensor that no text needs? */
bool model_is_other(const model_names *names, const char *name);

/* The two tables of a model that may be one: rows of tokens, and rows of the output head. */
typedef struct model_tables {
    const stored_tensor *embedding; /* NULL: missing */
    const stored_tensor *head;      /* the embedding itself when they are tied */
    const stored_tensor *copy;      /* a tied head that is in the files as well, with the embedding's values; or NULL */
} model_tables;

/*
 * tied: what config.json says. As in transformers 5, a head that differs from the embedding is used all the same, and
 * files that hold one of a tied pair may hold either.
 */
clora_status model_tables_find(model_tables *out, const model_files *set, const model_names *names, bool tied);

#endif
