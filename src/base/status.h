#ifndef CLORA_BASE_STATUS_H
#define CLORA_BASE_STATUS_H

#include <clora/status.h>

/*
 * Record a message for clora_last_error() and return the code: setting and returning are one expression. Names in it
 * may come from anyone's file: control characters are written as escapes, and the message is one line.
 */
clora_status clora_fail(clora_status code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Put words before the message that is there ("adapter x: ...") and return the code. */
clora_status clora_fail_within(clora_status code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Put lines below the message that is there, as they are (a compiler's log), and return the code. */
clora_status clora_fail_below(clora_status code, const char *lines);

/* "clora_train: model is NULL", then why there is none, if that is known (clora_keep_cause). */
clora_status clora_fail_null(const char *function, const char *parameter);

/* A public call begins: a pointer that it cannot do without is there. */
#define NEED(pointer)                                   \
    do {                                                \
        if (!(pointer))                                 \
            return clora_fail_null(__func__, #pointer); \
    } while (0)

/*
 * A public call that makes a handle ends, with this status: when it failed, its message goes with the NULLs that follow
 * from it. The first such message stays until the program has asked for one and the next handle is made.
 */
clora_status clora_keep_cause(clora_status status);

/* Leave by the function's one exit, carrying the first failure. */
#define TRY(call)                          \
    do {                                   \
        if ((status = (call)) != CLORA_OK) \
            goto done;                     \
    } while (0)

#endif
