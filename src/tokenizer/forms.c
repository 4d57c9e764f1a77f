#include "tokenizer/forms.h"

#include <string.h>
#include <utf8proc.h>

#include "base/alloc.h"
#include "tokenizer/unicode.h"

/* A character and its combining class, while a run of marks is put in order. */
typedef struct mark {
    utf8proc_int32_t c;
    int32_t class;
} mark;

static int combining_class(utf8proc_int32_t c) {
    return c < 0x300 ? 0 : (int)utf8proc_get_property(c)->combining_class;
}

static clora_status reserve(text_buffer *buffer, size_t bytes) {
    return bytes <= buffer->capacity ? CLORA_OK : alloc_grow((void **)&buffer->data, &buffer->capacity, bytes, 1);
}

static clora_status append_code(text_buffer *codes, utf8proc_int32_t c) {
    return text_append(codes, (const char *)&c, sizeof(c));
}

/*
 * Decomposition of the text up to its end, the next inert character or two ASCII characters in a row, of which the
 * first touches nothing; *used counts the bytes read.
 */
static clora_status decompose(text_buffer *codes, size_t *used, size_t *front, const piece *in, size_t at,
                              bool compatible) {
    const utf8proc_option_t options = compatible ? UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT : UTF8PROC_DECOMPOSE;
    clora_status status = CLORA_OK;
    utf8proc_int32_t parts[32]; /* the longest decomposition has 18 */
    size_t i = at;
    uint32_t c;

    codes->size = 0;
    while (i < in->size) {
        const size_t n = utf8_decode(in->text + i, &c);
        int boundary = 0;
        if (unicode_is_inert(c) || (i > at && c < 0x80 && i + 1 < in->size && (unsigned char)in->text[i + 1] < 0x80))
            break;
        i += n;
        if (c < 0xa0) {
            TRY(append_code(codes, (utf8proc_int32_t)c));
        } else {
            const utf8proc_ssize_t count = utf8proc_decompose_char((utf8proc_int32_t)c, parts, 32, options, &boundary);
            if (count < 0 || count > 32)
                TRY(clora_fail(CLORA_ERROR_FORMAT, "utf8proc cannot decompose U+%04X", (unsigned)c));
            TRY(text_append(codes, (const char *)parts, (size_t)count * sizeof(parts[0])));
        }
        if (i <= in->marks[PIECE_FRONT])
            *front = codes->size / sizeof(parts[0]);
    }
    *used = i - at;
done:
    return status;
}

/* Stable order of one run of marks by class: counting sort, as there are 255 classes and runs may be long. */
static clora_status sort_run(utf8proc_int32_t *codes, size_t count, text_buffer *scratch) {
    size_t starts[257] = {0}, bytes;

    if (!size_mul(count, sizeof(mark), &bytes) || reserve(scratch, bytes) != CLORA_OK)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory to normalize a text");
    mark *marks = (mark *)(void *)scratch->data;
    for (size_t i = 0; i < count; i++) {
        marks[i] = (mark){codes[i], combining_class(codes[i])};
        starts[marks[i].class + 1]++;
    }
    for (size_t k = 1; k < 257; k++)
        starts[k] += starts[k - 1];
    for (size_t i = 0; i < count; i++)
        codes[starts[marks[i].class]++] = marks[i].c;
    return CLORA_OK;
}

static clora_status sort_marks(utf8proc_int32_t *codes, size_t count, text_buffer *scratch) {
    clora_status status = CLORA_OK;

    for (size_t i = 0; i < count;) {
        size_t end = i;
        bool sorted = true;
        for (int last = 0, class; end < count && (class = combining_class(codes[end])) > 0; end++) {
            sorted = sorted && class >= last;
            last = class;
        }
        if (!sorted)
            TRY(sort_run(codes + i, end - i, scratch));
        i = end > i ? end : i + 1;
    }
done:
    return status;
}

/* How many of the composed characters come from the first `front` codes. */
static clora_status composed_front(size_t *out, const utf8proc_int32_t *codes, size_t front, text_buffer *scratch) {
    clora_status status = CLORA_OK;

    *out = front;
    if (front < 2)
        return CLORA_OK;
    scratch->size = 0;
    TRY(text_append(scratch, (const char *)codes, front * sizeof(*codes)));
    utf8proc_int32_t *copy = (utf8proc_int32_t *)(void *)scratch->data;
    const utf8proc_ssize_t count =
        utf8proc_normalize_utf32(copy, (utf8proc_ssize_t)front, UTF8PROC_COMPOSE | UTF8PROC_STABLE);
    if (count > 0)
        *out = (size_t)count;
done:
    return status;
}

static clora_status encode(text_buffer *out, size_t *front, const utf8proc_int32_t *codes, size_t count,
                           size_t front_count) {
    clora_status status = CLORA_OK;

    for (size_t i = 0; i < count; i++) {
        TRY(text_append_char(out, (uint32_t)codes[i]));
        if (i < front_count)
            *front = out->size;
    }
done:
    return status;
}

/* The end of a stretch of ASCII that nothing after it can change. */
static size_t plain_end(const piece *in, size_t at) {
    size_t end = at;

    while (end < in->size && (unsigned char)in->text[end] < 0x80)
        end++;
    return end == in->size || end == at ? end : end - 1;
}

static clora_status normalize(text_buffer *out, size_t *front, const piece *in, bool compatible, bool compose,
                              normalizer_workspace *workspace) {
    text_buffer *codes = &workspace->code_points;
    clora_status status = CLORA_OK;
    size_t at = 0, used;

    *front = 0;
    while (at < in->size) {
        const size_t plain = plain_end(in, at);
        TRY(text_append(out, in->text + at, plain - at));
        if (at < in->marks[PIECE_FRONT] && plain > at)
            *front =
                out->size - (plain - at) + (in->marks[PIECE_FRONT] < plain ? in->marks[PIECE_FRONT] - at : plain - at);
        at = plain;
        size_t front_count = 0;
        TRY(decompose(codes, &used, &front_count, in, at, compatible));
        utf8proc_int32_t *list = (utf8proc_int32_t *)(void *)codes->data;
        utf8proc_ssize_t count = (utf8proc_ssize_t)(codes->size / sizeof(*list));
        if (count > 0) {
            TRY(sort_marks(list, (size_t)count, &workspace->sorted));
            if (compose) {
                TRY(composed_front(&front_count, list, front_count, &workspace->sorted));
                count = utf8proc_normalize_utf32(list, count, UTF8PROC_COMPOSE | UTF8PROC_STABLE);
            }
            if (count < 0)
                TRY(clora_fail(CLORA_ERROR_FORMAT, "utf8proc cannot compose the text"));
            TRY(encode(out, front, list, (size_t)count, front_count));
        }
        at += used;
        if (at < in->size && (unsigned char)in->text[at] >= 0x80) { /* an inert character */
            const size_t n = utf8_length(in->text[at]);
            TRY(text_append(out, in->text + at, n));
            if (at < in->marks[PIECE_FRONT])
                *front = out->size;
            at += n;
        }
    }
done:
    return status;
}

/* Marks may move and letters compose across the border: it is there when each side alone gives its part of
 * the whole. */
static clora_status find_border(piece *to, const text_buffer *whole, const piece *in, bool compatible, bool compose,
                                normalizer_workspace *workspace) {
    const size_t border = in->marks[PIECE_BORDER];
    const piece sides[2] = {piece_part(in, 0, border), piece_part(in, border, in->size)};
    text_buffer *halves = &workspace->halves;
    clora_status status = CLORA_OK;
    size_t front;

    halves->size = 0;
    TRY(normalize(halves, &front, &sides[0], compatible, compose, workspace));
    to->marks[PIECE_BORDER] = halves->size;
    TRY(normalize(halves, &front, &sides[1], compatible, compose, workspace));
    workspace->crossed |= halves->size != whole->size || memcmp(halves->data, whole->data, whole->size) != 0;
done:
    return status;
}

clora_status forms_normalize(text_buffer *out, piece *to, const piece *in, bool compatible, bool compose,
                             normalizer_workspace *workspace) {
    clora_status status = CLORA_OK;

    TRY(normalize(out, &to->marks[PIECE_FRONT], in, compatible, compose, workspace));
    if (piece_has_border(in))
        TRY(find_border(to, out, in, compatible, compose, workspace));
    else if (in->marks[PIECE_BORDER] > 0)
        to->marks[PIECE_BORDER] = out->size;
done:
    return status;
}
