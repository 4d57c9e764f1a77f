#include "base/status.h"

#include <clora/version.h>

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/c_locale.h"
#include "base/plain.h"

enum { MESSAGE_SIZE = 4096 };

static _Thread_local char message[MESSAGE_SIZE];
static _Thread_local char cause[MESSAGE_SIZE]; /* why a handle could not be made; "": none failed */
static _Thread_local bool cause_is_known;      /* clora_last_error() was asked since */

clora_status clora_fail(clora_status code, const char *format, ...) {
    char text[MESSAGE_SIZE]; /* an argument may be the old message itself */
    va_list args;

    va_start(args, format);
    c_locale_format(text, sizeof(text), format, args);
    va_end(args);
    plain_copy(message, sizeof(message), text);
    return code;
}

clora_status clora_fail_within(clora_status code, const char *format, ...) {
    char text[MESSAGE_SIZE], old[MESSAGE_SIZE];
    va_list args;

    va_start(args, format);
    c_locale_format(text, sizeof(text), format, args);
    va_end(args);
    memcpy(old, message, sizeof(old));
    const size_t used = plain_copy(message, sizeof(message), text);
    snprintf(message + used, sizeof(message) - used, ": %s", old);
    return code;
}

clora_status clora_fail_below(clora_status code, const char *lines) {
    const size_t used = strlen(message);

    snprintf(message + used, sizeof(message) - used, "\n%s", lines);
    return code;
}

static void append(const char *text) {
    strncat(message, text, sizeof(message) - 1 - strlen(message));
}

clora_status clora_fail_null(const char *function, const char *parameter) {
    snprintf(message, sizeof(message), "%s: %s is NULL", function, parameter);
    if (cause[0]) {
        append("; earlier: ");
        append(cause);
    }
    return CLORA_ERROR_ARGUMENT;
}

clora_status clora_keep_cause(clora_status status) {
    if (cause_is_known)
        cause[0] = '\0';
    cause_is_known = false;
    if (status != CLORA_OK && !cause[0])
        memcpy(cause, message, sizeof(cause));
    return status;
}

const char *clora_last_error(void) {
    cause_is_known = true;
    return message;
}

const char *clora_stop_reason_name(clora_stop_reason reason) {
    switch (reason) {
    case CLORA_STOP_NONE: return "none";
    case CLORA_STOP_EOS: return "eos";
    case CLORA_STOP_TEXT: return "text";
    case CLORA_STOP_LENGTH:
    case CLORA_STOP_CAPACITY: return "length";
    case CLORA_STOP_CANCELLED: return "cancelled";
    case CLORA_STOP_FAILED: return "failed";
    case CLORA_STOP_BUDGET: return "budget";
    }
    return "unknown";
}

const char *clora_status_name(clora_status status) {
    switch (status) {
    case CLORA_CANCELLED: return "CLORA_CANCELLED";
    case CLORA_OK: return "CLORA_OK";
    case CLORA_ERROR_ARGUMENT: return "CLORA_ERROR_ARGUMENT";
    case CLORA_ERROR_SHAPE: return "CLORA_ERROR_SHAPE";
    case CLORA_ERROR_MEMORY: return "CLORA_ERROR_MEMORY";
    case CLORA_ERROR_NOT_FOUND: return "CLORA_ERROR_NOT_FOUND";
    case CLORA_ERROR_FORMAT: return "CLORA_ERROR_FORMAT";
    case CLORA_ERROR_IO: return "CLORA_ERROR_IO";
    case CLORA_ERROR_OPENCL: return "CLORA_ERROR_OPENCL";
    case CLORA_ERROR_UNSUPPORTED: return "CLORA_ERROR_UNSUPPORTED";
    }
    return "unknown status";
}

const char *clora_version(void) {
    return CLORA_VERSION;
}
