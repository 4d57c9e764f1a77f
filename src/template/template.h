#ifndef CLORA_TEMPLATE_TEMPLATE_H
#define CLORA_TEMPLATE_TEMPLATE_H

#include <time.h>

#include <jansson.h>
#include <stdbool.h>

#include "base/status.h"

/*
 * Chat templates: the part of Jinja that they use, with the output of Hugging Face's transformers to the byte.
 * Templates come from anyone, so that time, memory and depth are bounded; what is not supported is an error that names
 * it and its line. A template never changes: any number of threads may render it at once.
 */
typedef struct template template;

/* `name` is a file's, for messages; an error has the line. */
clora_status template_parse(template **out, const char *name, const char *source, size_t size);
void template_free(template *t); /* NULL is allowed */

typedef struct template_options {
    time_t now; /* for strftime_now() */
    bool utc;   /* there: in UTC, else in the local time */
} template_options;

/* Bytes of a text that a model is to learn: what stood between {% generation %} and its end. */
typedef struct template_range {
    size_t from, to;
} template_range;

typedef struct template_result {
    char *text; /* (size)  zero-terminated besides */
    size_t size;
    template_range *learnt;
    size_t learnt_count, learnt_room;
} template_result;

/* Render with the values of an object; the result is to be finished also after an error. */
clora_status template_render(template_result *out, const template *t, const json_t *values,
                             const template_options *options);
void template_result_finish(template_result *result);

/* Does it mark what is learnt? */
bool template_marks(const template *t);

#endif
