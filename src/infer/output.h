#ifndef CLORA_INFER_OUTPUT_H
#define CLORA_INFER_OUTPUT_H

#include <stdbool.h>

#include <clora/generate.h>

/*
 * The new text of a generation: collected, searched for stop texts, and streamed. What could be the beginning of a stop
 * text is held back until it is sure not to be one.
 */
typedef struct output {
    char *text;
    size_t size, capacity, sent;
    const char *const *stop; /* NULL-terminated, or NULL */
    clora_text_callback callback;
    void *user;
    bool cancelled; /* the callback asked to stop */
} output;

/* Add a piece. *found: a stop text is complete; the text ends before it. */
clora_status output_add(output *o, const char *piece, size_t size, bool *found);

/* Send what was held back. */
void output_flush(output *o);

void output_finish(output *o);

#endif
