#ifndef CLORA_INFER_BEAM_TEXT_H
#define CLORA_INFER_BEAM_TEXT_H

#include "infer/output.h"
#include "model/model.h"

/* The text of ids[before] to ids[count - 1], which go on after the ids before them, into an output that is empty but
 * for its stop texts. */
clora_status beam_text(output *out, const clora_model *model, const clora_tokenizer *tokenizer, const int32_t *ids,
                       int before, int count);

/* The most ids at the end of a text that have a part in a stop text that the last of them completes; 0 without any. */
int beam_stop_ids(const char *const *stop);

#endif
