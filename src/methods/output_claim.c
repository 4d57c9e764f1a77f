#include <clora/output.h>

#include <stddef.h>

#include "base/file.h"
#include "base/outdir.h"
#include "base/unfinished.h"

/* The handle is the claim itself. */

static clora_status open_output(clora_output **out, const char *directory, bool empty) {
    clora_status status = CLORA_OK;
    claim *c = NULL;

    if (!empty && !file_is_directory(directory))
        TRY(clora_fail(CLORA_ERROR_NOT_FOUND, "%s: no such directory", directory));
    TRY(claim_take(&c, directory, true));
    unfinished_sweep(directory);
    if (empty)
        TRY(outdir_check_empty(directory));
    *out = (clora_output *)c;
    c = NULL;
done:
    claim_release(c, true, false);
    return clora_keep_cause(status);
}

clora_status clora_output_open(clora_output **out, const char *directory) {
    NEED(out);
    *out = NULL;
    NEED(directory);
    return open_output(out, directory, true);
}

clora_status clora_output_continue(clora_output **out, const char *directory) {
    NEED(out);
    *out = NULL;
    NEED(directory);
    return open_output(out, directory, false);
}

int clora_output_is_new(const clora_output *output) {
    return output && claim_is_new((const claim *)output);
}

void clora_output_close(clora_output *output, int keep) {
    claim_release((claim *)output, true, keep);
}
