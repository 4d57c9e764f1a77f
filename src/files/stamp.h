#ifndef CLORA_FILES_STAMP_H
#define CLORA_FILES_STAMP_H

#include <stdbool.h>
#include <time.h>

#include "base/status.h"

/* Which files an adapter's directory has now, and when they were last written: to read them all is to read one adapter
 * only while that stays as it is. */
typedef struct file_stamp {
    unsigned long long device, inode, size;
    struct timespec modified;
} file_stamp;

typedef struct stamp {
    file_stamp settings, tensors; /* zeros for a file that is not there */
} stamp;

/* Zeros where there is no such file. */
file_stamp file_stamp_take(const char *path);
bool file_stamp_same(const file_stamp *a, const file_stamp *b);

stamp stamp_adapter(const char *directory);

/* An error when the files are others by now. */
clora_status stamp_check(const stamp *before, const char *directory);

#endif
