#include "infer/sampler.h"

#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/options.h"
#include "base/rng.h"
#include "base/status.h"
#include "infer/ngram.h"

static clora_status check(const clora_sample_options *o) {
    if (!(o->temperature >= 0.0f) || isinf(o->temperature))
        return clora_fail(CLORA_ERROR_ARGUMENT, "temperature is %g; 0 (greedy) or more is possible",
                          (double)o->temperature);
    if (o->top_k < 0)
        return clora_fail(CLORA_ERROR_ARGUMENT, "top-k is %d; 0 (off) or more is possible", o->top_k);
    if (!(o->top_p > 0.0f && o->top_p <= 1.0f))
        return clora_fail(CLORA_ERROR_ARGUMENT, "top-p is %g; above 0 to 1 (off) is possible", (double)o->top_p);
    if (!(o->min_p >= 0.0f && o->min_p <= 1.0f))
        return clora_fail(CLORA_ERROR_ARGUMENT, "min-p is %g; 0 (off) to 1 is possible", (double)o->min_p);
    if (!(o->repetition_penalty > 0.0f) || isinf(o->repetition_penalty))
        return clora_fail(CLORA_ERROR_ARGUMENT, "repetition penalty is %g; above 0 is possible, 1 is off",
                          (double)o->repetition_penalty);
    if (o->no_repeat_ngram < 0)
        return clora_fail(CLORA_ERROR_ARGUMENT, "n-grams of %d ids that do not repeat; 0 (off) or more is possible",
                          o->no_repeat_ngram);
    return CLORA_OK;
}

clora_status sampler_init(sampler *s, const clora_sample_options *options, int vocab) {
    clora_status status = CLORA_OK;

    *s = (sampler){.options = CLORA_SAMPLE_OPTIONS_INIT, .vocab = vocab};
    TRY(OPTIONS_TAKE(s->options, options));
    TRY(check(&s->options));
    s->order = alloc_array((size_t)vocab, sizeof(*s->order));
    s->probability = alloc_array((size_t)vocab, sizeof(*s->probability));
    s->seen = alloc_array((size_t)vocab, 1);
    if (!s->order || !s->probability || !s->seen)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for a sampler"));
done:
    if (status != CLORA_OK)
        sampler_finish(s);
    return status;
}

void sampler_finish(sampler *s) {
    free(s->order);
    free(s->probability);
    free(s->seen);
    free(s->text);
    *s = (sampler){0};
}

clora_status sampler_see(sampler *s, int32_t id) {
    clora_status status = CLORA_OK;

    if (id >= 0 && id < s->vocab)
        s->seen[id] = 1;
    if (s->options.no_repeat_ngram > 0) {
        TRY(alloc_grow((void **)&s->text, &s->capacity, s->count + 1, sizeof(*s->text)));
        s->text[s->count++] = id;
    }
done:
    return status;
}

static int largest(const float *logits, int n) {
    int best = 0;

    for (int i = 1; i < n; i++)
        if (logits[i] > logits[best])
            best = i;
    return best;
}

static void penalise(const sampler *s, float *logits) {
    const float p = s->options.repetition_penalty;

    if (p == 1.0f)
        return;
    for (int i = 0; i < s->vocab; i++)
        if (s->seen[i])
            logits[i] = logits[i] > 0.0f ? logits[i] / p : logits[i] * p;
}

static int by_probability(const void *a, const void *b, void *probability) {
    const float *p = probability;
    const int i = *(const int *)a, j = *(const int *)b;

    if (p[i] != p[j])
        return p[i] < p[j] ? 1 : -1;
    return i < j ? -1 : i > j; /* equals in order of ids: the same on every C library */
}

/* Softmax at the temperature into probability, ids sorted into order. */
static void rank(sampler *s, const float *logits) {
    const float most = logits[largest(logits, s->vocab)];
    double sum = 0.0;

    for (int i = 0; i < s->vocab; i++) {
        s->probability[i] = expf((logits[i] - most) / s->options.temperature);
        sum += (double)s->probability[i];
        s->order[i] = i;
    }
    for (int i = 0; i < s->vocab; i++)
        s->probability[i] = (float)((double)s->probability[i] / sum);
    qsort_r(s->order, (size_t)s->vocab, sizeof(*s->order), by_probability, s->probability);
}

/* How many of the likeliest ids remain after top-k, top-p and min-p. */
static int kept(const sampler *s) {
    const clora_sample_options *o = &s->options;
    const float most = s->probability[s->order[0]];
    int n = o->top_k > 0 && o->top_k < s->vocab ? o->top_k : s->vocab;
    double mass = 0.0, total = 0.0;

    if (o->top_p < 1.0f) { /* of what top-k left, renormalised */
        for (int i = 0; i < n; i++)
            total += (double)s->probability[s->order[i]];
        for (int i = 0; i < n; i++) {
            mass += (double)s->probability[s->order[i]];
            if (mass >= (double)o->top_p * total)
                n = i + 1;
        }
    }
    while (n > 1 && s->probability[s->order[n - 1]] < o->min_p * most)
        n--;
    return n;
}

clora_status sampler_check(const float *logits, int vocab) {
    for (int i = 0; i < vocab; i++)
        if (!isfinite(logits[i]))
            return clora_fail(CLORA_ERROR_FORMAT, "the logit of id %d is %g: the model's or adapter's weights overflow",
                              i, (double)logits[i]);
    return CLORA_OK;
}

clora_status sampler_next(sampler *s, int32_t *out, float *logits) {
    double total = 0.0, sum = 0.0;
    clora_status status = CLORA_OK;

    TRY(sampler_check(logits, s->vocab));
    ngram_ban(logits, s->text, s->count, s->options.no_repeat_ngram);
    penalise(s, logits);
    if (s->options.temperature == 0.0f) {
        *out = largest(logits, s->vocab);
        return CLORA_OK;
    }
    rank(s, logits);
    const int n = kept(s);
    for (int i = 0; i < n; i++)
        total += (double)s->probability[s->order[i]];
    const double point = (double)rng_uniform(s->options.seed, 0, s->drawn++) * total;
    *out = s->order[n - 1]; /* when rounding leaves the point past the end */
    for (int i = 0; i < n; i++) {
        sum += (double)s->probability[s->order[i]];
        if (point < sum) {
            *out = s->order[i];
            break;
        }
    }
done:
    return status;
}
