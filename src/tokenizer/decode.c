#include "tokenizer/decode.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "tokenizer/bytes.h"
#include "tokenizer/components.h"

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

typedef enum decode_kind {
    DECODE_JOIN,
    DECODE_REPLACE,
    DECODE_BYTE_FALLBACK,
    DECODE_FUSE,
    DECODE_STRIP,
    DECODE_METASPACE,
    DECODE_BYTE_LEVEL,
    DECODE_SUFFIX
} decode_kind;

typedef struct decode_stage {
    decode_kind kind;
    regex *pattern; /* Replace */
    char *content;  /* Replace; the suffix of BPEDecoder */
    size_t content_size;
    uint32_t character; /* Strip */
    size_t start, stop;
    metaspace metaspace;
    bool gathers; /* tokens come in parts, and this stage must see whole ones */
} decode_stage;

struct decode_chain {
    decode_stage *stages;
    size_t count, capacity;
    char *where; /* "path: decoder" */
};

/* What a stage remembers. Tokens arrive as parts; the first part of each says that a token begins. */
typedef struct decode_state {
    text_buffer token; /* the token so far, where the stage gathers; BPEDecoder: the last token */
    text_buffer held;  /* bytes that are no characters yet */
    text_buffer work;
    size_t tokens;   /* tokens that have begun */
    size_t to_strip; /* Strip: how many more may go at the token's start */
    size_t trailing; /* Strip: characters held back, as the token may end here */
    bool has_token;
} decode_state;

struct decode_run {
    const decode_chain *chain;
    decode_state *states;
    text_buffer *out;
    text_budget budget;
    regex_workspace regex_space;
};

static clora_status put(decode_run *run, size_t k, const char *text, size_t size, bool begins);

static clora_status read_suffix(decode_stage *s, const json_t *specification, const char *key, const char *where) {
    const char *text;
    clora_status status = component_string(&text, &s->content_size, specification, key, where);

    if (status != CLORA_OK)
        return status;
    s->content = alloc_string_n(text, s->content_size);
    return s->content ? CLORA_OK : clora_fail(CLORA_ERROR_MEMORY, "no memory for a decoder");
}

static clora_status read_stage(decode_stage *s, const json_t *specification, const char *type, const char *where) {
    clora_status status = CLORA_OK;

    if (strcmp(type, "ByteLevel") == 0) {
        s->kind = DECODE_BYTE_LEVEL;
    } else if (strcmp(type, "ByteFallback") == 0) {
        s->kind = DECODE_BYTE_FALLBACK;
    } else if (strcmp(type, "Fuse") == 0) {
        s->kind = DECODE_FUSE;
    } else if (strcmp(type, "Replace") == 0) {
        s->kind = DECODE_REPLACE;
        TRY(read_suffix(s, specification, "content", where));
        TRY(regex_create_json(&s->pattern, json_object_get(specification, "pattern"), where));
    } else if (strcmp(type, "Strip") == 0) {
        s->kind = DECODE_STRIP;
        TRY(component_character(&s->character, specification, "content", where));
        TRY(component_size(&s->start, specification, "start", where));
        TRY(component_size(&s->stop, specification, "stop", where));
    } else if (strcmp(type, "Metaspace") == 0) {
        s->kind = DECODE_METASPACE;
        TRY(metaspace_read(&s->metaspace, specification, where));
    } else if (strcmp(type, "BPEDecoder") == 0) {
        s->kind = DECODE_SUFFIX;
        TRY(read_suffix(s, specification, "suffix", where));
        if (s->content_size == 0)
            TRY(clora_fail(CLORA_ERROR_UNSUPPORTED, "%s: BPEDecoder with an empty suffix", where));
    } else {
        TRY(clora_fail(CLORA_ERROR_UNSUPPORTED,
                       "%s: unknown type \"%s\" (clora knows Sequence, ByteLevel, Replace, ByteFallback, Fuse, Strip, "
                       "Metaspace and BPEDecoder)",
                       where, type));
    }
done:
    return status;
}

static clora_status add_stage(void *user, const json_t *specification, const char *type, const char *where) {
    decode_chain *chain = user;
    clora_status status = CLORA_OK;

    TRY(alloc_grow((void **)&chain->stages, &chain->capacity, chain->count + 1, sizeof(*chain->stages)));
    chain->stages[chain->count] = (decode_stage){0};
    TRY(read_stage(&chain->stages[chain->count++], specification, type, where));
done:
    return status;
}

/* Which stages get tokens in parts, and have to put them together first. */
static void find_gathering(decode_chain *chain) {
    bool parts = false;

    for (size_t i = 0; i < chain->count; i++) {
        decode_stage *s = &chain->stages[i];
        const bool any_part = s->kind == DECODE_JOIN || s->kind == DECODE_FUSE || s->kind == DECODE_STRIP ||
                              s->kind == DECODE_METASPACE ||
                              (s->kind == DECODE_REPLACE && regex_is_character(s->pattern));
        s->gathers = parts && !any_part;
        if (s->kind == DECODE_FUSE || s->kind == DECODE_STRIP || s->kind == DECODE_BYTE_LEVEL)
            parts = true;
        else if (!any_part)
            parts = false;
    }
}

clora_status decode_chain_create(decode_chain **out, const json_t *specification, const char *where) {
    decode_chain *chain = calloc(1, sizeof(*chain));
    clora_status status = CLORA_OK;

    *out = NULL;
    if (!chain || !(chain->where = alloc_string(where)))
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for a decoder"));
    TRY(component_each(specification, "decoders", where, add_stage, chain));
    if (!specification || json_is_null(specification)) {
        TRY(alloc_grow((void **)&chain->stages, &chain->capacity, 1, sizeof(*chain->stages)));
        chain->stages[chain->count++] = (decode_stage){.kind = DECODE_JOIN};
    }
    find_gathering(chain);
    *out = chain;
    chain = NULL;
done:
    decode_chain_free(chain);
    return status;
}

void decode_chain_free(decode_chain *chain) {
    if (!chain)
        return;
    for (size_t i = 0; i < chain->count; i++) {
        regex_free(chain->stages[i].pattern);
        free(chain->stages[i].content);
    }
    free(chain->stages);
    free(chain->where);
    free(chain);
}

clora_status decode_run_create(decode_run **out, const decode_chain *chain) {
    decode_run *run = calloc(1, sizeof(*run));

    if (run)
        run->states = alloc_array(chain->count, sizeof(*run->states));
    if (!run || !run->states) {
        free(run);
        return clora_fail(CLORA_ERROR_MEMORY, "no memory to decode");
    }
    run->chain = chain;
    run->budget.where = chain->where;
    *out = run;
    return CLORA_OK;
}

void decode_run_free(decode_run *run) {
    if (!run)
        return;
    for (size_t i = 0; i < run->chain->count; i++) {
        text_finish(&run->states[i].token);
        text_finish(&run->states[i].held);
        text_finish(&run->states[i].work);
    }
    free(run->states);
    regex_workspace_finish(&run->regex_space);
    free(run);
}

static clora_status replace(decode_run *run, size_t k, const char *text, size_t size, bool begins) {
    const decode_stage *s = &run->chain->stages[k];
    text_buffer *work = &run->states[k].work;
    clora_status status = CLORA_OK;
    size_t last = 0, start, end;
    regex_search search;
    bool found;

    text_begin(work, &run->budget, size);
    TRY(regex_search_begin(&search, s->pattern, &run->regex_space, text, size));
    while (size > 0) { /* patterns that match nothing at all do not match an empty token */
        TRY(regex_search_next(&search, &found, &start, &end));
        if (!found)
            break;
        TRY(text_append(work, text + last, start - last));
        TRY(text_append(work, s->content, s->content_size));
        last = end;
    }
    TRY(text_append(work, text + last, size - last));
    TRY(text_end(work, &run->budget));
    TRY(put(run, k + 1, work->data, work->size, begins));
done:
    return status;
}

/* The byte of a token such as <0x0A>, or -1. */
static int byte_of_token(const char *token, size_t size) {
    static const char digits[] = "0123456789abcdef";
    int value = 0;

    if (size != 6 || memcmp(token, "<0x", 3) != 0 || token[5] != '>')
        return -1;
    for (int i = token[3] == '+' ? 4 : 3; i < 5; i++) { /* the package's number parser allows a sign */
        const char c = token[i] >= 'A' && token[i] <= 'F' ? (char)(token[i] + 32) : token[i];
        const char *digit = c ? strchr(digits, c) : NULL;
        if (!digit)
            return -1;
        value = value * 16 + (int)(digit - digits);
    }
    return value;
}

/* A run of byte tokens is one text if all of it is valid, else every byte of it is unreadable. */
static clora_status put_bytes(decode_run *run, size_t k) {
    text_buffer *held = &run->states[k].held;
    clora_status status = CLORA_OK;
    size_t bad;

    if (held->size == 0)
        return CLORA_OK;
    if (utf8_valid(held->data, held->size, &bad))
        TRY(put(run, k + 1, held->data, held->size, true));
    else
        for (size_t i = 0; i < held->size; i++)
            TRY(put(run, k + 1, REPLACEMENT, 3, true));
    held->size = 0;
done:
    return status;
}

static clora_status byte_fallback(decode_run *run, size_t k, const char *text, size_t size) {
    const int byte = byte_of_token(text, size);
    const char c = (char)byte;
    clora_status status = CLORA_OK;

    if (byte >= 0)
        return text_append(&run->states[k].held, &c, 1);
    TRY(put_bytes(run, k));
    TRY(put(run, k + 1, text, size, true));
done:
    return status;
}

/* Append the bytes of a token; a token with a character outside the alphabet stands for itself. */
static clora_status append_token_bytes(text_buffer *out, const char *text, size_t size) {
    const size_t before = out->size;
    clora_status status = CLORA_OK;
    uint32_t c;

    for (size_t i = 0; i < size;) {
        i += utf8_decode(text + i, &c);
        const int byte = byte_of_character(c);
        const char value = (char)byte;
        if (byte < 0) {
            out->size = before;
            return text_append(out, text, size);
        }
        TRY(text_append(out, &value, 1));
    }
done:
    return status;
}

/* Move what is readable from held to work; a part that begins no character becomes U+FFFD, unless it may still grow. */
static clora_status read_bytes(decode_state *state, bool at_end) {
    text_buffer *held = &state->held;
    clora_status status = CLORA_OK;
    size_t i = 0, n;
    bool complete;

    state->work.size = 0;
    for (; i < held->size; i += n) {
        n = utf8_prefix(held->data + i, held->size - i, &complete);
        if (complete)
            TRY(text_append(&state->work, held->data + i, n));
        else if (i + n == held->size && n > 0 && !at_end)
            break;
        else
            TRY(text_append(&state->work, REPLACEMENT, 3));
        if (n == 0)
            n = 1;
    }
    text_drop_front(held, i);
done:
    return status;
}

static clora_status byte_level(decode_run *run, size_t k, const char *text, size_t size) {
    decode_state *state = &run->states[k];
    clora_status status = CLORA_OK;

    TRY(append_token_bytes(&state->held, text, size));
    TRY(read_bytes(state, false));
    TRY(put(run, k + 1, state->work.data, state->work.size, state->tokens == 1));
done:
    return status;
}

static clora_status strip(decode_run *run, size_t k, const char *text, size_t size, bool begins) {
    const decode_stage *s = &run->chain->stages[k];
    decode_state *state = &run->states[k];
    clora_status status = CLORA_OK;
    uint32_t c;

    if (begins) { /* what the token before held back was its end */
        state->to_strip = s->start;
        state->trailing = 0;
    }
    state->work.size = 0;
    for (size_t i = 0, n; i < size; i += n) {
        n = utf8_decode(text + i, &c);
        if (c == s->character && state->to_strip > 0) {
            state->to_strip--;
            continue;
        }
        state->to_strip = 0;
        if (c == s->character && state->trailing < s->stop) {
            state->trailing++;
            continue;
        }
        for (; c != s->character && state->trailing > 0; state->trailing--)
            TRY(text_append_char(&state->work, s->character));
        TRY(text_append(&state->work, text + i, n));
    }
    TRY(put(run, k + 1, state->work.data, state->work.size, begins));
done:
    return status;
}

static clora_status unmark_spaces(decode_run *run, size_t k, const char *text, size_t size, bool begins) {
    const metaspace *mark = &run->chain->stages[k].metaspace;
    decode_state *state = &run->states[k];
    clora_status status = CLORA_OK;
    uint32_t c;

    state->work.size = 0;
    for (size_t i = 0, n; i < size; i += n) {
        n = utf8_decode(text + i, &c);
        if (c != mark->replacement)
            TRY(text_append(&state->work, text + i, n));
        else if (state->tokens > 1 || mark->scheme == METASPACE_NEVER)
            TRY(text_append(&state->work, " ", 1));
    }
    TRY(put(run, k + 1, state->work.data, state->work.size, begins));
done:
    return status;
}

/* Give the token that was held, with each suffix replaced: by a blank, in the last token by nothing. */
static clora_status put_suffixed(decode_run *run, size_t k, const char *blank) {
    const decode_stage *s = &run->chain->stages[k];
    decode_state *state = &run->states[k];
    clora_status status = CLORA_OK;
    const char *at = state->held.data, *end = at ? at + state->held.size : at, *found;

    state->work.size = 0;
    while (at && at < end && (found = memmem(at, (size_t)(end - at), s->content, s->content_size))) {
        TRY(text_append(&state->work, at, (size_t)(found - at)));
        TRY(text_append(&state->work, blank, strlen(blank)));
        at = found + s->content_size;
    }
    if (at)
        TRY(text_append(&state->work, at, (size_t)(end - at)));
    TRY(put(run, k + 1, state->work.data, state->work.size, true));
done:
    return status;
}

static clora_status suffix(decode_run *run, size_t k, const char *text, size_t size) {
    decode_state *state = &run->states[k];
    clora_status status = CLORA_OK;

    if (state->tokens > 1)
        TRY(put_suffixed(run, k, " "));
    state->held.size = 0;
    TRY(text_append(&state->held, text, size));
done:
    return status;
}

static clora_status join(decode_run *run, size_t k, const char *text, size_t size, bool begins) {
    clora_status status = CLORA_OK;

    if (begins && run->states[k].tokens > 1)
        TRY(put(run, k + 1, " ", 1, true));
    TRY(put(run, k + 1, text, size, begins));
done:
    return status;
}

/* A token, or a part of one where the stage does not gather, meets its stage. */
static clora_status work(decode_run *run, size_t k, const char *text, size_t size, bool begins) {
    if (!text)
        text = ""; /* an empty buffer */
    run->states[k].tokens += begins;
    switch (run->chain->stages[k].kind) {
    case DECODE_JOIN: return join(run, k, text, size, begins);
    case DECODE_REPLACE: return replace(run, k, text, size, begins);
    case DECODE_BYTE_FALLBACK: return byte_fallback(run, k, text, size);
    case DECODE_FUSE: return put(run, k + 1, text, size, begins && run->states[k].tokens == 1);
    case DECODE_STRIP: return strip(run, k, text, size, begins);
    case DECODE_METASPACE: return unmark_spaces(run, k, text, size, begins);
    case DECODE_BYTE_LEVEL: return byte_level(run, k, text, size);
    case DECODE_SUFFIX: return suffix(run, k, text, size);
    }
    return CLORA_OK;
}

static clora_status put(decode_run *run, size_t k, const char *text, size_t size, bool begins) {
    clora_status status = CLORA_OK;

    if (k == run->chain->count)
        return text_append(run->out, text, size);
    decode_state *state = &run->states[k];
    if (!run->chain->stages[k].gathers)
        return work(run, k, text, size, begins);
    if (begins && state->has_token)
        TRY(work(run, k, state->token.data, state->token.size, true));
    if (begins)
        state->token.size = 0;
    state->has_token = true;
    TRY(text_append(&state->token, text, size));
done:
    return status;
}

clora_status decode_run_push(decode_run *run, text_buffer *out, const char *token, size_t size) {
    run->out = out;
    run->budget.given += size;
    return put(run, 0, token, size, true);
}

clora_status decode_run_end(decode_run *run, text_buffer *out) {
    clora_status status = CLORA_OK;

    run->out = out;
    for (size_t k = 0; k < run->chain->count; k++) {
        decode_state *state = &run->states[k];
        if (state->has_token)
            TRY(work(run, k, state->token.data, state->token.size, true));
        state->has_token = false;
        const decode_kind kind = run->chain->stages[k].kind;
        if (kind == DECODE_BYTE_FALLBACK)
            TRY(put_bytes(run, k));
        if (kind == DECODE_SUFFIX && state->tokens > 0)
            TRY(put_suffixed(run, k, ""));
        if (kind == DECODE_BYTE_LEVEL) {
            TRY(read_bytes(state, true));
            TRY(put(run, k + 1, state->work.data, state->work.size, state->tokens == 0));
        }
        if (kind == DECODE_FUSE && state->tokens == 0)
            TRY(put(run, k + 1, "", 0, true));
    }
done:
    return status;
}
