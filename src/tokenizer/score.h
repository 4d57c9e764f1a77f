#ifndef CLORA_TOKENIZER_SCORE_H
#define CLORA_TOKENIZER_SCORE_H

/*
 * A score as the `tokenizers` package reads it, given as it is: the package takes the digits for an integer and divides
 * by a power of ten, which rounds twice. Of ways that cost the same (aa a, a aa) the last bit decides.
 */
double score_read(double exact);

#endif
