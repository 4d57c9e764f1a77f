#ifndef CLORA_INFER_OUTPUT_H
#define CLORA_INFER_OUTPUT_H

#include <stdbool.h>

#include <clora/generate.h>

/*
 * The new text of a generation: collected, searched for stop texts, and streamed. Special tokens are searched as they
 * are written, though the text leaves them out. What could be the beginning of a stop text is held back until it is
 * sure not to be one.
 */
typedef struct output {
    char *text; /* what is sure, and sent */
    size_t size, capacity;
    char *held;  /* what comes next, special tokens included */
    bool *shown; /* which bytes of held belong to the text */
    size_t held_size, held_capacity, shown_capacity;
    const char *const *stop; /* NULL-terminated, or NULL */
    bool stopped;            /* a stop text was found: nothing more is taken */
    clora_text_callback callback;
    void *user;
    bool cancelled; /* the callback asked to stop */
} output;

/* Add a piece of the text. */
clora_status output_add(output *o, const char *piece, size_t size);

/* Add a special token, which is searched and not shown. */
clora_status output_add_special(output *o, const char *token, size_t size);

/* Send what was held back. */
clora_status output_flush(output *o);

void output_finish(output *o);

#endif
