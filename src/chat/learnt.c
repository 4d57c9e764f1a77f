#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "chat/chat.h"

/* Which part of a conversation is the assistant's: as the template marks it, else by the texts it makes of the first
 * messages alone. */

static bool begins_with(const template_result *text, const template_result *with) {
    return text->size >= with->size && memcmp(text->text, with->text, with->size) == 0;
}

/* How far two texts are the same. */
static size_t common_size(const template_result *a, const template_result *b) {
    const size_t least = a->size < b->size ? a->size : b->size;
    size_t i = 0;

    while (i < least && a->text[i] == b->text[i])
        i++;
    return i;
}

static clora_status fail_uncertain(size_t place, const char *what) {
    return clora_fail(CLORA_ERROR_UNSUPPORTED,
                      "message %zu: what the assistant says here is uncertain: the template writes %s another way when "
                      "more follows; use a template that marks answers with {%% generation %%} (--template FILE)",
                      place + 1, what);
}

static clora_status add_range(template_result *text, size_t from, size_t to) {
    clora_status status = CLORA_OK;

    if (from >= to)
        return CLORA_OK;
    TRY(alloc_grow((void **)&text->learnt, &text->learnt_room, text->learnt_count + 1, sizeof(*text->learnt)));
    text->learnt[text->learnt_count++] = (template_range){from, to};
done:
    return status;
}

/* Does a text go on from `at` with the eos and nothing else? Some templates end the last turn with it. */
static bool ends_with_eos(const clora_chat *chat, const template_result *text, size_t at) {
    const json_t *eos = json_object_get(chat->tokens, "eos_token");

    return text->size - at == json_string_length(eos) &&
           memcmp(text->text + at, json_string_value(eos), text->size - at) == 0;
}

/* What answer `place` adds to the text that asks for it. */
static clora_status find_answer(template_result *text, const clora_chat *chat, json_t *values, size_t place) {
    template_result before = {0}, after = {0};
    clora_status status = CLORA_OK;

    TRY(chat_render(&before, chat, values, place, true));
    if (!begins_with(text, &before))
        TRY(fail_uncertain(place, "what is before it"));
    TRY(chat_render(&after, chat, values, place + 1, false));
    const size_t end = common_size(text, &after);
    if (end < before.size || (end < after.size && !ends_with_eos(chat, &after, end)))
        TRY(fail_uncertain(place, "it"));
    TRY(add_range(text, before.size, end));
done:
    template_result_finish(&before);
    template_result_finish(&after);
    return status;
}

/* All that follows the prompt, whoever says it. */
static clora_status find_completion(template_result *text, const clora_chat *chat, json_t *values, size_t prompt) {
    template_result before = {0};
    clora_status status = CLORA_OK;

    text->learnt_count = 0;
    TRY(chat_render(&before, chat, values, prompt, true));
    if (!begins_with(text, &before))
        TRY(fail_uncertain(prompt, "what is before it"));
    TRY(add_range(text, before.size, text->size));
done:
    template_result_finish(&before);
    return status;
}

clora_status learnt_find(template_result *text, const clora_chat *chat, json_t *values, size_t prompt) {
    const bool tools = chat->with_tools && json_is_array(json_object_get(values, "tools"));
    clora_status status = CLORA_OK;
    const json_t *message;
    size_t i;

    if (prompt > 0)
        return find_completion(text, chat, values, prompt);
    if (template_marks(tools ? chat->with_tools : chat->templates))
        return CLORA_OK;
    json_array_foreach (json_object_get(values, "messages"), i, message) {
        const char *role = json_string_value(json_object_get(message, "role"));
        if (role && strcmp(role, "assistant") == 0)
            TRY(find_answer(text, chat, values, i));
    }
done:
    return status;
}
