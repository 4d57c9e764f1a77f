#ifndef CLORA_BASE_OUTDIR_H
#define CLORA_BASE_OUTDIR_H

#include "base/claim.h"

/*
 * A directory that a call writes files to which are of use together: claimed until the end, and left complete or as it
 * was. A journal (base/unfinished.h) lists the files while the last is not there, so that whoever writes there next can
 * remove them when this process is killed.
 */
typedef struct outdir {
    claim *claim;
    const char *last; /* the file that makes the directory complete; borrowed */
    char *journal_path;
    int journal; /* valid with journal_path */
} outdir;

/* Claim it, and remove what killed runs left there. To be closed also after a failure. */
clora_status outdir_open(outdir *out, const char *directory, const char *last);

/* An error when it holds anything or cannot be written to. */
clora_status outdir_check_empty(const char *directory);

/* Where the file `name` goes, which will be made next. The caller frees the path. */
clora_status outdir_path(char **path, outdir *out, const char *name);

/* Without keep, files that were not there before disappear, and the directory if this made it. Safe on a zeroed one. */
void outdir_close(outdir *out, bool keep);

#endif
