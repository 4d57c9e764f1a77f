#include "device/kernels.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const kernel_row kernel_rows[] = {
    {"add", "convert", {{"WG", NULL, {64, 32, 128, 256}}}},
    {"widen", "convert", {{"WG", NULL, {64, 32, 128, 256}}}},
};
const size_t kernel_rows_count = sizeof(kernel_rows) / sizeof(kernel_rows[0]);

const kernel_row *kernel_find(const char *name) {
    for (size_t i = 0; i < kernel_rows_count; i++)
        if (strcmp(kernel_rows[i].name, name) == 0)
            return &kernel_rows[i];
    return NULL;
}

int kernel_parameter_value(const clora_context *context, const kernel_row *row, const kernel_parameter *parameter) {
    char variable[128];

    snprintf(variable, sizeof(variable), "CLORA_PARAM_%s_%s", row->name, parameter->name);
    for (char *c = variable; *c; c++)
        *c = (char)toupper((unsigned char)*c);
    const char *forced = getenv(variable);
    if (forced && atoi(forced) > 0)
        return atoi(forced);
    return parameter->rule ? parameter->rule(context) : parameter->values[0];
}
