#include "meter/message.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/json.h"

/* Without SIGPIPE where that is possible: the program around the library may not expect it. */
static ssize_t put(int fd, const char *text, size_t size) {
    const ssize_t n = send(fd, text, size, MSG_NOSIGNAL);
    return n < 0 && errno == ENOTSOCK ? write(fd, text, size) : n;
}

clora_status message_write(int fd, json_t *message) {
    char *text = message ? json_text(message, JSON_COMPACT) : NULL;
    size_t done = 0, size = text ? strlen(text) + 1 : 0;

    json_decref(message);
    if (!text)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for a message");
    text[size - 1] = '\n';
    while (done < size) {
        const ssize_t n = put(fd, text + done, size - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            free(text);
            return clora_fail(CLORA_ERROR_IO, "the other end is gone: %s", strerror(errno));
        }
        done += (size_t)n;
    }
    free(text);
    return CLORA_OK;
}

/* Take the first line out of what was read. */
static clora_status take_line(json_t **out, message_reader *r, const char *end) {
    const size_t length = (size_t)(end - r->text) + 1;
    const clora_status status = json_load_bytes(out, r->text, length - 1, "a message");

    memmove(r->text, r->text + length, r->used - length);
    r->used -= length;
    return status;
}

static clora_status read_more(message_reader *r) {
    clora_status status = CLORA_OK;
    ssize_t n;

    if (r->used >= MESSAGE_LIMIT)
        return clora_fail(CLORA_ERROR_IO, "a message without an end");
    TRY(alloc_grow((void **)&r->text, &r->capacity, r->used + 4096, 1));
    do
        n = read(r->fd, r->text + r->used, 4096);
    while (n < 0 && errno == EINTR);
    if (n <= 0)
        return clora_fail(CLORA_ERROR_IO, "the other end is gone");
    r->used += (size_t)n;
done:
    return status;
}

clora_status message_read(json_t **out, message_reader *r, double seconds) {
    const double end = clock_seconds() + seconds;
    clora_status status = CLORA_OK;

    *out = NULL;
    for (;;) {
        const char *newline = r->used ? memchr(r->text, '\n', r->used) : NULL;
        if (newline)
            return take_line(out, r, newline);
        struct pollfd wait = {.fd = r->fd, .events = POLLIN};
        const double left = end - clock_seconds();
        const int ready = poll(&wait, 1, seconds < 0.0 ? -1 : left > 0.0 ? (int)(left * 1e3) + 1 : 0);
        if (ready == 0)
            return clora_fail(CLORA_ERROR_NOT_FOUND, "no answer within %g seconds", seconds);
        if (ready > 0)
            TRY(read_more(r));
        else if (errno != EINTR)
            TRY(clora_fail(CLORA_ERROR_IO, "cannot wait for an answer: %s", strerror(errno)));
    }
done:
    return status;
}

void message_reader_finish(message_reader *r) {
    free(r->text);
    *r = (message_reader){.fd = -1};
}

json_t *message_of_measurement(const measurement *m) {
    if (!m->usable)
        return json_pack("{s:b, s:b, s:s}", "ok", 0, "wrong", m->is_wrong, "why", m->why);
    return json_pack("{s:b, s:b, s:f, s:f, s:f, s:i}", "ok", 1, "cut", m->was_cut, "median_s", m->median, "minimum_s",
                     m->minimum, "spread", m->spread, "count", m->count);
}

void message_to_measurement(measurement *out, const json_t *message) {
    const char *why = json_string_value(json_object_get(message, "why"));

    *out = (measurement){.usable = json_is_true(json_object_get(message, "ok")),
                         .is_wrong = json_is_true(json_object_get(message, "wrong")),
                         .was_cut = json_is_true(json_object_get(message, "cut")),
                         .median = json_number_value(json_object_get(message, "median_s")),
                         .minimum = json_number_value(json_object_get(message, "minimum_s")),
                         .spread = json_number_value(json_object_get(message, "spread")),
                         .count = (int)json_integer_value(json_object_get(message, "count"))};
    snprintf(out->why, sizeof(out->why), "%s", why ? why : "");
    out->usable = out->usable && out->median > 0.0;
}
