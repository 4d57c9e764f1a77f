#ifndef CLORA_EXCHANGE_ADAPTER_FORMAT_H
#define CLORA_EXCHANGE_ADAPTER_FORMAT_H

#include <clora/dtype.h>

#include "exchange/term_list.h"

/* What a format may need to know of the model that an adapter belongs to. */
typedef struct base_shape {
    const char *directory;  /* NULL: nothing is known */
    const char *model_type; /* as in config.json */
    int layers, heads, kv_heads;
    bool tied; /* the head is the embedding */
} base_shape;

/* A format of other programs. Rows stand in convert_adapter.c; a new one is a file with its reader and its writer. */
typedef struct adapter_format {
    /* Does the path look like one of this format? */
    bool (*is)(const char *path);
    /* All terms, checked; anything else in the files is refused by name. */
    clora_status (*read)(term_list *out, const char *path, const base_shape *base);
    /* *folded: the format has no place for the terms' scales, so that their factors B take them. They may change. */
    clora_status (*write)(bool *folded, term_list *list, const char *path, const base_shape *base, clora_dtype dtype);
} adapter_format;

extern const adapter_format peft_format, mlx_format, gguf_format;

#endif
