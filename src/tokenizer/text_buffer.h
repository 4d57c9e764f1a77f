#ifndef CLORA_TOKENIZER_TEXT_BUFFER_H
#define CLORA_TOKENIZER_TEXT_BUFFER_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "base/utf8.h"

/*
 * What the stages of one component may add to the texts they are given: stages come from a file, and one that doubles a
 * text can be listed many times. Far more than writing systems, blanks and bytes as characters ever take.
 */
typedef struct text_budget {
    const char *where; /* "path: component", for the message */
    size_t given;      /* bytes of text so far */
    size_t added;      /* bytes that stages have added to them */
} text_budget;

/* Bytes that grow. Zeroed is empty; not terminated. */
typedef struct text_buffer {
    char *data;
    size_t size, capacity;
    const text_budget *budget; /* where a stage writes into it; else NULL */
    size_t rewritten;          /* bytes that the stage was given */
} text_buffer;

clora_status text_append(text_buffer *buffer, const char *data, size_t size);
clora_status text_append_char(text_buffer *buffer, uint32_t c);
void text_drop_front(text_buffer *buffer, size_t size); /* the first size bytes go */
void text_finish(text_buffer *buffer);

/* Between the two, a stage writes into the buffer, anew, what had `size` bytes. An error when it adds too many. */
void text_begin(text_buffer *buffer, const text_budget *budget, size_t size);
clora_status text_end(const text_buffer *buffer, text_budget *budget);

/* The beginning of a text as a message may quote it: one line, whole characters, zero-terminated. */
#define TEXT_EXCERPT 64
const char *text_excerpt(char out[TEXT_EXCERPT], const char *text, size_t size);

/* Token ids that grow. */
typedef struct id_buffer {
    int32_t *data;
    size_t size, capacity;
} id_buffer;

clora_status id_append(id_buffer *buffer, int32_t id);
void id_finish(id_buffer *buffer);

#endif
