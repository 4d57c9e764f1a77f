/**
 * @file clora/adapter_cache.h
 * @brief Tier 3: more adapters than the device's memory holds, loaded when they are asked for.
 *
 * A server knows a thousand adapters of one model by name and uses a few at a time:
 *
 *     clora_adapter_cache_create(&cache, model, "adapters", &options);
 *     clora_adapter_cache_get(&request_options.adapter, cache, "poems");   reads adapters/poems, or has it already
 *     clora_engine_admit(&request, engine, ids, count, &request_options);
 *     clora_adapter_free(request_options.adapter);                         the request keeps it while it runs
 *
 * A cache is for one thread at a time.
 */
#ifndef CLORA_ADAPTER_CACHE_H
#define CLORA_ADAPTER_CACHE_H

#include <stddef.h>
#include <stdint.h>

#include <clora/adapter.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * @addtogroup tier3
 * @{
 */

/** Adapters of one model, by the names of their directories in one folder. */
typedef struct clora_adapter_cache clora_adapter_cache;

/** How to make a cache. */
typedef struct clora_adapter_cache_options {
    size_t size;     /**< of this struct, as the caller knows it */
    uint64_t memory; /**< bytes of device memory that its adapters take at most (default 0: no limit) */
} clora_adapter_cache_options;

/** The defaults of clora_adapter_cache_options. */
#define CLORA_ADAPTER_CACHE_OPTIONS_INIT \
    { sizeof(clora_adapter_cache_options), 0 }

/**
 * Make a cache, nothing in it. No adapter is read before it is asked for.
 *
 * @param[out] out        yours to free with clora_adapter_cache_free()
 * @param[in]  model      kept until the cache is freed
 * @param[in]  directory  whose directories are adapters of any method; copied
 * @param[in]  options    NULL for the defaults
 *
 * @return CLORA_OK; CLORA_ERROR_NOT_FOUND when there is no such directory
 */
CLORA_API clora_status clora_adapter_cache_create(clora_adapter_cache **out, clora_model *model, const char *directory,
                                                  const clora_adapter_cache_options *options);

/**
 * Free a cache. Adapters that others hold live on.
 *
 * @param[in] cache  NULL is allowed
 */
CLORA_API void clora_adapter_cache_free(clora_adapter_cache *cache);

/**
 * An adapter by its name. One that is not there is read, and where it does not fit, those that nobody but the cache
 * holds go first, the least recently asked for before others. What is there is not read again, whatever became of its
 * files. Waits when it reads.
 *
 * @param[out]    out    yours to free with clora_adapter_free(); in use until then, and as long as others hold it
 * @param[in,out] cache  has it afterwards
 * @param[in]     name   of a directory in the cache's own: no path
 *
 * @return CLORA_OK; CLORA_ERROR_MEMORY where it does not fit beside those in use: try again when one of them is let go;
 * CLORA_ERROR_ARGUMENT for a name that is a path or empty; else as clora_adapter_load(). What is in the cache stays
 */
CLORA_API clora_status clora_adapter_cache_get(clora_adapter **out, clora_adapter_cache *cache, const char *name);

/** What a cache has, and had to do. */
typedef struct clora_adapter_cache_info {
    size_t adapters;     /**< that are there */
    size_t in_use;       /**< of these, those that others hold too */
    uint64_t bytes;      /**< of device memory that they take */
    uint64_t peak_bytes; /**< the most that they took at once */
    uint64_t loads;      /**< adapters read */
    uint64_t evictions;  /**< adapters that went for others */
} clora_adapter_cache_info;

/**
 * What is in a cache now.
 *
 * @param[in] cache  NULL: zeros
 *
 * @return borrowed until the next call on the cache
 */
CLORA_API const clora_adapter_cache_info *clora_adapter_cache_get_info(clora_adapter_cache *cache);

/** @} */

#ifdef __cplusplus
}
#endif
#endif
