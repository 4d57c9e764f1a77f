#ifndef CLORA_INFER_SAMPLER_H
#define CLORA_INFER_SAMPLER_H

#include <clora/generate.h>

/* Chooses the next id from logits. Its scratch is as large as the vocabulary. */
typedef struct sampler {
    clora_sample_options options;
    int vocab;
    uint64_t drawn; /* random numbers so far */
    int *order;     /* ids, likeliest first */
    float *probability;
    unsigned char *seen; /* ids of prompt and output, for the repetition penalty */
    int32_t *text;       /* (count) the same in order, for n-grams: kept where these are asked for */
    size_t count, capacity;
} sampler;

clora_status sampler_init(sampler *s, const clora_sample_options *options, int vocab);
void sampler_finish(sampler *s);

/* Count an id as present in the text. */
clora_status sampler_see(sampler *s, int32_t id);

/* A logit that is not finite is CLORA_ERROR_FORMAT. */
clora_status sampler_check(const float *logits, int vocab);

/* Choose; logits are changed by the penalty and the n-grams. Checks the logits. */
clora_status sampler_next(sampler *s, int32_t *out, float *logits);

#endif
