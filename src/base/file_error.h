#ifndef CLORA_BASE_FILE_ERROR_H
#define CLORA_BASE_FILE_ERROR_H

#include "base/status.h"

/* "cannot read PATH: reason; remedy" for a value of errno: CLORA_ERROR_NOT_FOUND when nothing is there, else _IO. */
clora_status file_error_read(const char *path, int error);
clora_status file_error_shorter(const char *path); /* it has lost its end while it was read */
clora_status file_error_write(const char *path, int error);

#endif
