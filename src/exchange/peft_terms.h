#ifndef CLORA_EXCHANGE_PEFT_TERMS_H
#define CLORA_EXCHANGE_PEFT_TERMS_H

#include <clora/dtype.h>

#include "exchange/term_list.h"

/*
 * All terms of a PEFT directory, without the base that it belongs to: the modules are those that its file has factors
 * of. What is not a plain low-rank term at a linear layer is refused by name.
 */
clora_status peft_terms_read(term_list *out, const char *directory);

/* A PEFT directory of terms, whose settings must say the same of them (term_settings). */
clora_status peft_terms_write(const term_list *list, const char *directory, clora_dtype dtype);

#endif
