#ifndef CLORA_TESTS_SCRATCH_H
#define CLORA_TESTS_SCRATCH_H

/* A directory of its own for each test, and what is often checked there. Include after cmocka.h. */

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

/* cmocka setup and teardown: make an empty directory, and remove it with everything in it. */
int scratch_setup(void **state);
int scratch_teardown(void **state);

/* The path of a name in this test's directory; one of eight static buffers. "" is the directory itself. */
const char *scratch_path(const char *name);

void scratch_mkdir(const char *name);
void scratch_write(const char *name, const void *data, size_t size);
void scratch_text(const char *name, const char *text);
void scratch_copy(const char *to, const char *from); /* from any path to a name here */

int scratch_entries(const char *path);            /* in a directory, "." and ".." not counted; -1: there is none */
char *read_whole(size_t *size, const char *path); /* the caller frees; ends the test when it cannot be read */
void assert_same_file(const char *a, const char *b);

/* Ends the test with the library's message. */
void assert_ok(clora_status status);

/* The call failed with this status, and the message, one line, has the words in it. */
void assert_refused(clora_status status, clora_status expected, const char *words);

/* Writes of this process fail as on a full disk once a file has that many bytes; lift it again before the test ends. */
void disk_full_after(size_t bytes);
void disk_is_free(void);

#endif
