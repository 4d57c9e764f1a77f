#include "tokenizer/text_buffer.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

#define BUDGET_TIMES 64
#define BUDGET_BESIDES ((size_t)1 << 20)

/* Has the stage added more than is left? */
static clora_status check_budget(const text_buffer *buffer, size_t size) {
    const text_budget *budget = buffer->budget;
    const size_t most = SIZE_MAX / 4; /* so that sums with it do not overflow */
    const size_t allowed = budget->given < most / BUDGET_TIMES ? BUDGET_TIMES * budget->given : most;

    if (size <= buffer->rewritten || size - buffer->rewritten <= allowed + BUDGET_BESIDES - budget->added)
        return CLORA_OK;
    return clora_fail(CLORA_ERROR_FORMAT, "%s: its members make a text more than %d times as long", budget->where,
                      BUDGET_TIMES);
}

void text_begin(text_buffer *buffer, const text_budget *budget, size_t size) {
    buffer->size = 0;
    buffer->budget = budget;
    buffer->rewritten = size;
}

clora_status text_end(const text_buffer *buffer, text_budget *budget) {
    clora_status status = check_budget(buffer, buffer->size);

    if (status == CLORA_OK && buffer->size > buffer->rewritten)
        budget->added += buffer->size - buffer->rewritten;
    return status;
}

clora_status text_append(text_buffer *buffer, const char *data, size_t size) {
    size_t needed;

    if (size == 0)
        return CLORA_OK;
    if (!size_add(buffer->size, size, &needed))
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for a text of that size");
    if (needed > buffer->capacity) {
        clora_status status = buffer->budget ? check_budget(buffer, needed) : CLORA_OK;
        if (status == CLORA_OK)
            status = alloc_grow((void **)&buffer->data, &buffer->capacity, needed, 1);
        if (status != CLORA_OK)
            return status;
    }
    memcpy(buffer->data + buffer->size, data, size);
    buffer->size = needed;
    return CLORA_OK;
}

clora_status text_append_char(text_buffer *buffer, uint32_t c) {
    char bytes[4];

    return text_append(buffer, bytes, utf8_write(bytes, c));
}

void text_drop_front(text_buffer *buffer, size_t size) {
    if (size == 0)
        return;
    buffer->size -= size;
    memmove(buffer->data, buffer->data + size, buffer->size);
}

void text_finish(text_buffer *buffer) {
    free(buffer->data);
    memset(buffer, 0, sizeof(*buffer));
}

const char *text_excerpt(char out[TEXT_EXCERPT], const char *text, size_t size) {
    size_t n = 0, length;
    bool complete;

    for (size_t i = 0; i < size; i += length) {
        length = utf8_prefix(text + i, size - i, &complete);
        if (!complete)
            length = 1;
        if (n + length + 4 > TEXT_EXCERPT) {
            memcpy(out + n, "...", 3);
            n += 3;
            break;
        }
        if (complete && (unsigned char)text[i] >= 0x20 && text[i] != 0x7f)
            memcpy(out + n, text + i, length);
        else
            memset(out + n, '?', length);
        n += length;
    }
    out[n] = '\0';
    return out;
}

clora_status id_append(id_buffer *buffer, int32_t id) {
    if (buffer->size == buffer->capacity) {
        clora_status status =
            alloc_grow((void **)&buffer->data, &buffer->capacity, buffer->size + 1, sizeof(*buffer->data));
        if (status != CLORA_OK)
            return status;
    }
    buffer->data[buffer->size++] = id;
    return CLORA_OK;
}

void id_finish(id_buffer *buffer) {
    free(buffer->data);
    memset(buffer, 0, sizeof(*buffer));
}
