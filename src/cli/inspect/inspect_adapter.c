#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/inspect/cmd_inspect.h"
#include "cli/ui/json_out.h"
#include "cli/ui/page.h"
#include "cli/ui/text.h"

static double scale_of(const clora_inspected_adapter *a) {
    return (double)a->alpha / (a->rslora ? sqrt(a->rank) : (double)a->rank);
}

static json_t *bottleneck_json(const clora_inspected_adapter *a) {
    return json_pack("{s:s, s:s, s:i, s:s, s:b, s:s, s:i, s:I, s:i, s:I, s:o}", "kind", "adapter", "method", a->method,
                     "columns", a->columns, "nonlinearity", a->swish ? "swish" : "relu", "reads_stream",
                     a->reads_stream, "base", a->base, "modules", a->modules, "parameters",
                     (json_int_t)a->stored->elements, "tensors", a->stored->tensors, "bytes",
                     (json_int_t)a->stored->bytes, "dtypes", inspect_types_json(a->stored));
}

static json_t *labels_json(const clora_inspected_adapter *a) {
    json_t *labels = json_array();

    for (size_t i = 0; a->labels && a->labels[i]; i++)
        json_push(&labels, json_string(a->labels[i]));
    return labels;
}

static json_t *past_json(const clora_inspected_adapter *a) {
    return json_pack("{s:s, s:s, s:i, s:s, s:I, s:i, s:I, s:o, s:o}", "kind", "adapter", "method", a->method,
                     "positions", a->positions, "base", a->base, "parameters", (json_int_t)a->stored->elements,
                     "tensors", a->stored->tensors, "bytes", (json_int_t)a->stored->bytes, "dtypes",
                     inspect_types_json(a->stored), "labels", labels_json(a));
}

static json_t *lora_json(const clora_inspected_adapter *a) {
    return json_pack(
        "{s:s, s:s, s:i, s:o, s:b, s:o, s:o, s:s, s:s, s:s, s:s, s:i, s:I, s:i, s:I, s:o, s:o, s:b, s:b, s:s}", "kind",
        "adapter", "method", a->method, "rank", a->rank, "alpha", json_float(a->alpha), "rslora", a->rslora, "scale",
        json_number(scale_of(a)), "dropout", json_float(a->dropout), "base", a->base, "target_modules",
        a->target_modules, "rank_pattern", a->rank_pattern, "alpha_pattern", a->alpha_pattern, "modules", a->modules,
        "parameters", (json_int_t)a->stored->elements, "tensors", a->stored->tensors, "bytes",
        (json_int_t)a->stored->bytes, "dtypes", inspect_types_json(a->stored), "labels", labels_json(a), "dora",
        a->dora, "lora_bias", a->lora_bias, "modules_to_save", a->modules_to_save);
}

/* Names come from a file: in quotes, and nothing of them disturbs the terminal. */
static void print_labels(FILE *out, const clora_inspected_adapter *a) {
    for (size_t i = 0; a->labels && a->labels[i]; i++) {
        char *name = json_quoted(a->labels[i], strlen(a->labels[i]));
        fprintf(out, "%s%s%s", i ? ", " : "labels       ", name ? name : "", a->labels[i + 1] ? "" : "\n");
        free(name);
    }
}

static void print_weights(FILE *out, const clora_inspected_adapter *a) {
    fprintf(out, "weights      %s in %s, %s: ", text_amount(a->stored->elements, "parameter", "parameters"),
            text_amount(a->stored->tensors, "tensor", "tensors"), text_bytes(a->stored->bytes));
    inspect_print_types(out, a->stored);
    fprintf(out, "\n");
}

static void print_bottleneck(FILE *out, const char *path, const clora_inspected_adapter *a) {
    fprintf(out, "adapter      %s (bottlenecks, AdapterHub's directory)\n", path);
    if (*a->base)
        fprintf(out, "base         %s\n", a->base);
    fprintf(out, "bottleneck   %s with %s, of %s\n", text_amount(a->columns, "column", "columns"),
            a->swish ? "swish" : "relu",
            a->reads_stream ? "the stream after a sublayer" : "what a sublayer adds to the stream");
    fprintf(out, "places       %s\n", text_amount(a->modules, "sublayer", "sublayers"));
    print_weights(out, a);
}

static void print_past(FILE *out, const char *path, const clora_inspected_adapter *a) {
    fprintf(out, "adapter      %s (%s, PEFT directory)\n", path, a->method);
    if (*a->base)
        fprintf(out, "base         %s\n", a->base);
    fprintf(out, "takes        %s before every sequence\n", text_amount(a->positions, "position", "positions"));
    print_labels(out, a);
    print_weights(out, a);
}

static void print_lora(FILE *out, const char *path, const clora_inspected_adapter *a) {
    fprintf(out, "adapter      %s (LoRA, PEFT directory)\n", path);
    if (*a->base)
        fprintf(out, "base         %s\n", a->base);
    fprintf(out, "rank         %d, alpha %g, scale %g%s\n", a->rank, (double)a->alpha, scale_of(a),
            a->rslora ? " (rank-stabilised)" : "");
    if (a->dora || a->lora_bias)
        fprintf(out, "besides      %s\n", a->dora ? "magnitudes of rows (DoRA)" : "a bias of B");
    if (*a->rank_pattern)
        fprintf(out, "other ranks  %s\n", a->rank_pattern);
    if (*a->alpha_pattern)
        fprintf(out, "other alphas %s\n", a->alpha_pattern);
    fprintf(out, "dropout      %g\n", (double)a->dropout);
    fprintf(out, "layers       %s: %s\n", text_amount(a->modules, "module", "modules"),
            *a->target_modules ? a->target_modules : "all-linear");
    if (*text_copies(a->modules_to_save))
        fprintf(out, "copies       %s\n", text_copies(a->modules_to_save));
    print_labels(out, a);
    print_weights(out, a);
}

/* How the adapters of a method are shown. */
typedef struct kind {
    const char *method;
    json_t *(*json)(const clora_inspected_adapter *a);
    void (*print)(FILE *out, const char *path, const clora_inspected_adapter *a);
} kind;

static const kind kinds[] = {
    {"adapter", bottleneck_json, print_bottleneck},
    {"prefix", past_json, print_past},
    {"prompt", past_json, print_past},
    {"lora", lora_json, print_lora},
};

static const kind *kind_of(const clora_inspected_adapter *a) {
    size_t i = 0;

    while (i + 1 < sizeof(kinds) / sizeof(kinds[0]) && strcmp(kinds[i].method, a->method) != 0)
        i++;
    return &kinds[i];
}

int inspect_adapter(const cli_state *cli, const inspect_args *args) {
    clora_inspected_adapter *adapter;
    int status = CLI_DONE;

    if (clora_inspect_adapter(&adapter, args->path) != CLORA_OK)
        return cli_fail_library(cli);
    const kind *of = kind_of(adapter);
    if (cli->json) {
        status = json_print(cli, of->json(adapter));
    } else {
        page lines;
        of->print(page_begin(&lines, stdout, 13), args->path, adapter);
        page_end(&lines);
    }
    clora_inspected_adapter_free(adapter);
    return status;
}
