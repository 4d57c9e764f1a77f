#ifndef CLORA_DATA_ROW_FORM_H
#define CLORA_DATA_ROW_FORM_H

#include "data/pairs_row.h"

/* Take the keys that the builder's options name, if they do. */
clora_status row_form_choose(dataset_builder *builder);

/* The form of a row: that of the builder's keys, else what its own keys say. Borrowed. An error where they say nothing,
 * or half of something, or where an earlier row of the file has another form. */
clora_status row_form_find(const row_form **out, dataset_builder *builder, const row *r);

/* The same of a row whose prompt alone is wanted: the rest need not be there, and rows may differ. */
clora_status row_form_find_prompt(const row_form **out, const dataset_builder *builder, const row *r);

/* Is a row of this form messages: a conversation, or a pair of lists? */
bool row_form_is_messages(const row_form *form, const json_t *object);

#endif
