#include "tokenizer/post.h"

#include <string.h>

#include "tokenizer/components.h"

#define MOST_IDS 64 /* before a text and after it, each */

typedef struct template_reading {
    post_processor *post;
    int32_t vocab_size;
    int templates;
} template_reading;

/* The ids of one special token of a template. */
static clora_status append_special(id_buffer *out, const json_t *specification, const char *name, int32_t vocab_size,
                                   const char *where) {
    const json_t *token = json_object_get(json_object_get(specification, "special_tokens"), name);
    const json_t *ids = json_object_get(token, "ids");
    clora_status status = CLORA_OK;
    json_t *id;
    size_t i;

    if (!json_is_array(ids))
        TRY(clora_fail(CLORA_ERROR_FORMAT, "%s: \"special_tokens\" has no ids for \"%.60s\"", where, name));
    json_array_foreach (ids, i, id) {
        if (!json_is_integer(id) || json_integer_value(id) < 0 || json_integer_value(id) >= vocab_size)
            TRY(clora_fail(CLORA_ERROR_FORMAT, "%s: \"%.60s\" has an id that is not in the vocabulary", where, name));
        if (out->size == MOST_IDS)
            TRY(clora_fail(CLORA_ERROR_FORMAT, "%s: \"single\" puts more than %d ids on one side of a text", where,
                           MOST_IDS));
        TRY(id_append(out, (int32_t)json_integer_value(id)));
    }
done:
    return status;
}

static clora_status read_template(template_reading *r, const json_t *specification, const char *where) {
    const json_t *single = json_object_get(specification, "single");
    clora_status status = CLORA_OK;
    bool text_seen = false;
    json_t *member;
    size_t i;

    if (++r->templates > 1)
        TRY(clora_fail(CLORA_ERROR_UNSUPPORTED, "%s: two templates, clora knows one", where));
    if (!json_is_array(single))
        TRY(clora_fail(CLORA_ERROR_FORMAT, "%s: \"single\" must be an array", where));
    json_array_foreach (single, i, member) {
        const char *special = json_string_value(json_object_get(json_object_get(member, "SpecialToken"), "id"));
        const char *sequence = json_string_value(json_object_get(json_object_get(member, "Sequence"), "id"));
        if (special) {
            id_buffer *out = text_seen ? &r->post->after : &r->post->before;
            TRY(append_special(out, specification, special, r->vocab_size, where));
        } else if (sequence && strcmp(sequence, "A") == 0 && !text_seen) {
            text_seen = true;
        } else {
            TRY(clora_fail(CLORA_ERROR_FORMAT, "%s: \"single\" must hold special tokens and the sequence A once",
                           where));
        }
    }
    if (!text_seen)
        TRY(clora_fail(CLORA_ERROR_FORMAT, "%s: \"single\" lacks the sequence A", where));
done:
    return status;
}

static clora_status visit(void *user, const json_t *specification, const char *type, const char *where) {
    if (strcmp(type, "TemplateProcessing") == 0)
        return read_template(user, specification, where);
    if (strcmp(type, "ByteLevel") == 0)
        return CLORA_OK; /* is about offsets only */
    return clora_fail(CLORA_ERROR_UNSUPPORTED,
                      "%s: unknown type \"%s\" (clora knows Sequence, TemplateProcessing and ByteLevel)", where, type);
}

clora_status post_init(post_processor *post, const json_t *specification, int32_t vocab_size, const char *where) {
    template_reading r = {.post = post, .vocab_size = vocab_size};

    *post = (post_processor){.present = specification && !json_is_null(specification)};
    clora_status status = component_each(specification, "processors", where, visit, &r);
    if (status != CLORA_OK)
        post_finish(post);
    return status;
}

void post_finish(post_processor *post) {
    id_finish(&post->before);
    id_finish(&post->after);
}
