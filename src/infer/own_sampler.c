#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/status.h"
#include "infer/sampler.h"

/* A sampler for a program's own logits, which it must not change. */
struct clora_sampler {
    sampler s;
    float *logits; /* (vocab) */
};

clora_status clora_sampler_create(clora_sampler **out, int vocab, const clora_sample_options *options) {
    clora_status status = CLORA_OK;
    clora_sampler *sampler;

    NEED(out);
    *out = NULL;
    sampler = calloc(1, sizeof(*sampler));
    if (!sampler)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for a sampler"));
    if (vocab < 1)
        TRY(clora_fail(CLORA_ERROR_ARGUMENT, "a vocabulary of %d ids; the least is 1", vocab));
    TRY(sampler_init(&sampler->s, options, vocab));
    sampler->logits = alloc_array((size_t)vocab, sizeof(*sampler->logits));
    if (!sampler->logits)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for a sampler"));
    *out = sampler;
    sampler = NULL;
done:
    clora_sampler_free(sampler);
    return clora_keep_cause(status);
}

void clora_sampler_free(clora_sampler *sampler) {
    if (!sampler)
        return;
    sampler_finish(&sampler->s);
    free(sampler->logits);
    free(sampler);
}

clora_status clora_sampler_see(clora_sampler *sampler, const int32_t *ids, size_t count) {
    clora_status status = CLORA_OK;

    NEED(sampler);
    NEED(ids);
    for (size_t i = 0; i < count; i++)
        if (ids[i] < 0 || ids[i] >= sampler->s.vocab)
            return clora_fail(CLORA_ERROR_ARGUMENT, "id %d is outside the vocabulary of %d", (int)ids[i],
                              sampler->s.vocab);
    for (size_t i = 0; i < count; i++)
        TRY(sampler_see(&sampler->s, ids[i]));
done:
    return status;
}

clora_status clora_sampler_next(int32_t *id, clora_sampler *sampler, const float *logits) {
    NEED(id);
    NEED(sampler);
    NEED(logits);
    memcpy(sampler->logits, logits, (size_t)sampler->s.vocab * sizeof(*logits));
    return sampler_next(&sampler->s, id, sampler->logits);
}
