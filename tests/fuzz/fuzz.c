#include "fuzz/fuzz.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char directory[256];

/* The sanitizer's memmem looks through all that is left of a text at each call: a quadratic time that is
 * not clora's. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) {
    return "intercept_memmem=0";
}

static void remove_directory(void) {
    char command[sizeof(directory) + 16];

    snprintf(command, sizeof(command), "rm -rf '%s'", directory);
    (void)!system(command);
}

/* By process: libFuzzer forks. In memory, where there is such a place. */
const char *fuzz_directory(void) {
    static pid_t owner;
    const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";

    if (owner != getpid()) {
        owner = getpid();
        snprintf(directory, sizeof(directory), "%s/clora-fuzz-XXXXXX", base);
        FUZZ_CHECK(mkdtemp(directory) != NULL);
        atexit(remove_directory);
    }
    return directory;
}

const char *fuzz_path(const char *name) {
    static char paths[4][sizeof(directory) + 64];
    static int next;
    char *path = paths[next++ % 4];

    snprintf(path, sizeof(paths[0]), "%s/%s", fuzz_directory(), name);
    return path;
}

static void write_pieces(const char *name, const fuzz_part *pieces, size_t count) {
    const int file = open(fuzz_path(name), O_WRONLY | O_CREAT | O_TRUNC, 0600);

    FUZZ_CHECK(file >= 0);
    for (size_t i = 0; i < count; i++)
        FUZZ_CHECK(write(file, pieces[i].data, pieces[i].size) == (ssize_t)pieces[i].size);
    close(file);
}

void fuzz_write(const char *name, fuzz_part part) {
    if (part.data)
        write_pieces(name, &part, 1);
    else
        unlink(fuzz_path(name));
}

/* What is before the first `mark` and what is after it. */
static fuzz_part cut(fuzz_part *rest, const char *mark) {
    const size_t size = strlen(mark);
    fuzz_part front = *rest;
    const uint8_t *found = rest->data ? memmem(rest->data, rest->size, mark, size) : NULL;

    if (!found) {
        *rest = (fuzz_part){0};
        return front;
    }
    front.size = (size_t)(found - front.data);
    *rest = (fuzz_part){found + size, rest->size - front.size - size};
    return front;
}

void fuzz_split(fuzz_part *parts, size_t count, const uint8_t *data, size_t size) {
    fuzz_part rest = {size ? data : (const uint8_t *)"", size};

    for (size_t i = 0; i < count; i++)
        parts[i] = cut(&rest, "\n8<\n");
}

void fuzz_write_safetensors(const char *name, fuzz_part part) {
    uint8_t length[8];

    if (!part.data || part.size == 0 || part.data[0] != 'B') {
        if (part.size)
            part = (fuzz_part){part.data + 1, part.size - 1};
        fuzz_write(name, part);
        return;
    }
    fuzz_part tensors = {part.data + 1, part.size - 1};
    const fuzz_part header = cut(&tensors, "\n::\n");
    for (int i = 0; i < 8; i++)
        length[i] = (uint8_t)((uint64_t)header.size >> 8 * i);
    write_pieces(name, (const fuzz_part[]){{length, 8}, header, tensors}, 3);
}
