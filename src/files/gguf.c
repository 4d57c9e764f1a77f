#include "files/gguf.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/ints.h"

enum { GGUF_DIMS = 4, LEAST_VALUE = 13, LEAST_TENSOR = 24 /* bytes of the shortest setting and tensor */ };

/* Reads a file from its beginning to its end, a piece at a time. */
typedef struct cursor {
    const gguf *file;
    size_t at; /* the next byte */
    size_t begin, end;
    unsigned char piece[1 << 14]; /* bytes begin to end of the file */
} cursor;

static size_t left(const cursor *c) {
    return c->file->map.size - c->at;
}

static clora_status truncated(const cursor *c, const char *what) {
    return clora_fail(CLORA_ERROR_FORMAT, "%s: truncated: it ends within %s", c->file->path, what);
}

static clora_status take(void *out, cursor *c, size_t size, const char *what) {
    clora_status status = CLORA_OK;

    if (size > left(c))
        return truncated(c, what);
    for (size_t done = 0; done < size;) {
        if (c->at < c->begin || c->at >= c->end) {
            c->begin = c->end = c->at;
            const size_t some = left(c) < sizeof(c->piece) ? left(c) : sizeof(c->piece);
            TRY(file_read_at(c->piece, c->file->fd, c->at, some, c->file->path));
            c->end = c->begin + some;
        }
        const size_t some = size - done < c->end - c->at ? size - done : c->end - c->at;
        memcpy((char *)out + done, c->piece + (c->at - c->begin), some);
        done += some;
        c->at += some;
    }
done:
    return status;
}

static clora_status take_integer(uint64_t *out, cursor *c, size_t size, const char *what) {
    unsigned char bytes[8] = {0};
    const clora_status status = take(bytes, c, size, what);

    *out = 0;
    for (int i = 7; i >= 0; i--)
        *out = *out << 8 | bytes[i];
    return status;
}

static clora_status skip(cursor *c, uint64_t size, const char *what) {
    if (size > left(c))
        return truncated(c, what);
    c->at += (size_t)size;
    return CLORA_OK;
}

/* A text without NUL, which the caller frees. */
static clora_status take_text(char **out, cursor *c, const char *what) {
    clora_status status = CLORA_OK;
    uint64_t size;
    char *text = NULL;

    TRY(take_integer(&size, c, 8, what));
    if (size > left(c))
        TRY(truncated(c, what));
    text = alloc_array((size_t)size + 1, 1);
    if (!text)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory to read %s", c->file->path));
    TRY(take(text, c, (size_t)size, what));
    if (memchr(text, '\0', (size_t)size))
        TRY(clora_fail(CLORA_ERROR_FORMAT, "%s: %s holds a NUL", c->file->path, what));
    *out = text;
    text = NULL;
done:
    free(text);
    return status;
}

/* Bytes of a number; 0 for texts and arrays. */
static size_t kind_size(gguf_kind kind) {
    static const unsigned char sizes[GGUF_KINDS] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

    return sizes[kind];
}

static clora_status take_kind(gguf_kind *out, cursor *c, const char *key) {
    clora_status status = CLORA_OK;
    uint64_t kind;

    TRY(take_integer(&kind, c, 4, "a setting"));
    if (kind >= GGUF_KINDS)
        TRY(clora_fail(CLORA_ERROR_FORMAT, "%s: the setting %.200s is of kind %" PRIu64 ", which GGUF does not have",
                       c->file->path, key, kind));
    *out = (gguf_kind)kind;
done:
    return status;
}

/* Little-endian bits of a number as a double. */
static double as_number(gguf_kind kind, uint64_t bits) {
    float single;
    double wide;

    switch (kind) {
    case GGUF_I8: return (int8_t)bits;
    case GGUF_I16: return (int16_t)bits;
    case GGUF_I32: return (int32_t)bits;
    case GGUF_I64: return (double)(int64_t)bits;
    case GGUF_F32: {
        const uint32_t half = (uint32_t)bits;
        memcpy(&single, &half, sizeof(single));
        return (double)single;
    }
    case GGUF_F64: memcpy(&wide, &bits, sizeof(wide)); return wide;
    default: return (double)bits;
    }
}

static clora_status read_array(gguf_value *v, cursor *c) {
    clora_status status = CLORA_OK;
    uint64_t size;

    TRY(take_kind(&v->item, c, v->key));
    TRY(take_integer(&v->count, c, 8, "an array"));
    if (v->item == GGUF_ARRAY)
        TRY(clora_fail(CLORA_ERROR_UNSUPPORTED, "%s: the setting %.200s is an array of arrays", c->file->path, v->key));
    v->offset = c->at;
    if (v->count > left(c)) /* an item has a byte at least */
        TRY(truncated(c, "an array"));
    if (v->item != GGUF_TEXT)
        return skip(c, v->count * kind_size(v->item), "an array");
    for (uint64_t i = 0; i < v->count; i++) {
        TRY(take_integer(&size, c, 8, "an array"));
        TRY(skip(c, size, "an array"));
    }
done:
    return status;
}

static clora_status read_value(gguf_value *v, cursor *c) {
    clora_status status = CLORA_OK;
    uint64_t bits;

    TRY(take_text(&v->key, c, "a setting's name"));
    TRY(take_kind(&v->kind, c, v->key));
    if (v->kind == GGUF_ARRAY) {
        TRY(read_array(v, c));
    } else if (v->kind == GGUF_TEXT) {
        TRY(take_text(&v->text, c, "a setting"));
    } else {
        TRY(take_integer(&bits, c, kind_size(v->kind), "a setting"));
        v->number = as_number(v->kind, bits);
    }
done:
    return status;
}

static int compare_keys(const void *a, const void *b) {
    return strcmp(((const gguf_value *)a)->key, ((const gguf_value *)b)->key);
}

static int compare_names(const void *a, const void *b) {
    return strcmp(((const stored_tensor *)a)->name, ((const stored_tensor *)b)->name);
}

static clora_status read_values(gguf *file, cursor *c, uint64_t count) {
    clora_status status = CLORA_OK;

    if (count > left(c) / LEAST_VALUE)
        return truncated(c, "its settings");
    file->value = alloc_array((size_t)count + 1, sizeof(*file->value));
    if (!file->value)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory to read %s", file->path);
    for (; file->values < count; file->values++)
        if ((status = read_value(&file->value[file->values], c)) != CLORA_OK) {
            file->values++; /* what it has of it is freed */
            return status;
        }
    qsort(file->value, file->values, sizeof(*file->value), compare_keys);
    for (size_t i = 1; i < file->values; i++)
        if (compare_keys(&file->value[i - 1], &file->value[i]) == 0)
            return clora_fail(CLORA_ERROR_FORMAT, "%s: the setting %.200s is there twice", file->path,
                              file->value[i].key);
    return status;
}

static clora_status bad_tensor(const gguf *file, const stored_tensor *t, const char *what) {
    return clora_fail(CLORA_ERROR_FORMAT, "%s: tensor %s %s", file->path, t->name, what);
}

/* *bytes: of a tensor of this type. GGUF has the shortest step first. */
static clora_status read_shape(stored_tensor *t, size_t *bytes, cursor *c, const gguf_type *type,
                               const uint64_t ne[GGUF_DIMS]) {
    uint64_t elements = 1;

    for (int d = 0; d < t->ndim; d++) {
        if (ne[d] > INT64_MAX || __builtin_mul_overflow(elements, ne[d], &elements))
            return bad_tensor(c->file, t, "has a shape whose product overflows");
        t->shape[t->ndim - 1 - d] = (int64_t)ne[d];
    }
    if ((t->ndim > 0 ? ne[0] : 1) % (uint64_t)type->block != 0)
        return bad_tensor(c->file, t, "has rows that are no whole blocks of its type");
    if (__builtin_mul_overflow(elements / (uint64_t)type->block, (size_t)type->bytes, bytes))
        return bad_tensor(c->file, t, "has a shape whose product overflows");
    return CLORA_OK;
}

/* t->offset: from the beginning of the data. */
static clora_status read_tensor(stored_tensor *t, cursor *c) {
    clora_status status = CLORA_OK;
    uint64_t ndim, ne[GGUF_DIMS] = {0}, number, offset;
    char *name = NULL;

    TRY(take_text(&name, c, "a tensor's name"));
    t->name = name;
    if (strlen(name) >= GGUF_NAME_SIZE)
        TRY(clora_fail(CLORA_ERROR_FORMAT, "%s: the tensor's name %.200s has more than %d bytes", c->file->path, name,
                       GGUF_NAME_SIZE - 1));
    TRY(take_integer(&ndim, c, 4, "a tensor's shape"));
    if (ndim > GGUF_DIMS)
        TRY(bad_tensor(c->file, t, "has more than 4 dimensions"));
    t->ndim = (int)ndim;
    for (int d = 0; d < t->ndim; d++)
        TRY(take_integer(&ne[d], c, 8, "a tensor's shape"));
    TRY(take_integer(&number, c, 4, "a tensor's type"));
    TRY(take_integer(&offset, c, 8, "a tensor's place"));
    const gguf_type *type = gguf_type_find((uint32_t)number);
    if (!type)
        TRY(clora_fail(CLORA_ERROR_UNSUPPORTED, "%s: tensor %s has type number %" PRIu64 ", which clora does not know",
                       c->file->path, name, number));
    t->dtype_text = type->text;
    t->supported = type->supported;
    t->dtype = type->dtype;
    TRY(read_shape(t, &t->size, c, type, ne));
    t->offset = (size_t)offset;
done:
    return status;
}

/* Tensors follow each other in the order of their descriptions, each from a multiple of the alignment on. */
static clora_status place_tensors(gguf *file, size_t begin, size_t alignment) {
    size_t end = 0, last = 0;

    for (size_t i = 0; i < file->count; i++) {
        stored_tensor *t = &file->tensors[i];
        if (t->offset != end)
            return bad_tensor(file, t, "does not begin where the one before it ends");
        if (begin > file->map.size || end > file->map.size - begin || t->size > file->map.size - begin - end)
            return clora_fail(CLORA_ERROR_FORMAT, "%s: tensor %s ends after the file: truncated?", file->path, t->name);
        last = begin + end + t->size;
        t->offset += begin;
        t->data = t->size ? file->map.data + t->offset : NULL;
        end = round_up(end + t->size, alignment);
    }
    if (file->count > 0 && file->map.size - last >= alignment)
        return clora_fail(CLORA_ERROR_FORMAT, "%s: %zu bytes after the last tensor belong to none", file->path,
                          file->map.size - last);
    return CLORA_OK;
}

static clora_status read_tensors(gguf *file, cursor *c, uint64_t count) {
    clora_status status = CLORA_OK;
    double alignment;

    TRY(gguf_get_number(&alignment, file, "general.alignment", GGUF_ALIGNMENT));
    const uint32_t step = alignment >= 1 && alignment <= 1 << 20 ? (uint32_t)alignment : 0;
    if (step == 0 || (double)step != alignment || (step & (step - 1)) != 0)
        TRY(clora_fail(CLORA_ERROR_FORMAT, "%s: \"general.alignment\" is %g; it must be a power of two", file->path,
                       alignment));
    if (count > left(c) / LEAST_TENSOR)
        TRY(truncated(c, "the list of its tensors"));
    file->tensors = alloc_array((size_t)count + 1, sizeof(*file->tensors));
    if (!file->tensors)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory to read %s", file->path));
    while (file->count < count)
        TRY(read_tensor(&file->tensors[file->count++], c));
    TRY(place_tensors(file, round_up(c->at, step), step));
    qsort(file->tensors, file->count, sizeof(*file->tensors), compare_names);
    for (size_t i = 1; i < file->count; i++)
        if (compare_names(&file->tensors[i - 1], &file->tensors[i]) == 0)
            TRY(bad_tensor(file, &file->tensors[i], "is there twice"));
done:
    return status;
}

static clora_status read_all(gguf *file) {
    clora_status status = CLORA_OK;
    uint64_t version, tensors, values;
    cursor *c = calloc(1, sizeof(*c)); /* large for a stack */
    char magic[4];

    if (!c)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory to read %s", file->path);
    c->file = file;
    TRY(take(magic, c, sizeof(magic), "its first bytes"));
    if (memcmp(magic, "GGUF", sizeof(magic)) != 0)
        TRY(clora_fail(CLORA_ERROR_FORMAT, "%s: not a GGUF file: it does not begin with \"GGUF\"", file->path));
    TRY(take_integer(&version, c, 4, "its version"));
    if (version != 2 && version != 3)
        TRY(clora_fail(CLORA_ERROR_UNSUPPORTED, "%s: GGUF version %" PRIu64 "; clora reads 2 and 3", file->path,
                       version));
    TRY(take_integer(&tensors, c, 8, "its head"));
    TRY(take_integer(&values, c, 8, "its head"));
    TRY(read_values(file, c, values));
    TRY(read_tensors(file, c, tensors));
done:
    free(c);
    return status;
}

clora_status gguf_open(gguf **out, const char *path) {
    clora_status status = CLORA_OK;
    gguf *file = calloc(1, sizeof(*file));

    *out = NULL;
    if (!file)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory to read %s", path);
    file->fd = -1;
    file->path = alloc_string(path);
    if (!file->path)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory to read %s", path));
    TRY(file_map_open_keeping(&file->map, &file->fd, path));
    TRY(read_all(file));
    *out = file;
    file = NULL;
done:
    gguf_close(file);
    return status;
}

void gguf_close(gguf *file) {
    if (!file)
        return;
    file_map_close(&file->map);
    if (file->fd >= 0)
        close(file->fd);
    for (size_t i = 0; i < file->values; i++) {
        free(file->value[i].key);
        free(file->value[i].text);
    }
    for (size_t i = 0; i < file->count; i++)
        free((void *)(uintptr_t)file->tensors[i].name);
    free(file->value);
    free(file->tensors);
    free(file->path);
    free(file);
}

const gguf_value *gguf_find_value(const gguf *file, const char *key) {
    const gguf_value wanted = {.key = (char *)(uintptr_t)key};

    return file->values ? bsearch(&wanted, file->value, file->values, sizeof(wanted), compare_keys) : NULL;
}

const stored_tensor *gguf_find(const gguf *file, const char *name) {
    const stored_tensor wanted = {.name = name};

    return file->count ? bsearch(&wanted, file->tensors, file->count, sizeof(wanted), compare_names) : NULL;
}

static clora_status wrong_kind(const gguf *file, const char *key, const char *wanted) {
    return clora_fail(CLORA_ERROR_FORMAT, "%s: the setting %s is not %s", file->path, key, wanted);
}

clora_status gguf_get_text(const char **out, const gguf *file, const char *key, const char *fallback) {
    const gguf_value *v = gguf_find_value(file, key);

    *out = v ? v->text : fallback;
    return v && v->kind != GGUF_TEXT ? wrong_kind(file, key, "a text") : CLORA_OK;
}

clora_status gguf_get_number(double *out, const gguf *file, const char *key, double fallback) {
    const gguf_value *v = gguf_find_value(file, key);

    *out = v ? v->number : fallback;
    return v && (kind_size(v->kind) == 0 || v->kind == GGUF_BOOL) ? wrong_kind(file, key, "a number") : CLORA_OK;
}

clora_status gguf_read(void *out, const gguf *file, const stored_tensor *tensor, size_t at, size_t size) {
    return file_read_at(out, file->fd, tensor->offset + at, size, file->path);
}
