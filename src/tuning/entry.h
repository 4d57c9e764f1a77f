#ifndef CLORA_TUNING_ENTRY_H
#define CLORA_TUNING_ENTRY_H

#include <jansson.h>

#include <clora/tune.h>

#include "device/kernels.h"

/* A row of the table: the key's M is a bucket. */
typedef struct tuning_entry {
    const kernel_row *row;
    kernel_key key;
    int values[KERNEL_PARAMETERS];
    clora_tune_source source;
} tuning_entry;

/* Rows are counted in buckets: the least of 1, 2, 4, 8, 16, 64, 256, ... that is not below M. */
int tuning_bucket(int M);

/* Entries as clora/tune.h has them, and as JSON: the key in clear, parameters by name. */

/* The table's row as a public entry, without measurements. */
void tuning_entry_fill(clora_tune_entry *out, const tuning_entry *entry);

/* The row that a public entry stands for. CLORA_ERROR_NOT_FOUND for a kernel, CLORA_ERROR_ARGUMENT for a parameter that
 * the registry does not have; which values are allowed is tuning_add's business. */
clora_status tuning_entry_read(tuning_entry *out, const clora_tune_entry *entry);

json_t *tuning_key_to_json(const kernel_key *key); /* NULL without memory */
json_t *tuning_values_to_json(const kernel_row *row, const int *values);
json_t *tuning_entry_to_json(const clora_tune_entry *entry);

/* `where` names the file in messages. */
clora_status tuning_key_from_json(kernel_key *out, const json_t *json, const char *where);
clora_status tuning_values_from_json(int *values, const kernel_row *row, const json_t *json, const char *where);
clora_status tuning_entry_from_json(clora_tune_entry *out, const json_t *json, const char *where);

/* "matmul_panel bf16 M 256 N 1024 K 576 R 8": one of four static buffers per thread. */
const char *tuning_key_text(const kernel_row *row, const kernel_key *key);
/* "VW 16, MOST_ROWS 6": likewise */
const char *tuning_values_text(const kernel_row *row, const int *values);

#endif
