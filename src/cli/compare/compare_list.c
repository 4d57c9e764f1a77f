#include <stdlib.h>
#include <string.h>

#include "cli/compare/cmd_compare.h"

#define RATES "at most %d learning rates above 0 with %s between them"

/* A piece of what was given. */
typedef struct span {
    const char *begin, *end;
} span;

static span all_of(const char *text) {
    return (span){text, text ? text + strlen(text) : NULL};
}

static int length(span text) {
    return (int)(text.end - text.begin);
}

/* Takes the part before the next such sign off a text, which begins nowhere when all is taken. */
static bool take(span *part, span *text, char sign) {
    if (!text->begin)
        return false;
    const char *found = memchr(text->begin, sign, (size_t)length(*text));
    *part = (span){text->begin, found ? found : text->end};
    text->begin = found ? found + 1 : NULL;
    return true;
}

static int read_size(const compare_state *state, compare_method *m, span text) {
    char *end = NULL;

    if (!text.begin)
        return CLI_DONE;
    if (!train_method_row(m->row)->set_size)
        return cli_misuse(state->cli, "--methods \"%s\": this method takes no number", m->name);
    const long size = *text.begin >= '0' && *text.begin <= '9' ? strtol(text.begin, &end, 10) : 0;
    if (size < 1 || size > 65536 || end != text.end)
        return cli_misuse(state->cli, "--methods \"%s\": a number from 1 to 65536 follows the colon", m->name);
    m->size = (int)size;
    return CLI_DONE;
}

static bool read_rates(compare_method *m, span list, char between) {
    span part;

    while (take(&part, &list, between)) {
        char *end;
        const float lr = strtof(part.begin, &end);
        if (end != part.end || length(part) == 0 || !(lr > 0 && lr < 1e9f) || m->rates == COMPARE_RATES)
            return false;
        m->rate[m->rates++] = lr;
    }
    return true;
}

/* Its own, or those of all. */
static int choose_rates(const compare_state *state, compare_method *m, span own) {
    const char *grid = state->args->rates;

    if (own.begin)
        return read_rates(m, own, '/') ? CLI_DONE
                                       : cli_misuse(state->cli, "--methods \"%s@%.*s\": " RATES, m->name, length(own),
                                                    own.begin, COMPARE_RATES, "slashes");
    if (grid)
        return read_rates(m, all_of(grid), ',')
                   ? CLI_DONE
                   : cli_misuse(state->cli, "--lr-grid %s: " RATES, grid, COMPARE_RATES, "commas");
    m->rate[m->rates++] = state->args->train.train.lr;
    return CLI_DONE;
}

static int add_method(compare_state *state, span text) {
    compare_method *m = &state->method[state->methods];
    span name = text, kind = text, size;

    take(&name, &text, '@');
    size = name;
    take(&kind, &size, ':');
    const int row = train_method_find(kind.begin, (size_t)length(kind));
    if (row == TRAIN_METHOD_COUNT)
        return cli_misuse(state->cli, "--methods \"%.*s\": there is no such method; these are: " TRAIN_METHODS,
                          length(name), name.begin);
    if (state->methods == COMPARE_METHODS || (size_t)length(name) >= sizeof(m->name))
        return cli_misuse(state->cli, "--methods names more than %d", COMPARE_METHODS);
    *m = (compare_method){.row = row};
    memcpy(m->name, name.begin, (size_t)length(name));
    for (int i = 0; i < state->methods; i++)
        if (strcmp(state->method[i].name, m->name) == 0)
            return cli_misuse(state->cli, "--methods names %s twice", m->name);
    state->methods++;
    const int status = read_size(state, m, size);
    return status == CLI_DONE ? choose_rates(state, m, text) : status;
}

static int list_methods(compare_state *state) {
    const char *named = state->args->methods, *studied = state->args->ranks;
    span methods = all_of(named || studied ? named : "lora"), ranks = all_of(studied), part;
    int status = CLI_DONE;
    char text[32];

    while (status == CLI_DONE && take(&part, &methods, ','))
        status = add_method(state, part);
    while (status == CLI_DONE && take(&part, &ranks, ',')) {
        snprintf(text, sizeof(text), "lora:%.*s", length(part) < 20 ? length(part) : 20, part.begin);
        status = add_method(state, all_of(text));
    }
    return status;
}

static int count_results(const compare_state *state) {
    int count = 0;

    for (int m = 0; m < state->methods; m++)
        count += state->method[m].rates;
    return count * state->args->seeds;
}

/* Seeds outside: what is interrupted early knows one seed of each method and rate before it knows another. */
int compare_list(compare_state *state) {
    const int status = list_methods(state);

    if (status != CLI_DONE)
        return status;
    state->result = calloc((size_t)count_results(state), sizeof(*state->result));
    if (!state->result)
        return cli_fail(state->cli, "no memory for the list of trainings");
    for (int seed = 0; seed < state->args->seeds; seed++)
        for (int m = 0; m < state->methods; m++)
            for (int r = 0; r < state->method[m].rates; r++)
                state->result[state->results++] =
                    (compare_result){.method = m, .lr = state->method[m].rate[r], .seed = seed};
    return CLI_DONE;
}
