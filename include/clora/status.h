/**
 * @file clora/status.h
 * @brief Tier 0: status codes and the message that goes with the last failure.
 *
 * Every call that can fail returns a clora_status. The code says what kind of failure it was, for a program to act on;
 * the message says what, where and what to do next, for a person to read.
 *
 * A call's `@return` names the statuses that say something about its arguments or files. Besides, any call may return
 * CLORA_ERROR_ARGUMENT for a NULL that it cannot do without, CLORA_ERROR_MEMORY, and, when it uses the device,
 * CLORA_ERROR_OPENCL, or CLORA_ERROR_UNSUPPORTED in the child of a fork().
 *
 * A callback that returns non-zero ends the call that it was handed to, which then returns CLORA_CANCELLED and leaves
 * what there was by then: losses of what was measured, the text so far, an adapter as trained.
 *
 * A call that makes something sets its out pointer to NULL when it fails. Every call takes NULL for every pointer: it
 * fails where it needs what is not there, calls that free do nothing, and those that return a value answer with 0, NULL
 * or zeros, or with -1 where that means "none".
 *
 * Handles may be freed in any order and in any thread: what was made from a handle keeps it until it is freed itself.
 */
#ifndef CLORA_STATUS_H
#define CLORA_STATUS_H

#include <stdint.h>

/** Makes a declaration part of the library's interface; what lacks it is hidden. */
#if defined(__GNUC__)
#define CLORA_API __attribute__((visibility("default")))
#else
#define CLORA_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/**
 * @addtogroup tier0
 * @{
 */

/** Result of every call that can fail: zero on success, negative on failure, and positive when a callback ended it. */
typedef enum clora_status {
    CLORA_CANCELLED = 1,         /**< A callback said so; what there was by then is kept. */
    CLORA_OK = 0,                /**< Done. */
    CLORA_ERROR_ARGUMENT = -1,   /**< A value the caller passed is not allowed. */
    CLORA_ERROR_SHAPE = -2,      /**< Tensors do not fit together. */
    CLORA_ERROR_MEMORY = -3,     /**< Host or device memory ran out. */
    CLORA_ERROR_NOT_FOUND = -4,  /**< No such device, file, tensor or module. */
    CLORA_ERROR_FORMAT = -5,     /**< A file is not what it says it is. */
    CLORA_ERROR_IO = -6,         /**< The system failed to read or write. */
    CLORA_ERROR_OPENCL = -7,     /**< An OpenCL call failed; the message names it. */
    CLORA_ERROR_UNSUPPORTED = -8 /**< Valid, but not on this device or for this model. */
} clora_status;

/**
 * Name of a status, such as "CLORA_ERROR_SHAPE".
 *
 * @param[in] status  any number
 *
 * @return a static text, "unknown status" for other numbers; never NULL
 */
CLORA_API const char *clora_status_name(clora_status status);

/**
 * What went wrong in this thread's last failed call.
 *
 * NULL where a handle or another pointer is needed is CLORA_ERROR_ARGUMENT and never a crash. The message then names
 * the parameter and repeats why the handle could not be made: "clora_train: model is NULL; earlier: models/tiny: no
 * such directory". So a short program may leave out its checks and ask once, at its end. The failure repeated is the
 * first of a call that makes a handle in this thread; it is forgotten when such a call returns after
 * clora_last_error() was asked.
 *
 * @return never NULL, "" before the first failure; borrowed, valid until the thread's next failure
 */
CLORA_API const char *clora_last_error(void);

/** Why something ended before all that it could have done. Others may come. */
typedef enum clora_stop_reason {
    CLORA_STOP_NONE = 0,      /**< nothing did: it goes on, or all is done */
    CLORA_STOP_EOS = 1,       /**< an end token: the model's, the tokenizer's or one of stop_ids */
    CLORA_STOP_TEXT = 2,      /**< one of the stop texts */
    CLORA_STOP_LENGTH = 3,    /**< max_tokens */
    CLORA_STOP_CAPACITY = 4,  /**< the sequence or slot is full */
    CLORA_STOP_CANCELLED = 5, /**< a callback or a call that cancels */
    CLORA_STOP_FAILED = 6,    /**< it could not go on */
    CLORA_STOP_BUDGET = 7     /**< its time was over */
} clora_stop_reason;

/**
 * A reason in a word, as the command's JSON has it.
 *
 * @param[in] reason  any number
 *
 * @return a static text: "none", "eos", "text", "length" (also of a full sequence), "cancelled", "failed", "budget";
 * "unknown" for other numbers
 */
CLORA_API const char *clora_stop_reason_name(clora_stop_reason reason);

/**
 * Told now and then how far a call is: one that loads or merges in bytes, one that evaluates in sequences.
 *
 * @param[in] user   as handed to the call
 * @param[in] done   so far
 * @param[in] total  of all
 *
 * @return non-zero to stop
 */
typedef int (*clora_progress)(void *user, int64_t done, int64_t total);

/**
 * Told, in one line, what a call did besides its work, such as removing files that a killed run had left, or what it
 * found, such as parameters that were tuned with another driver. Must not call clora.
 *
 * @param[in] user  as handed to clora_set_note()
 * @param[in] line  without a line end; borrowed during the call
 */
typedef void (*clora_note_callback)(void *user, const char *line);

/**
 * Have all such notes told to one callback, in the thread that makes the call: also those of contexts that have no log
 * of their own (clora_tune_set_log()). Set it before other threads call the library.
 *
 * @param[in] callback  of the whole process; NULL, the default, tells them to nobody
 * @param[in] user      handed to the callback; borrowed
 */
CLORA_API void clora_set_note(clora_note_callback callback, void *user);

/** @} */

#ifdef __cplusplus
}
#endif
#endif
