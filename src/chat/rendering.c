#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "chat/chat.h"

/* Now, or the time that SOURCE_DATE_EPOCH names so that what is made can be made again. */
static template_options current_options(void) {
    const char *fixed = getenv("SOURCE_DATE_EPOCH");
    template_options options = {.now = time(NULL)};
    char *end = NULL;

    if (fixed && *fixed) {
        const long long seconds = strtoll(fixed, &end, 10);
        if (*end == '\0')
            options = (template_options){.now = (time_t)seconds, .utc = true};
    }
    return options;
}

uint64_t chat_hash(const clora_chat *chat) {
    const template_options options = current_options();
    char *tokens = json_text(chat->tokens, JSON_SORT_KEYS), day[16] = "";
    struct tm parts;

    if (chat->asks_for_time && (options.utc ? gmtime_r(&options.now, &parts) : localtime_r(&options.now, &parts)))
        strftime(day, sizeof(day), "%F", &parts);
    uint64_t hash = XXH3_64bits_withSeed(day, strlen(day), chat->hash);
    if (tokens)
        hash = XXH3_64bits_withSeed(tokens, strlen(tokens), hash);
    free(tokens);
    return hash;
}

/* The values with the special tokens and with the first messages alone. */
static json_t *values_of(const clora_chat *chat, json_t *values, size_t count, bool prompt) {
    json_t *all = json_copy(chat->tokens), *messages = json_copy(json_object_get(values, "messages"));

    for (size_t size = json_array_size(messages); size > count; size--)
        json_array_remove(messages, size - 1);
    if (all && messages && json_object_update(all, values) == 0 && json_object_set(all, "messages", messages) == 0 &&
        json_object_set_new(all, "add_generation_prompt", json_boolean(prompt)) == 0) {
        json_decref(messages);
        return all;
    }
    json_decref(all);
    json_decref(messages);
    return NULL;
}

clora_status chat_render(template_result *out, const clora_chat *chat, json_t *values, size_t count, bool prompt) {
    const bool tools = chat->with_tools && json_is_array(json_object_get(values, "tools"));
    const template_options options = current_options();
    json_t *all = values_of(chat, values, count, prompt);

    *out = (template_result){0};
    if (!all)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for a conversation");
    const clora_status status = template_render(out, tools ? chat->with_tools : chat->templates, all, &options);
    json_decref(all);
    return status;
}
