#include "io/dataset.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/alloc.h"

/* The names a pair goes by; the first row whose two keys are both there is taken. */
static const struct {
    const char *context, *target;
} NAMES[] = {{"context", "target"}, {"prompt", "completion"}, {"instruction", "output"}};

enum { NAMES_COUNT = sizeof(NAMES) / sizeof(NAMES[0]), INSTRUCTION = 2 };

typedef struct line_reader {
    dataset_builder *builder;
    size_t line;
} line_reader;

static clora_status get_text(dataset_text *out, const line_reader *reader, const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);

    if (!json_is_string(value))
        return dataset_fail(reader->builder, reader->line, "\"%s\" must be a string", key);
    *out = (dataset_text){json_string_value(value), json_string_length(value)};
    if (memchr(out->data, '\0', out->size))
        return dataset_fail(reader->builder, reader->line, "\"%s\" holds a NUL character", key);
    return CLORA_OK;
}

/* instruction, and a non-empty input on the next line; *joined is to be freed */
static clora_status join_input(dataset_text *context, char **joined, const line_reader *reader, const json_t *object) {
    const json_t *value = json_object_get(object, "input");
    clora_status status = CLORA_OK;
    dataset_text input;

    if (!value || json_is_null(value))
        return CLORA_OK;
    TRY(get_text(&input, reader, object, "input"));
    if (input.size == 0)
        return CLORA_OK;
    *joined = alloc_format("%s\n%s", context->data, input.data);
    if (!*joined)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for a line of %s", reader->builder->path);
    *context = (dataset_text){*joined, context->size + 1 + input.size};
done:
    return status;
}

static clora_status add_named(const line_reader *reader, const json_t *object, size_t row) {
    clora_status status = CLORA_OK;
    dataset_text context, target;
    char *joined = NULL;

    TRY(get_text(&context, reader, object, NAMES[row].context));
    TRY(get_text(&target, reader, object, NAMES[row].target));
    if (row == INSTRUCTION)
        TRY(join_input(&context, &joined, reader, object));
    TRY(dataset_add_pair(reader->builder, context, target, reader->line));
done:
    free(joined);
    return status;
}

static clora_status add_object(const line_reader *reader, const json_t *object) {
    const dataset_builder *builder = reader->builder;
    dataset_text text;

    for (size_t i = 0; i < NAMES_COUNT; i++)
        if (json_object_get(object, NAMES[i].context) && json_object_get(object, NAMES[i].target))
            return add_named(reader, object, i);
    for (size_t i = 0; i < NAMES_COUNT; i++) {
        const bool context = json_object_get(object, NAMES[i].context),
                   target = json_object_get(object, NAMES[i].target);
        if (context || target)
            return dataset_fail(builder, reader->line, "has \"%s\" but no \"%s\"",
                                context ? NAMES[i].context : NAMES[i].target,
                                context ? NAMES[i].target : NAMES[i].context);
    }
    if (json_object_get(object, "text")) {
        const clora_status status = get_text(&text, reader, object, "text");
        return status != CLORA_OK ? status
                                  : dataset_add_pair(reader->builder, (dataset_text){"", 0}, text, reader->line);
    }
    if (json_object_get(object, "messages"))
        return clora_fail(CLORA_ERROR_UNSUPPORTED,
                          "%s: line %zu: chat \"messages\" are not supported; write \"context\" and \"target\"",
                          builder->path, reader->line);
    return dataset_fail(builder, reader->line,
                        "needs \"context\" and \"target\" (or \"prompt\" and \"completion\", "
                        "\"instruction\" and \"output\", or \"text\")");
}

static clora_status read_line(const line_reader *reader, const char *line, size_t size) {
    /* an ignored key may hold a number of any size, so integers are read as reals */
    const size_t flags = JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL | JSON_DECODE_ANY;
    json_error_t error;
    clora_status status;
    json_t *object = json_loadb(line, size, flags, &error);

    if (!object && json_error_code(&error) == json_error_out_of_memory)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for a line of %s", reader->builder->path);
    if (!object)
        return dataset_fail(reader->builder, reader->line, "not JSON: %s; each line must be one object", error.text);
    if (json_is_object(object))
        status = add_object(reader, object);
    else
        status = dataset_fail(reader->builder, reader->line, "not a JSON object%s",
                              json_is_array(object) ? "; an array must be taken apart, one object a line (jq -c '.[]')"
                                                    : "");
    json_decref(object);
    return status;
}

static bool is_blank(const char *line, size_t size) {
    for (size_t i = 0; i < size; i++)
        if (line[i] != ' ' && line[i] != '\t' && line[i] != '\r')
            return false;
    return true;
}

clora_status dataset_read_jsonl(dataset_builder *builder, dataset_text text) {
    const char *at = text.data, *end = text.data + text.size;
    clora_status status = CLORA_OK;

    for (line_reader reader = {builder, 1}; at < end; reader.line++) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const size_t size = (size_t)((newline ? newline : end) - at);
        if (!is_blank(at, size))
            TRY(read_line(&reader, at, size));
        at += size + (newline != NULL);
    }
done:
    return status;
}
