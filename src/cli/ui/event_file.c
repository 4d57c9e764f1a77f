#include "cli/ui/event_file.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { ROOM = 512, HEAD = 12 }; /* bytes of a message, and before a record's data */

struct event_file {
    FILE *stream;
    int error;
};

/* ---- records ---- */

/* Castagnoli's, bit by bit: a record is short. */
static uint32_t crc32c(const unsigned char *data, size_t size) {
    uint32_t crc = UINT32_MAX;

    for (size_t i = 0; i < size; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? UINT32_C(0x82f63b78) : 0);
    }
    return ~crc;
}

static uint32_t masked(const unsigned char *data, size_t size) {
    const uint32_t crc = crc32c(data, size);

    return (crc >> 15 | crc << 17) + UINT32_C(0xa282ead8);
}

/* The lowest byte first. */
static void put_bytes(unsigned char *out, uint64_t value, int bytes) {
    for (int i = 0; i < bytes; i++)
        out[i] = (unsigned char)(value >> 8 * i);
}

/* ---- messages of Protocol Buffers ---- */

typedef struct message {
    unsigned char data[ROOM];
    size_t size;
} message;

enum { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 }; /* how a field is written */

/* What does not fit is left out: nothing here comes near to it but a tag that nobody has. */
static void put_byte(message *m, unsigned char byte) {
    if (m->size < ROOM)
        m->data[m->size++] = byte;
}

static void put_varint(message *m, uint64_t value) {
    for (; value > 127; value >>= 7)
        put_byte(m, (unsigned char)(value & 127) | 128);
    put_byte(m, (unsigned char)value);
}

static void put_key(message *m, unsigned field, unsigned kind) {
    put_varint(m, field << 3 | kind);
}

static void put_fixed(message *m, unsigned field, uint64_t value, int bytes) {
    put_key(m, field, bytes == 8 ? FIXED64 : FIXED32);
    for (int i = 0; i < bytes; i++)
        put_byte(m, (unsigned char)(value >> 8 * i));
}

static void put_data(message *m, unsigned field, const void *data, size_t size) {
    put_key(m, field, BYTES);
    put_varint(m, size);
    for (size_t i = 0; i < size; i++)
        put_byte(m, ((const unsigned char *)data)[i]);
}

/* ---- events ---- */

/* The numbers of their fields. */
enum { EVENT_TIME = 1, EVENT_STEP = 2, EVENT_VERSION = 3, EVENT_SUMMARY = 5, EVENT_SESSION = 7 };
enum { SUMMARY_VALUE = 1, VALUE_TAG = 1, VALUE_SIMPLE = 2 };
enum { SESSION_STATUS = 1, SESSION_START = 1 };

static message event_at(int64_t step) {
    message m = {.size = 0};
    struct timespec now;
    uint64_t bits;

    clock_gettime(CLOCK_REALTIME, &now);
    const double seconds = (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
    memcpy(&bits, &seconds, sizeof(bits));
    put_fixed(&m, EVENT_TIME, bits, 8);
    put_key(&m, EVENT_STEP, VARINT);
    put_varint(&m, (uint64_t)step);
    return m;
}

static void put_scalar(message *summary, const event_scalar *scalar) {
    message value = {.size = 0};
    uint32_t bits;

    memcpy(&bits, &scalar->value, sizeof(bits));
    put_data(&value, VALUE_TAG, scalar->tag, strlen(scalar->tag));
    put_fixed(&value, VALUE_SIMPLE, bits, 4);
    put_data(summary, SUMMARY_VALUE, value.data, value.size);
}

static void write_record(event_file *file, const message *m) {
    unsigned char head[HEAD], tail[4];

    put_bytes(head, m->size, 8);
    put_bytes(head + 8, masked(head, 8), 4);
    put_bytes(tail, masked(m->data, m->size), 4);
    errno = 0;
    fwrite(head, 1, sizeof(head), file->stream);
    fwrite(m->data, 1, m->size, file->stream);
    fwrite(tail, 1, sizeof(tail), file->stream);
    if ((fflush(file->stream) != 0 || ferror(file->stream)) && !file->error)
        file->error = errno ? errno : EIO;
}

static void put_version(event_file *file) {
    static const char version[] = "brain.Event:2";
    message m = event_at(0);

    put_data(&m, EVENT_VERSION, version, strlen(version));
    write_record(file, &m);
}

static void put_start(event_file *file, int64_t first_step) {
    message m = event_at(first_step), session = {.size = 0};

    put_key(&session, SESSION_STATUS, VARINT);
    put_varint(&session, SESSION_START);
    put_data(&m, EVENT_SESSION, session.data, session.size);
    write_record(file, &m);
}

void event_file_put(event_file *file, int64_t step, const event_scalar *scalars, int count) {
    message m = event_at(step), summary = {.size = 0};

    for (int i = 0; i < count; i++)
        put_scalar(&summary, &scalars[i]);
    put_data(&m, EVENT_SUMMARY, summary.data, summary.size);
    write_record(file, &m);
}

/* ---- the file ---- */

/* TensorBoard looks for "tfevents" in a name; time, machine and process keep apart what runs at once. */
static FILE *open_stream(const char *directory) {
    char host[256] = "", *path = NULL;

    gethostname(host, sizeof(host) - 1);
    if (asprintf(&path, "%s/events.out.tfevents.%010lld.%s.%ld", directory, (long long)time(NULL), host,
                 (long)getpid()) < 0) {
        errno = ENOMEM;
        return NULL;
    }
    FILE *stream = fopen(path, "wbxe");
    free(path);
    return stream;
}

event_file *event_file_open(const char *directory, int64_t first_step) {
    event_file *file = NULL;

    if (mkdir(directory, 0777) != 0 && errno != EEXIST)
        return NULL;
    FILE *stream = open_stream(directory);
    if (stream && !(file = calloc(1, sizeof(*file))))
        fclose(stream);
    if (!file)
        return NULL;
    file->stream = stream;
    put_version(file);
    if (first_step > 1)
        put_start(file, first_step);
    return file;
}

int event_file_close(event_file *file) {
    if (!file)
        return 0;
    const bool closed = fclose(file->stream) == 0;
    const int error = file->error ? file->error : closed ? 0 : errno;
    free(file);
    return error;
}
