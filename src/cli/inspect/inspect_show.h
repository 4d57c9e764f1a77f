#ifndef CLI_INSPECT_SHOW_H
#define CLI_INSPECT_SHOW_H

#include <jansson.h>

#include <clora/dataset.h>

/* The first rows as text in which target tokens are marked: by colour on a terminal, unless NO_COLOR is set, else in
 * [[ ]]. With their ids, if wanted. False without memory. */
int inspect_show(const clora_dataset *data, const clora_tokenizer *tokenizer, int rows, int ids);

/* {"text", "ids", "target"}, target 1 where an id is a target token; NULL without memory. */
json_t *inspect_row_json(const clora_dataset *data, const clora_tokenizer *tokenizer, int row);

/* The same of the first rows, as a list. */
json_t *inspect_show_json(const clora_dataset *data, const clora_tokenizer *tokenizer, int rows);

#endif
