#include "tokenizer/pretokenize.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/json.h"
#include "tokenizer/bytes.h"
#include "tokenizer/components.h"
#include "tokenizer/unicode.h"

/* How GPT-2 cuts a text; what ByteLevel means by use_regex. */
#define GPT2_PATTERN "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"

typedef enum stage_kind { STAGE_BYTE_LEVEL, STAGE_SPLIT, STAGE_CHARACTERS, STAGE_WORDS, STAGE_METASPACE } stage_kind;

typedef struct stage {
    stage_kind kind;
    regex *pattern; /* Split; ByteLevel unless use_regex is false */
    bool invert;    /* Split: what matches is kept, what is between delimits */
    bool (*is_delimiter)(uint32_t c);
    split_behavior behavior;
    bool prefix_space; /* ByteLevel */
    metaspace metaspace;
} stage;

struct pretokenizer {
    stage *stages;
    size_t count, capacity;
    char *where; /* "path: pre_tokenizer" */
};

/* One call of pretokenizer_run, and the stage that its pieces are to go through next. */
typedef struct passage {
    const pretokenizer *p;
    pretokenizer_workspace *workspace;
    regex_workspace *regex_space;
    piece_sink sink;
    void *user;
    size_t next;
} passage;

static clora_status read_byte_level(stage *s, const json_t *specification, const char *where) {
    clora_status status = CLORA_OK;
    bool use_regex;

    s->kind = STAGE_BYTE_LEVEL;
    TRY(component_bool(&s->prefix_space, specification, "add_prefix_space", where));
    TRY(json_get_bool(&use_regex, specification, "use_regex", true, where));
    if (use_regex)
        TRY(regex_create(&s->pattern, GPT2_PATTERN, strlen(GPT2_PATTERN), where));
done:
    return status;
}

static clora_status read_split(stage *s, const json_t *specification, const char *where) {
    clora_status status = CLORA_OK;

    s->kind = STAGE_SPLIT;
    TRY(split_behavior_read(&s->behavior, json_object_get(specification, "behavior"), where));
    TRY(component_bool(&s->invert, specification, "invert", where));
    TRY(regex_create_json(&s->pattern, json_object_get(specification, "pattern"), where));
done:
    return status;
}

/* Older files say add_prefix_space where newer ones say prepend_scheme. */
clora_status metaspace_read(metaspace *out, const json_t *specification, const char *where) {
    static const char *const names[] = {"always", "first", "never"};
    clora_status status = CLORA_OK;
    const char *scheme;
    bool prefix;
    int i = 0;

    TRY(component_character(&out->replacement, specification, "replacement", where));
    TRY(json_get_bool(&prefix, specification, "add_prefix_space", true, where));
    TRY(json_get_text(&scheme, specification, "prepend_scheme", prefix ? "always" : "never", where));
    TRY(json_get_bool(&out->split, specification, "split", true, where));
    while (i < 3 && strcmp(scheme, names[i]) != 0)
        i++;
    if (i == 3)
        TRY(clora_fail(CLORA_ERROR_FORMAT, "%s: \"prepend_scheme\" must be always, first or never", where));
    out->scheme = (metaspace_scheme)i;
    if (!prefix && out->scheme != METASPACE_NEVER)
        TRY(clora_fail(CLORA_ERROR_FORMAT, "%s: \"add_prefix_space\" and \"prepend_scheme\" contradict each other",
                       where));
done:
    return status;
}

static clora_status read_metaspace(stage *s, const json_t *specification, const char *where) {
    s->kind = STAGE_METASPACE;
    s->behavior = SPLIT_MERGED_WITH_NEXT;
    return metaspace_read(&s->metaspace, specification, where);
}

static clora_status read_characters(stage *s, const json_t *specification, const char *type, const char *where) {
    clora_status status = CLORA_OK;
    bool individual;

    s->kind = STAGE_CHARACTERS;
    if (strcmp(type, "Digits") == 0) {
        TRY(component_bool(&individual, specification, "individual_digits", where));
        s->is_delimiter = unicode_is_numeric;
        s->behavior = individual ? SPLIT_ISOLATED : SPLIT_CONTIGUOUS;
    } else if (strcmp(type, "Punctuation") == 0) {
        const json_t *behavior = json_object_get(specification, "behavior");
        s->is_delimiter = unicode_is_punctuation;
        s->behavior = SPLIT_ISOLATED;
        if (behavior)
            TRY(split_behavior_read(&s->behavior, behavior, where));
    } else {
        s->is_delimiter = unicode_is_space;
        s->behavior = SPLIT_REMOVED;
    }
done:
    return status;
}

static clora_status add_stage(void *user, const json_t *specification, const char *type, const char *where) {
    pretokenizer *p = user;
    clora_status status = CLORA_OK;

    TRY(alloc_grow((void **)&p->stages, &p->capacity, p->count + 1, sizeof(*p->stages)));
    stage *s = &p->stages[p->count++];
    *s = (stage){0};
    if (strcmp(type, "ByteLevel") == 0)
        return read_byte_level(s, specification, where);
    if (strcmp(type, "Split") == 0)
        return read_split(s, specification, where);
    if (strcmp(type, "Metaspace") == 0)
        return read_metaspace(s, specification, where);
    if (strcmp(type, "Digits") == 0 || strcmp(type, "Punctuation") == 0 || strcmp(type, "WhitespaceSplit") == 0)
        return read_characters(s, specification, type, where);
    if (strcmp(type, "Whitespace") == 0)
        s->kind = STAGE_WORDS;
    else
        TRY(clora_fail(
            CLORA_ERROR_UNSUPPORTED,
            "%s: unknown type \"%s\" (clora knows Sequence, ByteLevel, Split, Digits, Metaspace, Punctuation, "
            "Whitespace and WhitespaceSplit)",
            where, type));
done:
    return status;
}

clora_status pretokenizer_create(pretokenizer **out, const json_t *specification, const char *where) {
    clora_status status = CLORA_OK;
    pretokenizer *p = NULL;

    *out = NULL;
    if (!specification || json_is_null(specification))
        return CLORA_OK;
    p = calloc(1, sizeof(*p));
    if (!p || !(p->where = alloc_string(where)))
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for a pre-tokenizer"));
    TRY(component_each(specification, "pretokenizers", where, add_stage, p));
    *out = p;
    p = NULL;
done:
    pretokenizer_free(p);
    return status;
}

void pretokenizer_free(pretokenizer *p) {
    if (!p)
        return;
    for (size_t i = 0; i < p->count; i++)
        regex_free(p->stages[i].pattern);
    free(p->stages);
    free(p->where);
    free(p);
}

bool pretokenizer_maps_bytes(const pretokenizer *p) {
    return p && p->count > 0 && p->stages[p->count - 1].kind == STAGE_BYTE_LEVEL;
}

void pretokenizer_workspace_finish(pretokenizer_workspace *workspace) {
    for (size_t i = 0; i < workspace->count; i++) {
        text_finish(&workspace->stages[i].text);
        text_finish(&workspace->stages[i].mapped);
    }
    free(workspace->stages);
    *workspace = (pretokenizer_workspace){0};
}

static clora_status pass_on(void *user, const piece *text);

static clora_status split_by_pattern(splitter *s, const stage *st, regex_workspace *regex_space) {
    clora_status status = CLORA_OK;
    size_t last = 0, start, end;
    regex_search search;
    bool found;

    TRY(regex_search_begin(&search, st->pattern, regex_space, s->whole->text, s->whole->size));
    for (;;) {
        TRY(regex_search_next(&search, &found, &start, &end));
        if (!found)
            break;
        if (last != start)
            TRY(splitter_feed(s, last, start, st->invert));
        TRY(splitter_feed(s, start, end, !st->invert));
        last = end;
    }
    if (last != s->whole->size)
        TRY(splitter_feed(s, last, s->whole->size, st->invert));
    TRY(splitter_finish(s));
done:
    return status;
}

static bool is_delimiter(const stage *st, uint32_t c) {
    return st->kind == STAGE_METASPACE ? c == st->metaspace.replacement : st->is_delimiter(c);
}

static clora_status split_by_character(splitter *s, const stage *st) {
    clora_status status = CLORA_OK;
    size_t last = 0, n;
    uint32_t c;

    for (size_t i = 0; i < s->whole->size; i += n) {
        n = utf8_decode(s->whole->text + i, &c);
        if (!is_delimiter(st, c))
            continue;
        if (last < i)
            TRY(splitter_feed(s, last, i, false));
        TRY(splitter_feed(s, i, i + n, true));
        last = i + n;
    }
    if (last < s->whole->size)
        TRY(splitter_feed(s, last, s->whole->size, false));
    TRY(splitter_finish(s));
done:
    return status;
}

/* Runs of word characters and runs of anything else but white space. */
static clora_status split_into_words(splitter *s) {
    clora_status status = CLORA_OK;
    size_t start = 0, n;
    int last = 0;
    uint32_t c;

    for (size_t i = 0; i < s->whole->size; i += n) {
        n = utf8_decode(s->whole->text + i, &c);
        const int kind = unicode_is_word(c) ? 1 : unicode_is_space(c) ? 0 : 2;
        if (kind == last)
            continue;
        TRY(splitter_feed(s, start, i, last == 0));
        start = i;
        last = kind;
    }
    TRY(splitter_feed(s, start, s->whole->size, last == 0));
done:
    return status;
}

static clora_status put_in_front(piece *text, text_buffer *buffer, text_budget *budget, uint32_t c) {
    clora_status status = CLORA_OK;

    text_begin(buffer, budget, text->size);
    TRY(text_append_char(buffer, c));
    piece_prefixed(text, text, buffer->size);
    TRY(text_append(buffer, text->text, text->size));
    TRY(text_end(buffer, budget));
    text->text = buffer->data;
    text->size = buffer->size;
done:
    return status;
}

/* The sink of ByteLevel's own splitting: bytes become characters before the next stage. */
static clora_status map_bytes(void *user, const piece *text) {
    passage *way = user;
    text_buffer *mapped = &way->workspace->stages[way->next - 1].mapped;
    clora_status status = CLORA_OK;
    piece result = {.continues = text->continues};

    text_begin(mapped, &way->workspace->budget, text->size);
    TRY(bytes_map(mapped, text->text, text->size));
    TRY(text_end(mapped, &way->workspace->budget));
    for (int m = 0; m < PIECE_MARKS; m++)
        result.marks[m] = bytes_mapped_size(text->text, text->marks[m]);
    result.text = mapped->data;
    result.size = mapped->size;
    TRY(pass_on(way, &result));
done:
    return status;
}

static clora_status byte_level(passage *way, const stage *st, piece text) {
    clora_status status = CLORA_OK;

    if (st->prefix_space && !text.continues && text.text[0] != ' ')
        TRY(put_in_front(&text, &way->workspace->stages[way->next - 1].text, &way->workspace->budget, ' '));
    if (!st->pattern)
        return map_bytes(way, &text);
    splitter s = {.whole = &text, .behavior = SPLIT_ISOLATED, .sink = map_bytes, .user = way};
    TRY(split_by_pattern(&s, st, way->regex_space));
done:
    return status;
}

static bool needs_mark(const metaspace *mark, const piece *in) {
    uint32_t first;

    utf8_decode(in->text, &first);
    if (in->continues || first == ' ' || first == mark->replacement)
        return false;
    return mark->scheme == METASPACE_ALWAYS || (mark->scheme == METASPACE_FIRST && in->marks[PIECE_FRONT] > 0);
}

static clora_status mark_spaces(passage *way, const stage *st, const piece *in) {
    text_buffer *buffer = &way->workspace->stages[way->next - 1].text;
    const metaspace *mark = &st->metaspace;
    clora_status status = CLORA_OK;
    piece text = {.continues = in->continues};

    text_begin(buffer, &way->workspace->budget, in->size);
    if (needs_mark(mark, in))
        TRY(text_append_char(buffer, mark->replacement));
    for (size_t i = 0; i < in->size;) {
        const char *space = memchr(in->text + i, ' ', in->size - i);
        const size_t end = space ? (size_t)(space - in->text) : in->size;
        TRY(text_append(buffer, in->text + i, end - i));
        piece_copied(&text, in, i, end, buffer->size);
        if (space)
            TRY(text_append_char(buffer, mark->replacement));
        if (space)
            piece_replaced(&text, in, end + 1, buffer->size);
        i = end + 1;
    }
    TRY(text_end(buffer, &way->workspace->budget));
    text.text = buffer->data;
    text.size = buffer->size;
    if (!mark->split)
        return pass_on(way, &text);
    splitter s = {.whole = &text, .behavior = st->behavior, .sink = pass_on, .user = way};
    TRY(split_by_character(&s, st));
done:
    return status;
}

/* A piece meets its next stage, or has been through them all. */
static clora_status pass_on(void *user, const piece *text) {
    const passage *from = user;

    if (from->next == from->p->count)
        return from->sink(from->user, text);
    passage way = *from;
    const stage *st = &way.p->stages[way.next++];
    splitter s = {.whole = text, .behavior = st->behavior, .sink = pass_on, .user = &way};
    switch (st->kind) {
    case STAGE_BYTE_LEVEL: return byte_level(&way, st, *text);
    case STAGE_SPLIT: return split_by_pattern(&s, st, way.regex_space);
    case STAGE_CHARACTERS: return split_by_character(&s, st);
    case STAGE_METASPACE: return mark_spaces(&way, st, text);
    case STAGE_WORDS: return split_into_words(&s);
    }
    return CLORA_OK;
}

clora_status pretokenizer_run(const pretokenizer *p, const piece *text, pretokenizer_workspace *workspace,
                              regex_workspace *regex_space, piece_sink sink, void *user) {
    if (!p || text->size == 0)
        return text->size == 0 ? CLORA_OK : sink(user, text);
    if (!workspace->stages) {
        workspace->stages = alloc_array(p->count, sizeof(*workspace->stages));
        if (!workspace->stages)
            return clora_fail(CLORA_ERROR_MEMORY, "no memory for pre-tokenization");
        workspace->count = p->count;
    }
    workspace->budget.where = p->where;
    passage way = {.p = p, .workspace = workspace, .regex_space = regex_space, .sink = sink, .user = user};
    return pass_on(&way, text);
}
