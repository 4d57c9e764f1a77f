#ifndef CLI_MEMORY_OUT_H
#define CLI_MEMORY_OUT_H

#include <stdio.h>

#include <jansson.h>

#include <clora/model.h>

/* "weights 5.2 MiB, adapter 1.2 MiB, ..." for people, without an end of the line; what there is none of is left out. */
void memory_print(FILE *out, const clora_memory_plan *plan);

/* {"weights": 5452800, ..., "total": ...} for programs. */
json_t *memory_json(const clora_memory_plan *plan);

#endif
