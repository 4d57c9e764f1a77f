#ifndef CLORA_TESTS_FUZZ_H
#define CLORA_TESTS_FUZZ_H

/*
 * A fuzz target takes an input apart, writes its parts to files and reads these with the library. Whatever the bytes,
 * the library may refuse, but not crash, leak, hang, take memory out of proportion, or accept what breaks a property
 * that others rely on. replay.c runs the seeds of seeds.py through a target; with -Dfuzz=true, libFuzzer goes on from
 * there.
 */

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* Parts of an input stand between lines "8<". */
typedef struct fuzz_part {
    const uint8_t *data; /* NULL: the input has no such part */
    size_t size;
} fuzz_part;

void fuzz_split(fuzz_part *parts, size_t count, const uint8_t *data, size_t size);

/* A directory for this process, removed at its end, and the path of a name in it: one of four static buffers. */
const char *fuzz_directory(void);
const char *fuzz_path(const char *name);

/* The part as a file of that name there; no file for a part that is not there. */
void fuzz_write(const char *name, fuzz_part part);

/* The same for a safetensors file. After an "R", the bytes are the file; after a "B", they are its header, whose length
 * is put first, and after a line "::" the tensors. */
void fuzz_write_safetensors(const char *name, fuzz_part part);

/* A property, checked in release builds too. */
#define FUZZ_CHECK(property)                                                       \
    do {                                                                           \
        if (!(property)) {                                                         \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #property); \
            abort();                                                               \
        }                                                                          \
    } while (0)

/* A target. 0, or -1 for an input that is not worth keeping. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
