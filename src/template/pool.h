#ifndef CLORA_TEMPLATE_POOL_H
#define CLORA_TEMPLATE_POOL_H

#include <stddef.h>

#include "base/status.h"

/* Memory that is freed all at once. Templates come from anyone: one that wants more than `limit` gets an error. */
typedef struct pool {
    struct pool_chunk *chunk;
    size_t used, taken, limit; /* of the chunk; of all */
} pool;

/* Zeroed bytes, aligned for any type. */
clora_status pool_take(void *out, pool *p, size_t count, size_t size);

/* A copy of bytes, zero-terminated besides. */
clora_status pool_copy(const char **out, pool *p, const char *data, size_t size);

void pool_finish(pool *p);

#endif
