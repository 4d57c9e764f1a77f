#ifndef CLORA_INFER_BEAM_H
#define CLORA_INFER_BEAM_H

#include "model/session.h"

/* clora_generate() with several beams: in the session's first sequences, for a prompt that fits. out is zero before. */
clora_status beam_generate(clora_generation *out, clora_session *session, const clora_tokenizer *tokenizer,
                           const clora_prompt *prompt, const clora_generate_options *options);

/* Options that beams go together with, and sequences for them. */
clora_status beam_check(const clora_session *session, const clora_generate_options *options);

#endif
