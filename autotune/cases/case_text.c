#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cases/case.h"

/* The letters of a shape, in the order in which they are written. */
static const struct {
    const char *name;
    size_t offset;
} letters[] = {
    {"M", offsetof(op_shape, M)},         {"N", offsetof(op_shape, N)},     {"K", offsetof(op_shape, K)},
    {"R", offsetof(op_shape, R)},         {"B", offsetof(op_shape, B)},     {"T", offsetof(op_shape, T)},
    {"S", offsetof(op_shape, S)},         {"H", offsetof(op_shape, H)},     {"G", offsetof(op_shape, G)},
    {"D", offsetof(op_shape, D)},         {"V", offsetof(op_shape, V)},     {"modules", offsetof(op_shape, modules)},
    {"first", offsetof(op_shape, first)}, {"pad", offsetof(op_shape, pad)}, {"option", offsetof(op_shape, option)},
    {"seed", offsetof(op_shape, seed)},
};
enum { LETTERS = sizeof(letters) / sizeof(letters[0]), POSITIONS = 4 /* M,N,K,R may do without their letters */ };

static const char separators[] = " ,=";

static int *field_of(op_shape *shape, size_t letter) {
    return (int *)(void *)((char *)shape + letters[letter].offset);
}

const char *case_text(const op_case *op, const op_shape *shape) {
    static _Thread_local char text[4][192];
    static _Thread_local int next;
    char *out = text[next = (next + 1) % 4];
    op_shape s = *shape;
    size_t used = (size_t)snprintf(out, sizeof(text[0]), "%s %s", op->name, clora_storage_name(s.dtype));

    for (size_t i = 0; i < LETTERS && used < sizeof(text[0]); i++)
        if (*field_of(&s, i))
            used += (size_t)snprintf(out + used, sizeof(text[0]) - used, " %s %d", letters[i].name, *field_of(&s, i));
    return out;
}

const char *case_shape_text(const op_case *op, const op_shape *shape) {
    return case_text(op, shape) + strlen(op->name) + 1;
}

static bool is_word(const char *text, size_t length, const char *word) {
    return strlen(word) == length && memcmp(text, word, length) == 0;
}

static bool read_dtype(op_shape *out, const char *text, size_t length) {
    for (int i = 0; i < CLORA_STORAGE_END; i++) {
        const char *known = clora_storage_name((clora_storage)i);
        if (known && is_word(text, length, known)) {
            out->dtype = (clora_storage)i;
            return true;
        }
    }
    return false;
}

/* The letter that a word is, or LETTERS. */
static size_t find_letter(const char *text, size_t length) {
    size_t i = 0;

    while (i < LETTERS && !is_word(text, length, letters[i].name))
        i++;
    return i;
}

static bool read_number(int *out, const char *text, size_t length) {
    char *end;
    const long value = strtol(text, &end, 10);

    *out = (int)value;
    return end == text + length && length > 0 && value >= 0 && value <= 1 << 30;
}

clora_status case_shape_read(op_shape *out, const char *text) {
    size_t letter, position = 0;

    if (!text[strspn(text, separators)])
        return clora_fail(CLORA_ERROR_ARGUMENT, "an empty shape");
    for (const char *word = text + strspn(text, separators); *word; word += strspn(word, separators)) {
        size_t length = strcspn(word, separators);
        letter = find_letter(word, length);
        if (letter < LETTERS) {
            word += length + strspn(word + length, separators);
            length = strcspn(word, separators);
        } else if (position < POSITIONS && word[0] >= '0' && word[0] <= '9') {
            letter = position++;
        }
        if (letter < LETTERS ? !read_number(field_of(out, letter), word, length) : !read_dtype(out, word, length))
            return clora_fail(CLORA_ERROR_ARGUMENT, "shape '%s': '%.*s' is neither a letter with its number nor a type",
                              text, (int)length, word);
        word += length;
    }
    return CLORA_OK;
}
