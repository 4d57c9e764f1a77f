#include "data/dataset.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/options.h"
#include "data/data_source.h"
#include "data/row_form.h"
#include "files/directory.h"

/* The rows of a file for a program that does with them what it likes. */

typedef struct text_reader {
    dataset_builder builder; /* its path and options alone */
    bool prompts, stopped;
    clora_row_callback callback;
    void *user;
} text_reader;

/* The part of a row that is a prompt, as it is learnt from. */
static clora_status get_prompt(text_buffer *out, const row *r) {
    clora_status status = CLORA_OK;
    const row_form *form;
    dataset_text text;
    pair_text pair;

    TRY(row_form_find_prompt(&form, r->builder, r));
    if (form->prompt) {
        TRY(row_get_pair(&pair, r, form));
        return pair_write_prompt(out, r->builder, &pair);
    }
    if (r->builder->options.pair_template != CLORA_PAIR_PLAIN)
        return dataset_refuse_text(r->builder, r->line);
    TRY(row_get_text(&text, r, form->completion));
    TRY(text_append(out, text.data, text.size));
done:
    return status;
}

static clora_status get_text(text_buffer *out, const row *r) {
    const char *key = r->builder->own.completion ? r->builder->own.completion : "text";
    const json_t *text = json_object_get(r->object, key);

    if (!json_is_string(text))
        return dataset_fail(r->builder, r->line, "no \"%s\" with a string; rows look like {\"%s\": \"...\"}", key, key);
    return text_append(out, json_string_value(text), json_string_length(text));
}

static clora_status take_text(void *user, const json_t *object, size_t line) {
    text_reader *reader = user;
    const row r = {&reader->builder, object, line};
    clora_status status = CLORA_OK;
    text_buffer text = {0};

    TRY(reader->prompts ? get_prompt(&text, &r) : get_text(&text, &r));
    TRY(text_append(&text, "", 1)); /* zero-terminated */
    reader->stopped = reader->callback(reader->user, text.data, text.size - 1, line) != 0;
    if (reader->stopped)
        status = clora_fail(CLORA_CANCELLED, "%s: stopped at line %zu", reader->builder.path, line);
done:
    text_finish(&text);
    return status;
}

static clora_status take_whole(void *user, const json_t *object, size_t line) {
    text_reader *reader = user;
    char *text = json_text(object, JSON_COMPACT);

    if (!text)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for a row of %s", reader->builder.path);
    reader->stopped = reader->callback(reader->user, text, strlen(text), line) != 0;
    free(text);
    return reader->stopped ? clora_fail(CLORA_CANCELLED, "%s: stopped at line %zu", reader->builder.path, line)
                           : CLORA_OK;
}

/* A file, or standard input. */
static clora_status read_all(text_reader *reader, const char *path, json_row take) {
    clora_status status = CLORA_OK;
    data_source *source = NULL;

    if (strcmp(path, "-") != 0)
        TRY(directory_not_data(path));
    TRY(data_source_open(&source, path));
    reader->builder.path = data_source_name(source);
    TRY(row_form_choose(&reader->builder));
    status = json_rows_read(source, take, reader);
done:
    free(reader->builder.own_keys);
    data_source_close(source);
    return status;
}

clora_status clora_dataset_read_texts(const char *path, int prompts, clora_row_callback callback, void *user) {
    text_reader reader = {.prompts = prompts != 0, .callback = callback, .user = user};

    NEED(path);
    NEED(callback);
    return read_all(&reader, path, take_text);
}

clora_status clora_dataset_read_prompts(const char *path, const clora_dataset_options *options,
                                        clora_row_callback callback, void *user) {
    text_reader reader = {
        .builder.options = CLORA_DATASET_OPTIONS_INIT, .prompts = true, .callback = callback, .user = user};

    NEED(path);
    NEED(callback);
    const clora_status status = OPTIONS_TAKE(reader.builder.options, options);
    if (status != CLORA_OK)
        return status;
    return read_all(&reader, path, take_text);
}

clora_status clora_dataset_read_rows(const char *path, clora_row_callback callback, void *user) {
    text_reader reader = {.callback = callback, .user = user};

    NEED(path);
    NEED(callback);
    return read_all(&reader, path, take_whole);
}
