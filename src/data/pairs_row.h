#ifndef CLORA_DATA_PAIRS_ROW_H
#define CLORA_DATA_PAIRS_ROW_H

#include "data/dataset.h"
#include "data/json_rows.h"
#include "data/pair_template.h"

/* An object of a JSON file and where it stands, for messages. */
typedef struct row {
    const dataset_builder *builder;
    const json_t *object;
    size_t line;
} row;

/* The string under a key; borrowed. */
clora_status row_get_text(dataset_text *out, const row *r, const char *key);

/* An error where a key's text holds a NUL. */
clora_status row_check_nul(const row *r, const char *key, dataset_text text);

/* The prompt of a row of this form, with what belongs to it; borrowed. */
clora_status row_get_pair(pair_text *out, const row *r, const row_form *form);

#endif
