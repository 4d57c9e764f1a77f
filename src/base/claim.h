#ifndef CLORA_BASE_CLAIM_H
#define CLORA_BASE_CLAIM_H

#include <stdbool.h>

#include "base/status.h"

/*
 * A directory that one process alone writes to. The claim is a lock (flock) on the directory itself, which leaves no
 * file and ends with the process. A standing claim lets one call of this process at a time claim the directory too.
 */
typedef struct claim claim;

/* The directory is made when it is not there (the one above must be). An error when it is claimed elsewhere. */
clora_status claim_take(claim **out, const char *directory, bool standing);

const char *claim_path(const claim *c);
bool claim_is_new(const claim *c); /* it made the directory */

/* Give it back; without keep a directory that it made goes, if it is empty. NULL is allowed. */
void claim_release(claim *c, bool standing, bool keep);

#endif
