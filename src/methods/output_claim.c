#include <clora/output.h>

#include <stddef.h>

#include "base/outdir.h"
#include "base/unfinished.h"

/* The handle is the claim itself. */

clora_status clora_output_open(clora_output **out, const char *directory) {
    clora_status status = CLORA_OK;
    claim *c = NULL;

    NEED(out);
    *out = NULL;
    NEED(directory);
    TRY(claim_take(&c, directory, true));
    unfinished_sweep(directory);
    TRY(outdir_check_empty(directory));
    *out = (clora_output *)c;
    c = NULL;
done:
    claim_release(c, true, false);
    return clora_keep_cause(status);
}

int clora_output_is_new(const clora_output *output) {
    return output && claim_is_new((const claim *)output);
}

void clora_output_close(clora_output *output, int keep) {
    claim_release((claim *)output, true, keep);
}
