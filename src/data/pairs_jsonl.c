#include "data/dataset.h"

#include <string.h>

#include "data/chat_rows.h"
#include "data/row_form.h"

clora_status row_get_text(dataset_text *out, const row *r, const char *key) {
    const json_t *value = json_object_get(r->object, key);

    *out = (dataset_text){"", 0};
    if (!json_is_string(value))
        return dataset_fail(r->builder, r->line, "\"%s\" must be a string", key);
    *out = (dataset_text){json_string_value(value), json_string_length(value)};
    return CLORA_OK;
}

clora_status row_check_nul(const row *r, const char *key, dataset_text text) {
    if (text.size > 0 && memchr(text.data, '\0', text.size))
        return dataset_fail(r->builder, r->line, "\"%s\" holds a NUL character", key);
    return CLORA_OK;
}

clora_status row_get_pair(pair_text *out, const row *r, const row_form *form) {
    const json_t *more = form->more ? json_object_get(r->object, form->more) : NULL;
    clora_status status = CLORA_OK;

    *out = (pair_text){.more = {"", 0}};
    TRY(row_get_text(&out->prompt, r, form->prompt));
    TRY(row_check_nul(r, form->prompt, out->prompt));
    if (!more || json_is_null(more))
        return CLORA_OK;
    TRY(row_get_text(&out->more, r, form->more));
    TRY(row_check_nul(r, form->more, out->more));
done:
    return status;
}

static clora_status add_pair(dataset_builder *builder, const row *r, const row_form *form) {
    clora_status status = CLORA_OK;
    pair_text pair;

    TRY(row_get_pair(&pair, r, form));
    TRY(row_get_text(&pair.completion, r, form->completion));
    TRY(row_check_nul(r, form->completion, pair.completion));
    TRY(pair_add(builder, &pair, r->line));
done:
    return status;
}

/* Lists of messages, under the keys that conversations have. */
static clora_status add_messages(dataset_builder *builder, const row *r, const row_form *form) {
    json_t *pair = NULL;

    if (!form->prompt)
        return dataset_add_chat(builder, r->object, r->line);
    pair = json_copy((json_t *)(uintptr_t)r->object);
    if (!pair || json_object_set(pair, "prompt", json_object_get(r->object, form->prompt)) < 0 ||
        json_object_set(pair, "completion", json_object_get(r->object, form->completion)) < 0) {
        json_decref(pair);
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for a row of %s", builder->path);
    }
    json_object_del(pair, "messages");
    json_object_del(pair, "conversations");
    const clora_status status = dataset_add_chat(builder, pair, r->line);
    json_decref(pair);
    return status;
}

static clora_status add_text(dataset_builder *builder, const row *r, const row_form *form) {
    clora_status status = CLORA_OK;
    dataset_text text;

    TRY(row_get_text(&text, r, form->completion));
    TRY(row_check_nul(r, form->completion, text));
    TRY(pair_add_text(builder, text, r->line));
done:
    return status;
}

static clora_status add_object(void *user, const json_t *object, size_t line) {
    dataset_builder *builder = user;
    const row r = {builder, object, line};
    clora_status status = CLORA_OK;
    const row_form *form;

    TRY(row_form_find(&form, builder, &r));
    if (row_form_is_messages(form, object))
        return add_messages(builder, &r, form);
    status = form->prompt ? add_pair(builder, &r, form) : add_text(builder, &r, form);
done:
    return status;
}

clora_status dataset_read_jsonl(dataset_builder *builder, data_source *source) {
    return json_rows_read(source, add_object, builder);
}
