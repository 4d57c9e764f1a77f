/**
 * @file clora/tune.h
 * @brief Tier 1: the parameters that kernels run with, measured once for a device and a shape and kept on disk.
 *
 * A context takes what `clora tune` or clora_tune_run() has found from the cache directory: $CLORA_CACHE_DIR, else
 * $XDG_CACHE_HOME/clora, else ~/.cache/clora. Nothing is ever measured unless it is asked for. docs/tuning.md says how
 * it works.
 */
#ifndef CLORA_TUNE_H
#define CLORA_TUNE_H

#include <clora/context.h>
#include <clora/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * @addtogroup tier1
 * @{
 */

/** What a context does with measured parameters. The variable CLORA_TUNE (off, use) sets the mode of new contexts. */
typedef enum clora_tune_mode {
    CLORA_TUNE_MODE_OFF = 0, /**< analytic defaults and what was set by hand */
    CLORA_TUNE_MODE_USE = 1, /**< the cache directory and the tables that ship with clora (default) */
    CLORA_TUNE_MODE_TUNE = 2 /**< the same, and shapes that have no entry are noted for clora_tune_plan_noted() */
} clora_tune_mode;

/** Where parameters come from, in the order of trust. */
typedef enum clora_tune_source {
    CLORA_TUNE_SOURCE_DEFAULT = 0, /**< a rule on what the device says of itself */
    CLORA_TUNE_SOURCE_SIMILAR = 1, /**< measured for a shape or rank nearby */
    CLORA_TUNE_SOURCE_SHIPPED = 2, /**< a table that ships with clora */
    CLORA_TUNE_SOURCE_OLDER = 3,   /**< measured here with another driver or number of compute units: tune again */
    CLORA_TUNE_SOURCE_EXACT = 4,   /**< measured here */
    CLORA_TUNE_SOURCE_SET = 5      /**< set by hand */
} clora_tune_source;

/**
 * A source in words.
 *
 * @param[in] source  any number
 *
 * @return a static text, such as "exact entry"; never NULL
 */
CLORA_API const char *clora_tune_source_name(clora_tune_source source);

/** What parameters are chosen for. Sizes that a kernel does not have are 0. */
typedef struct clora_tune_key {
    const char *kernel; /**< its name in the registry (docs/kernels.md), such as "matmul_panel" */
    int dtype;          /**< storage of the weight: a clora_storage */
    int M;              /**< rows; entries are kept for buckets 1, 2, 4, 8, 16, 64, 256, ... */
    int N;              /**< outputs */
    int K;              /**< inputs */
    int R;              /**< rank */
} clora_tune_key;

enum {
    CLORA_TUNE_PARAMETERS = 8 /**< most parameters of a kernel */
};

/** Parameters at a key, and what is known of their speed. */
typedef struct clora_tune_entry {
    size_t size;                             /**< of this struct, as the caller knows it */
    clora_tune_key key;                      /**< M is the bucket */
    clora_tune_source source;                /**< where they come from */
    int parameters;                          /**< number of them */
    const char *name[CLORA_TUNE_PARAMETERS]; /**< (parameters)  static when clora fills it in */
    int value[CLORA_TUNE_PARAMETERS];        /**< (parameters) */
    double seconds;                          /**< median of one run, 0 when it was not measured */
    double minimum;                          /**< shortest run, in seconds */
    double spread;                           /**< quarter to three quarters of the runs, relative to the median */
    int count;                               /**< timings in it */
    double default_seconds;                  /**< median of the default, measured in turns with this one */
    double flops;                            /**< operations of one run, as many as it needs at least */
    double bytes;                            /**< bytes that one run reads and writes at least */
    char date[32];                           /**< of the measurement, UTC */
} clora_tune_entry;

/** A clora_tune_entry to fill. */
#define CLORA_TUNE_ENTRY_INIT                                                                                         \
    {                                                                                                                 \
        sizeof(clora_tune_entry), {NULL, 0, 0, 0, 0, 0}, CLORA_TUNE_SOURCE_DEFAULT, 0, {NULL}, {0}, 0.0, 0.0, 0.0, 0, \
            0.0, 0.0, 0.0, ""                                                                                         \
    }

/**
 * Change the mode. Before other threads use the context.
 *
 * @param[in,out] context  NULL is allowed
 * @param[in]     mode     a number that is none changes nothing
 */
CLORA_API void clora_tune_set_mode(clora_context *context, clora_tune_mode mode);

/**
 * The parameters that a kernel runs with at a key, and where they come from. Any thread.
 *
 * @param[out] out      overwritten
 * @param[in]  context  reads its cache directory at the first use
 * @param[in]  key      what they are for
 *
 * @return CLORA_OK; CLORA_ERROR_NOT_FOUND when there is no such kernel
 */
CLORA_API clora_status clora_tune_lookup(clora_tune_entry *out, clora_context *context, const clora_tune_key *key);

/**
 * Set parameters by hand, for this context only. Any thread.
 *
 * @param[in,out] context  uses them from now on
 * @param[in]     entry    its key, parameters, name and value are read; begins as CLORA_TUNE_ENTRY_INIT
 *
 * @return CLORA_OK; CLORA_ERROR_NOT_FOUND when there is no such kernel, CLORA_ERROR_ARGUMENT for a value that it does
 * not take here, or when one of its parameters is not given or given twice
 */
CLORA_API clora_status clora_tune_set(clora_context *context, const clora_tune_entry *entry);

/**
 * Called with a line for people: a file that cannot be used, parameters of another driver in use, kernels that failed
 * the device's self-check (clora_context_create()), or where a kernel's parameters come from. It must not call clora.
 *
 * @param[in] user  as handed to clora_tune_set_log()
 * @param[in] line  without a line end; borrowed during the call
 */
typedef void (*clora_tune_log)(void *user, const char *line);

/**
 * Hear of bad files in the cache, once of parameters that were tuned with another driver or number of compute units,
 * and, when `verbose`, of each kernel's parameters at their first use. Set it right after the context was made, for the
 * cache is read at the first use.
 *
 * @param[in,out] context  NULL is allowed
 * @param[in]     log      NULL, the default: the callback of clora_set_note() is told
 * @param[in]     user     handed to the log; borrowed
 * @param[in]     verbose  1: tell of every kernel
 */
CLORA_API void clora_tune_set_log(clora_context *context, clora_tune_log log, void *user, int verbose);

/* ---- what launches take ---- */

/**
 * The kernels that a context was asked for so far and the parameters that they run with, at each shape, and the choices
 * between kernels: what decides, with the driver and the kernels themselves, which bits come out. A snapshot. Any
 * thread.
 */
typedef struct clora_launch_plan clora_launch_plan;

/**
 * Take a plan of what a context has launched, or was asked for to choose between launches, since it was made. The same
 * calls on the same device with the same tuned parameters give the same plan. Does not wait. Any thread.
 *
 * @param[out] out      yours to free with clora_launch_plan_free()
 * @param[in]  context  goes on as it was
 *
 * @return CLORA_OK or CLORA_ERROR_MEMORY
 */
CLORA_API clora_status clora_launch_plan_create(clora_launch_plan **out, clora_context *context);

/**
 * Free a plan.
 *
 * @param[in] plan  NULL is allowed
 */
CLORA_API void clora_launch_plan_free(clora_launch_plan *plan);

/**
 * The plan in lines: first the path of the products, then, in the order of their texts, each kernel with storage type,
 * shape (rows are a bucket) and parameters.
 *
 * @param[in] plan  NULL gives NULL
 *
 * @return borrowed from the plan
 */
CLORA_API const char *clora_launch_plan_text(const clora_launch_plan *plan);

/**
 * A hash of the text, 128 bits as 32 hexadecimal digits: two runs with the same hash launched the same kernels with the
 * same parameters.
 *
 * @param[in] plan  NULL gives NULL
 *
 * @return borrowed from the plan
 */
CLORA_API const char *clora_launch_plan_hash(const clora_launch_plan *plan);

/**
 * Do two runs launch alike, as far as both have come? Kernels and shapes that only one of them had are passed over.
 *
 * @param[in] plan  of this run
 * @param[in] text  of the other: clora_launch_plan_text()
 *
 * @return CLORA_OK; CLORA_ERROR_ARGUMENT names the first kernel and shape with other parameters
 */
CLORA_API clora_status clora_launch_plan_compare(const clora_launch_plan *plan, const char *text);

/* ---- measuring ---- */

/** What is to be measured. Free with clora_tune_plan_free(). One thread at a time. */
typedef struct clora_tune_plan clora_tune_plan;

/** The use that a model is tuned for. */
typedef struct clora_tune_use {
    size_t size;    /**< of this struct, as the caller knows it */
    int rank;       /**< of the adapter; 0: none. Of method adapter its columns, of prefix and prompt its positions */
    int batch_size; /**< sequences in a training step (default 4) */
    int max_length; /**< tokens of a sequence in training, and of a prompt (default 64) */
    int train;      /**< 1: forward, backward and update (default 1) */
    int generate;   /**< 1: prompts and one token at a time (default 1) */
    int dtype;      /**< storage of the weights: a clora_storage, or -1 for the files' own (default -1) */
    const char *method; /**< what trains, as clora_adapter_method() says; NULL: lora (default) */
} clora_tune_use;

/** The defaults of clora_tune_use. */
#define CLORA_TUNE_USE_INIT \
    { sizeof(clora_tune_use), 8, 4, 64, 1, 1, -1, NULL }

/**
 * Make an empty plan.
 *
 * @param[out] out      yours to free with clora_tune_plan_free()
 * @param[in]  context  whose device is measured; kept until the plan is freed
 *
 * @return CLORA_OK or CLORA_ERROR_MEMORY
 */
CLORA_API clora_status clora_tune_plan_create(clora_tune_plan **out, clora_context *context);

/**
 * Free a plan.
 *
 * @param[in] plan  NULL is allowed
 */
CLORA_API void clora_tune_plan_free(clora_tune_plan *plan);

/**
 * Add every shape that a model in this use has. Reads config.json and the files' headers, no weights; takes the device
 * memory that the use takes while it lasts.
 *
 * @param[in,out] plan       grows
 * @param[in]     directory  as for clora_model_load()
 * @param[in]     use        NULL for the defaults
 *
 * @return CLORA_OK; CLORA_ERROR_ARGUMENT for a use that the model does not allow or a method that there is not, and as
 * clora_model_load()
 */
CLORA_API clora_status clora_tune_plan_model(clora_tune_plan *plan, const char *directory, const clora_tune_use *use);

/**
 * Add the products of one weight (N, K).
 *
 * @param[in,out] plan  grows
 * @param[in]     N     outputs, at least 1
 * @param[in]     K     inputs, at least 1
 * @param[in]     use   NULL for the defaults; without a dtype, f32
 *
 * @return CLORA_OK; CLORA_ERROR_ARGUMENT for a size or a use that is none
 */
CLORA_API clora_status clora_tune_plan_shape(clora_tune_plan *plan, int N, int K, const clora_tune_use *use);

/**
 * Add the shapes that the context noted in the mode CLORA_TUNE_MODE_TUNE, which forgets them.
 *
 * @param[in,out] plan  grows
 *
 * @return CLORA_OK or CLORA_ERROR_MEMORY
 */
CLORA_API clora_status clora_tune_plan_noted(clora_tune_plan *plan);

/** One thing to measure. */
typedef struct clora_tune_task {
    clora_tune_key key; /**< what for */
    double launches;    /**< in one step of each use */
    int configurations; /**< in the whole space */
    int is_done;        /**< 1: there is an exact entry */
} clora_tune_task;

/**
 * Number of things to measure.
 *
 * @param[in] plan  NULL: 0
 *
 * @return tasks
 */
CLORA_API int clora_tune_plan_count(const clora_tune_plan *plan);

/**
 * One thing to measure.
 *
 * @param[in] plan  NULL: zeros
 * @param[in] i     0 to clora_tune_plan_count() - 1; another: zeros
 *
 * @return in the order in which they were added; borrowed until the next call on the plan
 */
CLORA_API const clora_tune_task *clora_tune_plan_task(clora_tune_plan *plan, int i);

/** How measuring goes on. */
typedef struct clora_tune_state {
    const char *text; /**< what is measured now, or what happened; borrowed during the call */
    int is_event;     /**< 1: something to keep on the screen, such as a configuration that crashed */
    int task;         /**< number of the task in hand, from 1 */
    int tasks;        /**< how many there are */
    int measured;     /**< configurations so far */
    double best;      /**< time of the best so far in this task relative to the default, 0: none yet */
    double elapsed;   /**< seconds so far */
    double budget;    /**< seconds in all, 0: no limit */
} clora_tune_state;

/**
 * Called now and then while measuring.
 *
 * @param[in] user   of clora_tune_options
 * @param[in] state  borrowed during the call
 *
 * @return non-zero to stop
 */
typedef int (*clora_tune_progress)(void *user, const clora_tune_state *state);

/** How to measure. */
typedef struct clora_tune_options {
    size_t size;   /**< of this struct, as the caller knows it */
    double budget; /**< seconds in all, at least 0 (default 180) */
    int full;      /**< 1: every configuration of each space, and no budget (default 0) */
    int again;     /**< 1: what has an exact entry as well (default 0) */
    double limit;  /**< seconds, above 0, that one configuration may take to compile, and again to run (default 30) */
    const char *const *worker;    /**< command that calls clora_tune_worker(), NULL-terminated; NULL: in this process
                                    (default), where a kernel that crashes or hangs takes the program with it */
    clora_tune_progress progress; /**< told how far it is (default NULL) */
    void *user;                   /**< handed to progress; borrowed (default NULL) */
} clora_tune_options;

/** The defaults of clora_tune_options. */
#define CLORA_TUNE_OPTIONS_INIT \
    { sizeof(clora_tune_options), 180.0, 0, 0, 30.0, NULL, NULL, NULL }

/** What came of it. */
typedef struct clora_tune_result {
    size_t size;            /**< of this struct, as the caller knows it */
    int tasks;              /**< asked for */
    int done;               /**< of these, with an exact entry now */
    int found_before;       /**< of these, done when it began */
    int improved;           /**< entries that are faster than the default */
    int measured;           /**< configurations that were timed */
    int failed;             /**< configurations that crashed, hung or were wrong */
    double seconds;         /**< that it took */
    double before;          /**< device seconds of one step of every use with all defaults */
    double after;           /**< the same with what was found */
    clora_stop_reason stop; /**< by the callback, the budget, or failures in a row: CLORA_STOP_FAILED */
} clora_tune_result;

/** A clora_tune_result to fill. */
#define CLORA_TUNE_RESULT_INIT \
    { sizeof(clora_tune_result), 0, 0, 0, 0, 0, 0, 0.0, 0.0, 0.0, CLORA_STOP_NONE }

/**
 * Measure what a plan holds, the most time-consuming first, and keep what was found on disk and in the context. Waits.
 * A budget that runs out is no error; what was found is kept however it ends.
 *
 * @param[out]    out      overwritten: what came of it, also when it fails
 * @param[in,out] plan     its context takes what was found; the tasks stay
 * @param[in]     options  NULL for the defaults
 *
 * @return CLORA_OK; CLORA_CANCELLED when progress stopped it; CLORA_ERROR_IO when the cache directory cannot be
 * written, CLORA_ERROR_ARGUMENT for a budget or limit outside its bounds
 */
CLORA_API clora_status clora_tune_run(clora_tune_result *out, clora_tune_plan *plan, const clora_tune_options *options);

/**
 * Serve a parent that measures in isolation, until it closes its end. The program of clora_tune_options.worker calls
 * this and then ends. Waits.
 *
 * @param[in] device  as for clora_context_create(); the one that the parent measures
 * @param[in] in      file descriptor that requests are read from
 * @param[in] out     file descriptor that answers are written to
 *
 * @return CLORA_OK when the parent has finished; CLORA_ERROR_FORMAT for a request that is none, and as
 * clora_context_create()
 */
CLORA_API clora_status clora_tune_worker(const char *device, int in, int out);

/* ---- what is on disk ---- */

/**
 * The cache directory's entries for the context's environment: its device, driver, number of compute units and this
 * clora's kernels. Any thread.
 *
 * @param[out] out      (count) pointers, yours to free with free(), all in one; NULL when there are none
 * @param[out] count    number of entries
 * @param[in]  context  not NULL
 *
 * @return CLORA_OK, also when there are none or no cache directory; files that cannot be used are logged
 */
CLORA_API clora_status clora_tune_entries(const clora_tune_entry ***out, size_t *count, clora_context *context);

/**
 * Every configuration that was ever measured in this environment, in that order. Any thread.
 *
 * @param[out] out      (count) pointers, yours to free with free(), all in one; `seconds` is 0 where a configuration
 *                      could not be used
 * @param[out] count    number of measurements
 * @param[in]  context  not NULL
 *
 * @return CLORA_OK; CLORA_ERROR_IO when the system cannot read the journal
 */
CLORA_API clora_status clora_tune_measurements(const clora_tune_entry ***out, size_t *count, clora_context *context);

/** What became of an entry that was checked again. */
typedef struct clora_tune_check {
    const clora_tune_entry *entry; /**< its speed and the default's as measured now, in turns */
    int is_right;                  /**< 0: it was deleted, and `why` says what was wrong */
    const char *why;               /**< "" for nothing; borrowed during the call */
} clora_tune_check;

/**
 * Called for each entry that was checked.
 *
 * @param[in] user   as handed to clora_tune_verify()
 * @param[in] check  borrowed during the call
 *
 * @return non-zero to stop
 */
typedef int (*clora_tune_check_callback)(void *user, const clora_tune_check *check);

/**
 * Check the results of every entry again, time it against the default and delete it where it is wrong. Waits.
 *
 * @param[out] wrong     entries that were deleted
 * @param[in]  context   not NULL
 * @param[in]  options   its limit and worker are used; NULL for the defaults
 * @param[in]  callback  told of each entry; NULL for none
 * @param[in]  user      handed to the callback; borrowed
 *
 * @return CLORA_OK; CLORA_CANCELLED when the callback stopped it; CLORA_ERROR_ARGUMENT for a limit that is not above 0,
 * CLORA_ERROR_IO when the worker cannot be started
 */
CLORA_API clora_status clora_tune_verify(int *wrong, clora_context *context, const clora_tune_options *options,
                                         clora_tune_check_callback callback, void *user);

/**
 * The directory of this context's environment in the cache directory.
 *
 * @param[in] context  NULL: NULL
 *
 * @return borrowed, lives as long as the context; it may not be there yet; NULL when there is no place for a cache
 */
CLORA_API const char *clora_tune_directory(clora_context *context);

/**
 * Write every entry and every measurement as T4 JSON, which Kernel Tuner and KTT read.
 *
 * @param[in] context  not NULL
 * @param[in] path     of the file, which is replaced
 *
 * @return CLORA_OK; CLORA_ERROR_NOT_FOUND when the directory above it is not there, CLORA_ERROR_IO when the system
 * cannot write
 */
CLORA_API clora_status clora_tune_export(clora_context *context, const char *path);

/**
 * Write the entries alone, as the table that clora ships for a device of this name (docs/tuning.md).
 *
 * @param[in] context  not NULL
 * @param[in] path     of the file, which is replaced
 *
 * @return as clora_tune_export(); CLORA_ERROR_NOT_FOUND also when there are no entries
 */
CLORA_API clora_status clora_tune_export_table(clora_context *context, const char *path);

/**
 * Take over the entries of a file of clora_tune_export(), for this device. Those whose kernel or values this clora does
 * not have are left out and logged.
 *
 * @param[out]    count    entries taken over
 * @param[in,out] context  uses them from now on
 * @param[in]     path     of the file
 *
 * @return CLORA_OK; CLORA_ERROR_NOT_FOUND without such a file, CLORA_ERROR_FORMAT when it is not T4 JSON,
 * CLORA_ERROR_IO when the cache directory cannot be written
 */
CLORA_API clora_status clora_tune_import(int *count, clora_context *context, const char *path);

/**
 * Delete unusable entries of this environment, and with `others` the directories of all other environments: other
 * devices, drivers, numbers of compute units and versions of clora.
 *
 * @param[out] directories  directories that were deleted
 * @param[out] files        entries that were deleted
 * @param[in]  context      not NULL
 * @param[in]  others       1: other environments too
 *
 * @return CLORA_OK, also when something could not be deleted
 */
CLORA_API clora_status clora_tune_prune(int *directories, int *files, clora_context *context, int others);

/** @} */

#ifdef __cplusplus
}
#endif
#endif
