#ifndef CLORA_TOKENIZER_FORMS_H
#define CLORA_TOKENIZER_FORMS_H

#include "tokenizer/normalize.h"

/*
 * One of Unicode's normalization forms of in, written to the empty out; as Unicode 9 has them (see unicode_is_inert).
 * Of *to only the marks are set.
 */
clora_status forms_normalize(text_buffer *out, piece *to, const piece *in, bool compatible, bool compose,
                             normalizer_workspace *workspace);

#endif
