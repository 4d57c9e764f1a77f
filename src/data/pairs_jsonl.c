#include "data/dataset.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file_error.h"
#include "files/directory.h"
#include "chat/chat.h"
#include "data/chat_rows.h"
#include "data/pairs_row.h"

/* The names a pair goes by; the first row whose two keys are both there is taken. */
static const struct {
    const char *context, *target;
} NAMES[] = {{"context", "target"}, {"prompt", "completion"}, {"instruction", "output"}};

enum { NAMES_COUNT = sizeof(NAMES) / sizeof(NAMES[0]), INSTRUCTION = 2 };

clora_status row_get_text(dataset_text *out, const row *r, const char *key) {
    const json_t *value = json_object_get(r->object, key);

    *out = (dataset_text){"", 0};
    if (!json_is_string(value))
        return dataset_fail(r->builder, r->line, "\"%s\" must be a string", key);
    *out = (dataset_text){json_string_value(value), json_string_length(value)};
    return CLORA_OK;
}

/* instruction, and a non-empty input on the next line; *joined is to be freed */
static clora_status join_input(dataset_text *context, char **joined, const row *r) {
    const json_t *value = json_object_get(r->object, "input");
    clora_status status = CLORA_OK;
    dataset_text input = {"", 0};

    if (!value || json_is_null(value))
        return CLORA_OK;
    TRY(row_get_text(&input, r, "input"));
    if (input.size == 0)
        return CLORA_OK;
    *joined = alloc_array(context->size + 1 + input.size, 1);
    if (!*joined)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for a row of %s", r->builder->path);
    memcpy(*joined, context->data, context->size);
    (*joined)[context->size] = '\n';
    memcpy(*joined + context->size + 1, input.data, input.size);
    *context = (dataset_text){*joined, context->size + 1 + input.size};
done:
    return status;
}

/* The context by row i of NAMES; *joined is to be freed. */
static clora_status get_context(dataset_text *out, char **joined, const row *r, size_t i) {
    clora_status status = CLORA_OK;

    TRY(row_get_text(out, r, NAMES[i].context));
    if (i == INSTRUCTION)
        TRY(join_input(out, joined, r));
done:
    return status;
}

/* The row of NAMES of which an object has both keys, else NAMES_COUNT. */
static size_t find_names(const json_t *object) {
    size_t i = 0;

    while (i < NAMES_COUNT && !(json_object_get(object, NAMES[i].context) && json_object_get(object, NAMES[i].target)))
        i++;
    return i;
}

/* ---- Pairs ---- */

clora_status row_check_nul(const row *r, const char *key, dataset_text text) {
    if (text.size > 0 && memchr(text.data, '\0', text.size))
        return dataset_fail(r->builder, r->line, "\"%s\" holds a NUL character", key);
    return CLORA_OK;
}

static clora_status add_named(dataset_builder *builder, const row *r, size_t i) {
    clora_status status = CLORA_OK;
    dataset_text context, target;
    char *joined = NULL;

    TRY(get_context(&context, &joined, r, i));
    TRY(row_get_text(&target, r, NAMES[i].target));
    TRY(row_check_nul(r, NAMES[i].context, context));
    TRY(row_check_nul(r, NAMES[i].target, target));
    TRY(dataset_add_pair(builder, context, target, r->line));
done:
    free(joined);
    return status;
}

static clora_status add_text(dataset_builder *builder, const row *r) {
    clora_status status = CLORA_OK;
    dataset_text text;

    TRY(row_get_text(&text, r, "text"));
    TRY(row_check_nul(r, "text", text));
    TRY(dataset_add_pair(builder, (dataset_text){"", 0}, text, r->line));
done:
    return status;
}

static clora_status fail_half(const row *r, size_t i) {
    if (json_object_get(r->object, "chosen"))
        return dataset_fail(r->builder, r->line,
                            "a preference (\"chosen\"), no pair: train on it with --objective dpo, ipo, hinge or orpo");
    const bool context = json_object_get(r->object, NAMES[i].context);

    return dataset_fail(r->builder, r->line, "has \"%s\" but no \"%s\"", context ? NAMES[i].context : NAMES[i].target,
                        context ? NAMES[i].target : NAMES[i].context);
}

static clora_status add_object(void *user, const json_t *object, size_t line) {
    dataset_builder *builder = user;
    const row r = {builder, object, line};
    const size_t names = find_names(object);

    if (names < NAMES_COUNT)
        return add_named(builder, &r, names);
    if (conversation_is_in(object))
        return dataset_add_chat(builder, object, line);
    for (size_t i = 0; i < NAMES_COUNT; i++)
        if (json_object_get(object, NAMES[i].context) || json_object_get(object, NAMES[i].target))
            return fail_half(&r, i);
    if (json_object_get(object, "text"))
        return add_text(builder, &r);
    return dataset_fail(builder, line,
                        "needs \"context\" and \"target\" (or \"prompt\" and \"completion\", "
                        "\"instruction\" and \"output\", \"text\", or \"messages\")");
}

clora_status rows_read(dataset_builder *builder, dataset_text text, json_row add) {
    if (text.size == 0)
        return CLORA_OK; /* which fmemopen refuses */
    FILE *stream = fmemopen((void *)(uintptr_t)text.data, text.size, "r");
    if (!stream)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory to read %s", builder->path);
    const clora_status status = json_rows_read(stream, builder->path, add, builder);
    fclose(stream);
    return status;
}

clora_status dataset_read_jsonl(dataset_builder *builder, dataset_text text) {
    return rows_read(builder, text, add_object);
}

/* ---- Texts alone ---- */

typedef struct text_reader {
    dataset_builder builder; /* its path alone */
    bool prompts, stopped;
    clora_row_callback callback;
    void *user;
} text_reader;

/* The part of a row that is a prompt: the context of the pair that it is, else the first key with a string. */
static clora_status get_prompt(dataset_text *out, char **joined, const row *r) {
    size_t i = find_names(r->object);

    for (size_t k = 0; i == NAMES_COUNT && k < NAMES_COUNT; k++)
        if (json_is_string(json_object_get(r->object, NAMES[k].context)))
            i = k;
    if (i < NAMES_COUNT)
        return get_context(out, joined, r, i);
    if (json_is_string(json_object_get(r->object, "text")))
        return row_get_text(out, r, "text");
    return dataset_fail(r->builder, r->line,
                        "no \"context\" with a string (nor \"prompt\", \"instruction\" or \"text\")");
}

static clora_status take_text(void *user, const json_t *object, size_t line) {
    text_reader *reader = user;
    const row r = {&reader->builder, object, line};
    clora_status status = CLORA_OK;
    char *joined = NULL;
    dataset_text text = {"", 0};

    if (reader->prompts)
        TRY(get_prompt(&text, &joined, &r));
    else if (json_is_string(json_object_get(object, "text")))
        TRY(row_get_text(&text, &r, "text"));
    else
        TRY(dataset_fail(&reader->builder, line, "no \"text\" with a string; rows look like {\"text\": \"...\"}"));
    reader->stopped = reader->callback(reader->user, text.data, text.size, line) != 0;
    if (reader->stopped)
        status = CLORA_ERROR_ARGUMENT; /* no failure: it ends the reading */
done:
    free(joined);
    return status;
}

static clora_status take_whole(void *user, const json_t *object, size_t line) {
    text_reader *reader = user;
    char *text = json_text(object, JSON_COMPACT);

    if (!text)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for a row of %s", reader->builder.path);
    reader->stopped = reader->callback(reader->user, text, strlen(text), line) != 0;
    free(text);
    return reader->stopped ? CLORA_ERROR_ARGUMENT : CLORA_OK; /* no failure: it ends the reading */
}

/* A file, or standard input. */
static clora_status read_all(text_reader *reader, const char *path, json_row take) {
    const bool standard = strcmp(path, "-") == 0;
    clora_status status = standard ? CLORA_OK : directory_not_data(path);

    if (status != CLORA_OK)
        return status;
    FILE *stream = standard ? stdin : fopen(path, "rbe");
    if (!stream)
        return file_error_read(path, errno);
    reader->builder.path = standard ? "standard input" : path;
    status = json_rows_read(stream, reader->builder.path, take, reader);
    if (!standard)
        fclose(stream);
    return reader->stopped ? CLORA_OK : status;
}

clora_status clora_dataset_read_texts(const char *path, int prompts, clora_row_callback callback, void *user) {
    text_reader reader = {.prompts = prompts != 0, .callback = callback, .user = user};

    NEED(path);
    NEED(callback);
    return read_all(&reader, path, take_text);
}

clora_status clora_dataset_read_rows(const char *path, clora_row_callback callback, void *user) {
    text_reader reader = {.callback = callback, .user = user};

    NEED(path);
    NEED(callback);
    return read_all(&reader, path, take_whole);
}
