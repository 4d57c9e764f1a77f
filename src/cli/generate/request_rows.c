#include "cli/generate/request_rows.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct row_reader {
    const cli_state *cli;
    const char *where; /* "requests.jsonl: line 3: " */
    const json_t *object;
} row_reader;

/* ---- single values: what is not there stays as it is ---- */

static int refuse(const row_reader *r, const char *key, const char *needed) {
    return cli_fail(r->cli, "%s\"%s\" must be %s", r->where, key, needed);
}

static int read_integer(const row_reader *r, int *out, const char *key, int low) {
    const json_t *value = json_object_get(r->object, key);

    if (!value)
        return CLI_DONE;
    if (!json_is_integer(value) || json_integer_value(value) < low || json_integer_value(value) > INT_MAX)
        return refuse(r, key, low ? "a whole number above 0" : "a whole number, 0 or more");
    *out = (int)json_integer_value(value);
    return CLI_DONE;
}

static int read_float(const row_reader *r, float *out, const char *key) {
    const json_t *value = json_object_get(r->object, key);

    if (!value)
        return CLI_DONE;
    if (!json_is_number(value) || !isfinite((float)json_number_value(value)))
        return refuse(r, key, "a number");
    *out = (float)json_number_value(value);
    return CLI_DONE;
}

static int read_seed(const row_reader *r, uint64_t *out) {
    const json_t *value = json_object_get(r->object, "seed");

    if (!value)
        return CLI_DONE;
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return refuse(r, "seed", "a whole number, 0 or more");
    *out = (uint64_t)json_integer_value(value);
    return CLI_DONE;
}

static int read_adapter(const row_reader *r, char **out) {
    const json_t *value = json_object_get(r->object, "adapter");

    if (!value || json_is_null(value))
        return CLI_DONE;
    if (!json_is_string(value))
        return refuse(r, "adapter", "the name of a directory in that of --adapters, or null");
    *out = strdup(json_string_value(value));
    return *out ? CLI_DONE : cli_fail(r->cli, "no memory for a request");
}

/* A text, or a list of them. */
static int read_stop(const row_reader *r, char ***out) {
    json_t *value = json_object_get(r->object, "stop");
    const size_t count = !value ? 0 : json_is_string(value) ? 1 : json_array_size(value);

    if (!value)
        return CLI_DONE;
    if (!json_is_string(value) && !json_is_array(value))
        return refuse(r, "stop", "a text or a list of texts");
    *out = calloc(count + 1, sizeof(**out));
    for (size_t i = 0; *out && i < count; i++) {
        const char *text = json_string_value(json_is_string(value) ? value : json_array_get(value, i));
        if (!text || !*text)
            return refuse(r, "stop", "a text or a list of texts, none of them empty");
        if (!((*out)[i] = strdup(text)))
            break;
    }
    return *out && (count == 0 || (*out)[count - 1]) ? CLI_DONE : cli_fail(r->cli, "no memory for a request");
}

static int read_id(const row_reader *r, json_t **out) {
    json_t *value = json_object_get(r->object, "id");

    if (value && !json_is_string(value) && !json_is_integer(value))
        return refuse(r, "id", "a text or a whole number");
    *out = json_incref(value);
    return CLI_DONE;
}

static int check_keys(const row_reader *r) {
    static const char *const known[] = {"prompt", "adapter", "scale", "max_tokens",         "temperature",
                                        "top_k",  "top_p",   "min_p", "repetition_penalty", "no_repeat_ngram",
                                        "seed",   "stop",    "id"};
    const char *key;
    json_t *value;

    json_object_foreach ((json_t *)(uintptr_t)r->object, key, value) {
        size_t i = 0;
        while (i < sizeof(known) / sizeof(known[0]) && strcmp(known[i], key) != 0)
            i++;
        if (i == sizeof(known) / sizeof(known[0]))
            return cli_fail(r->cli, "%sa request has no \"%s\"", r->where, key);
    }
    return CLI_DONE;
}

/* ---- a line, and all of them ---- */

/* Ranges are the library's to judge when the request is made. */
static int read_row(const row_reader *r, request_row *row) {
    clora_sample_options *s = &row->sample;
    const int wrong = check_keys(r) || read_id(r, &row->id) || read_adapter(r, &row->adapter) ||
                      read_float(r, &row->scale, "scale") || read_integer(r, &row->max_tokens, "max_tokens", 1) ||
                      read_float(r, &s->temperature, "temperature") || read_integer(r, &s->top_k, "top_k", 0) ||
                      read_float(r, &s->top_p, "top_p") || read_float(r, &s->min_p, "min_p") ||
                      read_float(r, &s->repetition_penalty, "repetition_penalty") ||
                      read_integer(r, &s->no_repeat_ngram, "no_repeat_ngram", 0) || read_seed(r, &s->seed) ||
                      read_stop(r, &row->stop);

    if (!wrong && json_object_get(r->object, "scale") && !row->adapter)
        return cli_fail(r->cli, "%s\"scale\" is that of an \"adapter\", which is not there", r->where);
    return wrong ? CLI_FAILED : CLI_DONE;
}

static request_row *next_row(request_list *list) {
    const size_t count = list->prompts.count;

    if (count == list->room) {
        const size_t room = list->room ? 2 * list->room : 16;
        request_row *larger = realloc(list->items, room * sizeof(*larger));
        if (!larger)
            return NULL;
        list->items = larger;
        list->room = room;
    }
    return &list->items[count];
}

static void row_finish(request_row *row) {
    json_decref(row->id);
    free(row->adapter);
    for (char **s = row->stop; s && *s; s++)
        free(*s);
    free(row->stop);
}

static int add_object(const row_reader *r, request_list *list, const clora_tokenizer *tokenizer,
                      const clora_generate_options *usual) {
    const json_t *prompt = json_object_get(r->object, "prompt");
    request_row *row = next_row(list);

    if (!row)
        return cli_fail(r->cli, "no memory for a request");
    if (!json_is_object(r->object))
        return cli_fail(r->cli, "%sa request must be an object such as {\"prompt\": \"Once\", \"adapter\": null}",
                        r->where);
    if (!json_is_string(prompt))
        return refuse(r, "prompt", "there, a text");
    *row = (request_row){.scale = 1.0f, .max_tokens = usual->max_tokens, .sample = *usual->sample};
    const size_t before = list->prompts.count;
    int status = read_row(r, row);
    if (status == CLI_DONE)
        status = prompt_add(r->cli, &list->prompts, tokenizer, r->where, json_string_value(prompt),
                            json_string_length(prompt));
    if (list->prompts.count == before)
        row_finish(row); /* one that counts is freed with the list */
    return status;
}

static int add_line(const cli_state *cli, request_list *list, const clora_tokenizer *tokenizer, const char *where,
                    const char *line, size_t size, const clora_generate_options *usual) {
    json_error_t error;
    json_t *object = json_loadb(line, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    const row_reader reader = {cli, where, object};

    if (!object)
        return cli_fail(cli, "%snot JSON: %s", where, error.text);
    const int status = add_object(&reader, list, tokenizer, usual);
    json_decref(object);
    return status;
}

static bool is_blank(const char *line) {
    return line[strspn(line, " \t\r\n")] == '\0';
}

static int read_lines(const cli_state *cli, request_list *list, const clora_tokenizer *tokenizer, FILE *stream,
                      const char *name, const clora_generate_options *usual) {
    char *line = NULL, where[4352];
    size_t room = 0, number = 0;
    int status = CLI_DONE;
    ssize_t size;

    while (status == CLI_DONE && (size = getline(&line, &room, stream)) >= 0) {
        snprintf(where, sizeof(where), "%s: line %zu: ", name, ++number);
        if (!is_blank(line) || strlen(line) != (size_t)size)
            status = add_line(cli, list, tokenizer, where, line, (size_t)size, usual);
    }
    if (status == CLI_DONE && ferror(stream))
        status = cli_fail(cli, "cannot read %s: %s", name, strerror(errno));
    free(line);
    return status;
}

int request_rows_read(const cli_state *cli, request_list *list, const clora_tokenizer *tokenizer, const char *path,
                      const clora_generate_options *usual) {
    const bool standard = strcmp(path, "-") == 0;
    const char *name = standard ? "standard input" : path;
    FILE *stream = standard ? stdin : fopen(path, "r");

    if (!stream)
        return cli_fail(cli, "cannot open %s: %s", path, strerror(errno));
    const int status = read_lines(cli, list, tokenizer, stream, name, usual);
    if (!standard)
        fclose(stream);
    if (status == CLI_DONE && list->prompts.count == 0)
        return cli_fail(cli, "%s holds no requests", name);
    return status;
}

void request_list_finish(request_list *list) {
    for (size_t i = 0; i < list->prompts.count; i++)
        row_finish(&list->items[i]);
    free(list->items);
    prompt_list_finish(&list->prompts);
    *list = (request_list){.items = NULL};
}
