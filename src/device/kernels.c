#include "device/kernels.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Floats in a vector of the panel kernels: what the device computes at once, as far as OpenCL C and a panel go. */
static int panel_vector(const clora_context *context) {
    const int width = context->info.vector_width;
    return width >= 16 ? 16 : width >= 8 ? 8 : 4;
}
#define ATTENTION                                                                                              \
    {                                                                                                          \
        VECTOR, {"VECTORS", rule_attention_vectors, {1, 2, 3, 4}}, {"ITEMS", rule_elements, {1, 32, 64, 128}}, \
            {"MR", NULL, {4, 6, 8}}, {                                                                         \
            "BK", rule_attention_rows, {                                                                       \
                64, 16, 32, 128                                                                                \
            }                                                                                                  \
        }                                                                                                      \
    }

const kernel_row kernel_rows[] = {
    {"add", "convert", {{"WG", NULL, {64, 32, 128, 256}}}},
    {"embedding", "embedding", {{"WG", NULL, {64, 32, 128, 256}}}},
    {"lowrank_panel_down",
     "lowrank_panel",
     {{"VW", panel_vector, {4, 8, 16}}, {"MOST_ROWS", NULL, {3, 2, 4, 6}}, {"MOST_RANKS", NULL, {4, 2, 3, 6}}}},
    {"lowrank_panel_grad", "lowrank_panel", {{"VW", panel_vector, {4, 8, 16}}, {"MOST_RANKS", NULL, {6, 4, 8, 12}}}},
    {"matmul_panel",
     "matmul_panel",
     {{"VW", panel_vector, {4, 8, 16}},
      {"MR", NULL, {6, 4, 8, 12}},
      {"KC", NULL, {256, 128, 384, 512}},
      {"MB", NULL, {240, 120, 480, 960}}}},
    {"matmul_panel_dx",
     "matmul_panel",
     {{"VW", panel_vector, {4, 8, 16}},
      {"MR", NULL, {6, 4, 8, 12}},
      {"NB", NULL, {256, 128, 384, 512}},
      {"MB", NULL, {240, 120, 480, 960}}}},
    {"matvec_panel", "matmul_panel", {{"VW", panel_vector, {4, 8, 16}}, {"MOST", NULL, {6, 4, 8, 12}}}},
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

int kernel_value(const clora_context *context, const char *kernel, const char *parameter) {
    const kernel_row *row = kernel_find(kernel);

    for (int i = 0; row && i < KERNEL_PARAMETERS && row->parameters[i].name; i++)
        if (strcmp(row->parameters[i].name, parameter) == 0)
            return kernel_parameter_value(context, row, &row->parameters[i]);
    assert(!"a registry name that does not exist");
    return 0;
}
