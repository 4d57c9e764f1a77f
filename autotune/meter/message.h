#ifndef CLORA_AUTOTUNE_METER_MESSAGE_H
#define CLORA_AUTOTUNE_METER_MESSAGE_H

#include <jansson.h>

#include "meter/meter.h"

/*
 * What parent and worker say to each other: one JSON object a line.
 *
 *   {"do": "prepare", "kernel", "key", "cold"}                 {"ok": true, "flops", "bytes"}
 *   {"do": "measure", "parameters", "check", "limit"}          {"phase": "compile"} {"phase": "run"} {"ok": true, ...}
 *   {"do": "compare", "candidates": [parameters], "rounds"}    {"phase": "run"} {"ok": true, "samples": [numbers]}
 *
 * What cannot be done is {"ok": false, "why"}.
 */
enum { MESSAGE_LIMIT = 1 << 20 };

/* Write a line; the message is released. CLORA_ERROR_IO when nobody reads any more. */
clora_status message_write(int fd, json_t *message);

/* A reader that keeps what came after the line. */
typedef struct message_reader {
    int fd;
    char *text;
    size_t used, capacity;
} message_reader;

/* The next line as JSON. CLORA_ERROR_IO at the end, CLORA_ERROR_NOT_FOUND when none came within so many seconds
 * (negative: wait for ever). */
clora_status message_read(json_t **out, message_reader *reader, double seconds);
void message_reader_finish(message_reader *reader);

json_t *message_of_measurement(const measurement *m);
void message_to_measurement(measurement *out, const json_t *message);

#endif
