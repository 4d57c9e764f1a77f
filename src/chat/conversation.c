#include <string.h>

#include "chat/chat.h"

/* Rows are read as Hugging Face's trainers and transformers read them. */

bool conversation_is_in(const json_t *row) {
    return json_object_get(row, "messages") || json_object_get(row, "conversations");
}

static clora_status fail_memory(void) {
    return clora_fail(CLORA_ERROR_MEMORY, "no memory for a conversation");
}

/* ---- Messages ---- */

/* "from" and "value", as ShareGPT has them, become "role" and "content". */
static void rename_keys(json_t *message) {
    static const char *const roles[][2] = {{"human", "user"}, {"gpt", "assistant"}, {"observation", "tool"}};
    json_t *from = json_object_get(message, "from"), *value = json_object_get(message, "value");

    if (from && !json_object_get(message, "role")) {
        json_t *role = json_incref(from);
        for (size_t i = 0; i < 3; i++)
            if (json_is_string(from) && strcmp(json_string_value(from), roles[i][0]) == 0) {
                json_decref(role);
                role = json_string(roles[i][1]);
            }
        json_object_set_new(message, "role", role);
        json_object_del(message, "from");
    }
    if (value && !json_object_get(message, "content")) {
        json_object_set(message, "content", value);
        json_object_del(message, "value");
    }
}

static void drop_nulls(json_t *message) {
    const char *key;
    json_t *value;
    void *next;

    json_object_foreach_safe(message, next, key, value) if (json_is_null(value)) json_object_del(message, key);
}

/* Thoughts have three names: whichever is there, templates read them as "reasoning_content" or "thinking". */
static json_t *name_thoughts(json_t *message) {
    static const char *const names[] = {"reasoning_content", "thinking", "reasoning"};
    json_t *thoughts = NULL;

    for (size_t i = 0; i < 3 && !thoughts; i++)
        thoughts = json_object_get(message, names[i]);
    if (!thoughts)
        return json_incref(message);
    json_t *named = json_pack("{s:O}", "thinking", thoughts);
    if (named &&
        (json_object_update(named, message) < 0 || json_object_set(named, "reasoning_content", thoughts) < 0)) {
        json_decref(named);
        return NULL;
    }
    return named;
}

/* The message as a template gets it. */
static clora_status add_message(json_t *messages, const json_t *given, size_t place) {
    if (!json_is_object(given))
        return clora_fail(CLORA_ERROR_FORMAT, "message %zu is not an object with \"role\" and \"content\"", place + 1);
    json_t *message = json_copy((json_t *)given), *named = NULL;

    if (message) {
        rename_keys(message);
        drop_nulls(message);
        named = name_thoughts(message);
    }
    json_decref(message);
    if (!named || json_array_append(messages, named) < 0) {
        json_decref(named);
        return fail_memory();
    }
    const bool has_role = json_is_string(json_object_get(named, "role"));
    json_decref(named);
    if (!has_role)
        return clora_fail(CLORA_ERROR_FORMAT, "message %zu has no \"role\" with a string", place + 1);
    return CLORA_OK;
}

/* The list under a key, after the messages that are there. */
static clora_status add_messages(json_t *messages, const json_t *row, const char *key) {
    const json_t *list = json_object_get(row, key);
    clora_status status = CLORA_OK;
    const json_t *item;
    size_t i;

    if (!json_is_array(list) || json_array_size(list) == 0)
        return clora_fail(CLORA_ERROR_FORMAT, "\"%s\" is not a list of messages, or is an empty one", key);
    json_array_foreach (list, i, item)
        TRY(add_message(messages, item, json_array_size(messages)));
done:
    return status;
}

static clora_status read_messages(json_t **out, size_t *prompt, const json_t *row) {
    clora_status status = CLORA_OK;
    json_t *messages = json_array();

    *prompt = 0;
    if (!messages)
        return fail_memory();
    if (json_object_get(row, "messages")) {
        TRY(add_messages(messages, row, "messages"));
    } else if (json_object_get(row, "conversations")) {
        TRY(add_messages(messages, row, "conversations"));
    } else if (json_is_array(json_object_get(row, "prompt"))) {
        TRY(add_messages(messages, row, "prompt"));
        *prompt = json_array_size(messages);
        if (json_object_get(row, "completion"))
            TRY(add_messages(messages, row, "completion"));
    } else {
        TRY(clora_fail(CLORA_ERROR_FORMAT, "needs \"messages\", a list of {\"role\": ..., \"content\": ...}"));
    }
    *out = messages;
    messages = NULL;
done:
    json_decref(messages);
    return status;
}

/* ---- What else a row may have ---- */

/* A list, or a text that holds one as JSON; null where there is none. */
static clora_status read_list(json_t **out, const json_t *row, const char *key) {
    const json_t *given = json_object_get(row, key);
    json_error_t error;

    if (!given || json_is_null(given))
        *out = json_null();
    else if (json_is_string(given))
        *out = json_parse(json_string_value(given), json_string_length(given), 0, &error);
    else
        *out = json_incref((json_t *)given);
    if (!*out || !(json_is_array(*out) || json_is_null(*out)))
        return clora_fail(CLORA_ERROR_FORMAT, "\"%s\" is not a list", key);
    return CLORA_OK;
}

static clora_status add_list(json_t *values, const json_t *row, const char *key) {
    clora_status status = CLORA_OK;
    json_t *list = NULL;

    TRY(read_list(&list, row, key));
    if (json_object_set(values, key, list) < 0)
        status = fail_memory();
done:
    json_decref(list);
    return status;
}

clora_status conversation_read(json_t **out, size_t *prompt, const json_t *row) {
    const json_t *more = json_object_get(row, "chat_template_kwargs");
    json_t *values = json_object(), *messages = NULL;
    clora_status status = CLORA_OK;

    *out = NULL;
    if (!values)
        TRY(fail_memory());
    TRY(read_messages(&messages, prompt, row));
    if (json_object_set(values, "messages", messages) < 0)
        TRY(fail_memory());
    TRY(add_list(values, row, "tools"));
    TRY(add_list(values, row, "documents"));
    if (more && !json_is_null(more) && !json_is_object(more))
        TRY(clora_fail(CLORA_ERROR_FORMAT, "\"chat_template_kwargs\" is not an object"));
    if (json_is_object(more) && json_object_update_missing(values, (json_t *)more) < 0)
        TRY(fail_memory());
    *out = values;
    values = NULL;
done:
    json_decref(values);
    json_decref(messages);
    return status;
}
