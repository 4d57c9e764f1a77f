#ifndef CLORA_IO_TOKENIZER_FORMS_H
#define CLORA_IO_TOKENIZER_FORMS_H

#include "io/tokenizer_normalize.h"

/* One of Unicode's normalization forms of in, appended to out; as Unicode 9 has them (see unicode_is_inert). */
clora_status forms_normalize(text_buffer *out, size_t *front, const piece *in, bool compatible, bool compose,
                             normalizer_workspace *workspace);

#endif
