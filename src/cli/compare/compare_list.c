#include <stdlib.h>
#include <string.h>

#include "cli/compare/cmd_compare.h"

/* The next part of a list with commas, of this length; NULL at its end. */
static const char *next_part(const char **list, size_t *length) {
    const char *part = *list;

    if (!part)
        return NULL;
    *length = strcspn(part, ",");
    *list = part[*length] ? part + *length + 1 : NULL;
    return part;
}

static int add_method(compare_state *state, const char *text, size_t length) {
    const char *colon = memchr(text, ':', length);
    const size_t name = colon ? (size_t)(colon - text) : length;
    const int row = train_method_find(text, name);
    compare_method *m = &state->method[state->methods];

    if (row == TRAIN_METHOD_COUNT)
        return cli_misuse(state->cli, "--methods \"%.*s\": there is no such method; these are: " TRAIN_METHODS,
                          (int)length, text);
    if (state->methods == COMPARE_METHODS || length >= sizeof(m->name))
        return cli_misuse(state->cli, "--methods names more than %d", COMPARE_METHODS);
    *m = (compare_method){.row = row};
    memcpy(m->name, text, length);
    if (colon) {
        char *end;
        const long size = colon[1] >= '0' && colon[1] <= '9' ? strtol(colon + 1, &end, 10) : 0;
        if (size < 1 || size > 65536 || end != text + length || !train_method_row(row)->set_size)
            return cli_misuse(state->cli, "--methods \"%s\": %s", m->name,
                              train_method_row(row)->set_size ? "a number from 1 to 65536 follows the colon"
                                                              : "this method takes no number");
        m->size = (int)size;
    }
    for (int i = 0; i < state->methods; i++)
        if (strcmp(state->method[i].name, m->name) == 0)
            return cli_misuse(state->cli, "--methods names %s twice", m->name);
    state->methods++;
    return CLI_DONE;
}

static int list_methods(compare_state *state) {
    const char *methods = state->args->methods, *ranks = state->args->ranks;
    int status = CLI_DONE;
    size_t length;
    char text[32];

    if (ranks && !methods) /* the study of ranks alone */
        methods = NULL;
    else if (!methods)
        methods = "lora";
    for (const char *part; status == CLI_DONE && (part = next_part(&methods, &length));)
        status = add_method(state, part, length);
    for (const char *part; status == CLI_DONE && (part = next_part(&ranks, &length));) {
        const int n = snprintf(text, sizeof(text), "lora:%.*s", (int)(length < 20 ? length : 20), part);
        status = add_method(state, text, (size_t)n);
    }
    return status;
}

static int list_rates(const compare_state *state, float *out, int *count) {
    const char *rates = state->args->rates;
    size_t length;

    *count = 0;
    if (!rates) {
        out[(*count)++] = state->args->train.train.lr;
        return CLI_DONE;
    }
    for (const char *part; (part = next_part(&rates, &length));) {
        char *end;
        const float lr = strtof(part, &end);
        if (end != part + length || length == 0 || !(lr > 0 && lr < 1e9f) || *count == COMPARE_RATES)
            return cli_misuse(state->cli, "--lr-grid %s: at most %d learning rates above 0 with commas between them",
                              state->args->rates, COMPARE_RATES);
        out[(*count)++] = lr;
    }
    return CLI_DONE;
}

/* Seeds inside: what is interrupted early knows one seed of each method and rate before it knows another. */
int compare_list(compare_state *state) {
    float rates[COMPARE_RATES];
    int count, status = list_methods(state);

    if (status == CLI_DONE)
        status = list_rates(state, rates, &count);
    if (status != CLI_DONE)
        return status;
    state->result = calloc((size_t)(state->methods * count * state->args->seeds), sizeof(*state->result));
    if (!state->result)
        return cli_fail(state->cli, "no memory for the list of trainings");
    for (int seed = 0; seed < state->args->seeds; seed++)
        for (int m = 0; m < state->methods; m++)
            for (int r = 0; r < count; r++)
                state->result[state->results++] = (compare_result){.method = m, .lr = rates[r], .seed = seed};
    return CLI_DONE;
}
