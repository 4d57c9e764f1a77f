#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "base/file.h"
#include "chat/chat.h"
#include "files/directory.h"

enum { LARGEST_TEMPLATE = 1 << 20, LARGEST_CONFIG = 64 << 20 };

/* ---- Templates ---- */

/* The form that many models without a template of their own are taught. */
static const char chatml[] =
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

static clora_status parse(clora_chat *chat, template **out, const char *path, const char *source, size_t size) {
    chat->hash = XXH3_64bits_withSeed(source, size, chat->hash);
    chat->asks_for_time = chat->asks_for_time || memmem(source, size, "strftime_now", strlen("strftime_now"));
    return template_parse(out, path, source, size);
}

static clora_status read_file(clora_chat *chat, const char *path) {
    clora_status status = CLORA_OK;
    char *source = NULL;
    size_t size = 0;

    TRY(file_read_text(&source, &size, path, LARGEST_TEMPLATE));
    TRY(parse(chat, &chat->templates, path, source, size));
done:
    free(source);
    return status;
}

static clora_status parse_text(clora_chat *chat, template **out, const char *path, const json_t *text) {
    return parse(chat, out, path, json_string_value(text), json_string_length(text));
}

/* A list of objects with a name and a template. */
static clora_status read_named(clora_chat *chat, const char *path, const json_t *list) {
    clora_status status = CLORA_OK;
    json_t *item;
    size_t i;

    json_array_foreach (list, i, item) {
        const json_t *name = json_object_get(item, "name"), *text = json_object_get(item, "template");
        if (!json_is_string(name) || !json_is_string(text))
            TRY(clora_fail(CLORA_ERROR_FORMAT, "%s: an entry of \"chat_template\" has no \"name\" or \"template\"",
                           path));
        if (!chat->templates && strcmp(json_string_value(name), "default") == 0)
            TRY(parse_text(chat, &chat->templates, path, text));
        if (!chat->with_tools && strcmp(json_string_value(name), "tool_use") == 0)
            TRY(parse_text(chat, &chat->with_tools, path, text));
    }
    if (!chat->templates)
        status = clora_fail(CLORA_ERROR_NOT_FOUND,
                            "%s: none of its chat templates is named \"default\": give one with --template FILE", path);
done:
    return status;
}

static clora_status read_from_config(clora_chat *chat, const char *directory, const char *path) {
    clora_status status = CLORA_OK;
    json_t *config = NULL;

    if (file_exists(path))
        TRY(json_load_path(&config, path, LARGEST_CONFIG));
    const json_t *found = json_object_get(config, "chat_template");
    if (json_is_string(found))
        TRY(parse_text(chat, &chat->templates, path, found));
    else if (json_is_array(found))
        TRY(read_named(chat, path, found));
    else if (found && !json_is_null(found))
        TRY(clora_fail(CLORA_ERROR_FORMAT, "%s: \"chat_template\" must be a text or a list of named ones", path));
    else
        TRY(clora_fail(CLORA_ERROR_NOT_FOUND,
                       "%s has no chat template (chat_template.jinja, or \"chat_template\" in tokenizer_config.json): "
                       "give one with --template FILE",
                       directory));
done:
    json_decref(config);
    return status;
}

clora_status chat_read_template(clora_chat *chat, const char *model_directory, const char *file) {
    char *path = file_join(model_directory, "chat_template.jinja");
    char *config = file_join(model_directory, "tokenizer_config.json");
    clora_status status = CLORA_OK;

    if (!path || !config)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for a chat template"));
    TRY(directory_need_tokenizer(model_directory));
    if (file && strcmp(file, CLORA_CHAT_CHATML) == 0)
        TRY(parse(chat, &chat->templates, file, chatml, sizeof(chatml) - 1));
    else if (file)
        TRY(read_file(chat, file));
    else if (file_exists(path))
        TRY(read_file(chat, path));
    else
        TRY(read_from_config(chat, model_directory, config));
done:
    free(path);
    free(config);
    return status;
}

/* ---- Special tokens ---- */

/* A token is a text or an object with a content. */
static void take_tokens(json_t *tokens, const json_t *config) {
    static const char *const names[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                        "pad_token", "cls_token", "mask_token"};

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        json_t *token = json_object_get(config, names[i]);
        if (json_is_object(token))
            token = json_object_get(token, "content");
        if (json_is_string(token))
            json_object_set(tokens, names[i], token);
    }
}

clora_status chat_read_tokens(clora_chat *chat, const char *model_directory) {
    static const char *const files[] = {"tokenizer_config.json", "special_tokens_map.json"};
    clora_status status = CLORA_OK;
    json_t *config = NULL;
    char *path = NULL;

    chat->tokens = json_object();
    if (!chat->tokens)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for a chat template"));
    for (size_t i = 0; i < 2; i++) {
        path = file_join(model_directory, files[i]);
        if (!path)
            TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for a chat template"));
        if (file_exists(path)) {
            TRY(json_load_path(&config, path, LARGEST_CONFIG));
            take_tokens(chat->tokens, config);
        }
        json_decref(config);
        config = NULL;
        free(path);
        path = NULL;
    }
done:
    json_decref(config);
    free(path);
    return status;
}
