#ifndef CLI_EVENT_FILE_H
#define CLI_EVENT_FILE_H

#include <stdint.h>

/*
 * A file of scalars for TensorBoard: records as TensorFlow frames them (length, masked CRC-32C of it, data, masked
 * CRC-32C of that), each an Event of TensorBoard's event.proto.
 */
typedef struct event_file event_file;

/* A scalar under its tag, such as "train/loss". */
typedef struct event_scalar {
    const char *tag;
    float value;
} event_scalar;

/* A new file in the directory, which is made where it is not there. NULL with errno set. A first
 * step above 1 tells TensorBoard to forget what an earlier file has from there on. */
event_file *event_file_open(const char *directory, int64_t first_step);

/* One record, which reaches the file at once; the first failure is kept. */
void event_file_put(event_file *file, int64_t step, const event_scalar *scalars, int count);

/* 0, or the errno of the first write that failed. NULL is allowed. */
int event_file_close(event_file *file);

#endif
