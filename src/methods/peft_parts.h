#ifndef CLORA_METHODS_PEFT_PARTS_H
#define CLORA_METHODS_PEFT_PARTS_H

#include "methods/peft_keys.h"
#include "methods/target.h"

/* What an adapted module has in files: A, B, and perhaps a vector. */

/* The part that an adapter with these settings has besides A and B; PEFT_NONE: no other. */
peft_part peft_vector(const json_t *config);

/* All of them, ended by PEFT_NONE. */
typedef struct peft_part_list {
    peft_part part[PEFT_PARTS];
} peft_part_list;

peft_part_list peft_parts_of(const json_t *config);

/* Rows and columns of a part; no rows: a vector. */
void peft_part_shape(int *rows, int *cols, const target_module *module, int R, peft_part part);

/* The tensor's name; the caller frees. NULL without memory. */
char *peft_part_tensor(const target_module *module, peft_part part);

#endif
