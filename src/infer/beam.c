#include "infer/beam.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "infer/beam_text.h"
#include "infer/ngram.h"
#include "infer/request.h"

/*
 * Beam search as transformers' generate() has it (early_stopping False). A step makes the candidates, the most probable
 * continuations of all beams by one id each. Of these the best that end are kept as hypotheses, with a score that
 * depends on their length; the best that go on are the next beams.
 */

typedef struct beam {
    int32_t *ids; /* prompt and text */
    float score;  /* log probability of the text; a hypothesis: over count^length_penalty */
    int count;    /* ids of the text */
    int sequence; /* of the session: where its keys and values are; -1: not copied yet */
    int parent;   /* the sequence to copy */
} beam;

typedef struct candidate {
    float score;
    int beam;
    int32_t id;
    bool ends;
} candidate;

enum { BEFORE = 8 }; /* ids that a decoder sees before those whose text is wanted: half a character may be among them */

typedef struct search {
    clora_session *session;
    const clora_tokenizer *tokenizer;
    const clora_prompt *prompt;
    int given; /* ids of the prompt */
    int beams, ngram;
    float length_penalty;
    const char *const *stop; /* texts, NULL-terminated, or NULL */
    int stop_ids;            /* how many ids at the end of a text may write one; 0: there are none */
    int32_t *tail;           /* (stop_ids + BEFORE) the end of a text, and some ids before it */
    int vocab, room;         /* most ids of a text */
    float *logits;           /* (beams, V), by sequences */
    int32_t *last;           /* (beams) the ids of a step, by sequences */
    bool *taken;             /* (beams) sequences */
    int32_t *ids;            /* of all beams and hypotheses */
    beam *all;               /* (3 * beams) those below */
    beam *now, *next;        /* (beams) the best first */
    int running;             /* of now: 1 at first */
    beam *done;              /* (beams) hypotheses, the best first */
    int done_count;
    candidate *candidates; /* (most), the best first */
    int most, count;
} search;

clora_status beam_check(const clora_session *session, const clora_generate_options *o) {
    if (o->beams < 1)
        return clora_fail(CLORA_ERROR_ARGUMENT, "%d beams; the least is 1, which is none", o->beams);
    if (!isfinite(o->length_penalty))
        return clora_fail(CLORA_ERROR_ARGUMENT, "a length penalty of %g", (double)o->length_penalty);
    if (o->beams == 1)
        return CLORA_OK;
    if (o->beams > session->cache.B)
        return clora_fail(CLORA_ERROR_ARGUMENT, "%d beams; the session has %d sequences", o->beams, session->cache.B);
    if (o->sample->temperature != 0.0f || o->sample->repetition_penalty != 1.0f)
        return clora_fail(CLORA_ERROR_ARGUMENT,
                          "beams look for the most probable text: they have no temperature and no repetition penalty");
    if (o->sample->no_repeat_ngram < 0)
        return clora_fail(CLORA_ERROR_ARGUMENT, "n-grams of %d ids that do not repeat; 0 (off) or more is possible",
                          o->sample->no_repeat_ngram);
    return CLORA_OK;
}

/* So many candidates that as many as there are beams go on, whatever ends. */
static int most_candidates(const search *s) {
    const int ends = clora_model_get_info(s->session->model)->eos_count + 1;
    return (1 + ends) * s->beams;
}

static clora_status allocate(search *s) {
    const size_t beams = (size_t)s->beams, length = (size_t)s->given + (size_t)s->room;

    s->most = most_candidates(s);
    s->logits = alloc_array(beams * (size_t)s->vocab, sizeof(*s->logits));
    s->last = alloc_array(beams, sizeof(*s->last));
    s->taken = alloc_array(beams, sizeof(*s->taken));
    s->ids = alloc_array(3 * beams * length, sizeof(*s->ids));
    s->all = alloc_array(3 * beams, sizeof(*s->all));
    s->candidates = alloc_array((size_t)s->most, sizeof(*s->candidates));
    s->tail = alloc_array((size_t)s->stop_ids + BEFORE, sizeof(*s->tail));
    if (!s->tail || !s->logits || !s->last || !s->taken || !s->ids || !s->all || !s->candidates)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for %d beams", s->beams);
    for (size_t i = 0; i < 3 * beams; i++)
        s->all[i].ids = s->ids + i * length;
    s->now = s->all;
    s->next = s->all + beams;
    s->done = s->all + 2 * beams;
    return CLORA_OK;
}

static void release(search *s) {
    free(s->logits);
    free(s->last);
    free(s->taken);
    free(s->ids);
    free(s->all);
    free(s->candidates);
    free(s->tail);
}

/* beam `to` = another with an id after it */
static void extend(const search *s, beam *to, const candidate *c) {
    const beam *from = &s->now[c->beam];
    const int count = s->given + from->count;

    memcpy(to->ids, from->ids, (size_t)count * sizeof(*to->ids));
    to->ids[count] = c->id;
    to->count = from->count + 1;
    to->score = c->score;
}

/* Among the candidates, if it is good enough: of equals the first is before. */
static void propose(search *s, candidate c) {
    int at = s->count;

    while (at > 0 && s->candidates[at - 1].score < c.score)
        at--;
    if (at == s->most)
        return;
    const int last = s->count < s->most ? s->count++ : s->most - 1;
    memmove(&s->candidates[at + 1], &s->candidates[at], (size_t)(last - at) * sizeof(c));
    s->candidates[at] = c;
}

static float log_sum_exp(const float *x, int n) {
    float most = x[0];
    double sum = 0.0;

    for (int i = 1; i < n; i++)
        most = fmaxf(most, x[i]);
    for (int i = 0; i < n; i++)
        sum += exp((double)(x[i] - most));
    return most + (float)log(sum);
}

/* Whether a candidate's last id completes a stop text. */
static clora_status completes_stop(bool *out, search *s, const candidate *c) {
    const beam *from = &s->now[c->beam];
    const int end = s->given + from->count; /* where the id goes */
    const int text = end + 1 - s->stop_ids > s->given ? end + 1 - s->stop_ids : s->given;
    const int begin = text > BEFORE ? text - BEFORE : 0;
    output found = {.stop = s->stop};
    clora_status status = CLORA_OK;

    memcpy(s->tail, from->ids + begin, (size_t)(end - begin) * sizeof(*s->tail));
    s->tail[end - begin] = c->id;
    TRY(beam_text(&found, s->session->model, s->tokenizer, s->tail, text - begin, end + 1 - begin));
    *out = found.stopped;
done:
    output_finish(&found);
    return status;
}

static clora_status propose_all(search *s) {
    clora_status status = CLORA_OK;

    s->count = 0;
    for (int b = 0; b < s->running; b++) {
        const beam *from = &s->now[b];
        float *logits = s->logits + (size_t)from->sequence * (size_t)s->vocab;
        TRY(sampler_check(logits, s->vocab));
        const float sum = log_sum_exp(logits, s->vocab);
        ngram_ban(logits, from->ids, (size_t)(s->given + from->count), s->ngram);
        for (int id = 0; id < s->vocab; id++)
            if (logits[id] > -INFINITY)
                propose(s, (candidate){.score = logits[id] - sum + from->score, .beam = b, .id = id});
    }
    for (int i = 0; i < s->count; i++) {
        candidate *c = &s->candidates[i];
        c->ends = text_ends(s->session->model, s->tokenizer, c->id) || s->now[c->beam].count + 1 == s->room;
        if (s->stop_ids > 0 && !c->ends)
            TRY(completes_stop(&c->ends, s, c));
    }
done:
    return status;
}

/* Among the hypotheses, if it is good enough: of equals the first is before. */
static void keep(search *s, const candidate *c) {
    const int count = s->now[c->beam].count + 1;
    const float score = (float)((double)c->score / pow((double)count, (double)s->length_penalty));
    int at = s->done_count;

    while (at > 0 && s->done[at - 1].score < score)
        at--;
    if (at == s->beams)
        return;
    const int last = s->done_count < s->beams ? s->done_count++ : s->beams - 1;
    const beam spare = s->done[last]; /* whose memory is free */
    memmove(&s->done[at + 1], &s->done[at], (size_t)(last - at) * sizeof(spare));
    s->done[at] = spare;
    extend(s, &s->done[at], c);
    s->done[at].score = score;
}

static void keep_hypotheses(search *s) {
    for (int i = 0; i < s->count && i < s->beams; i++)
        if (s->candidates[i].ends)
            keep(s, &s->candidates[i]);
}

/* The best candidates that go on. The first child of a beam goes on where its parent was. */
static void choose_beams(search *s) {
    beam *const old = s->now;

    memset(s->taken, 0, (size_t)s->beams * sizeof(*s->taken));
    s->running = 0;
    for (int i = 0; i < s->count && s->running < s->beams; i++) {
        const candidate *c = &s->candidates[i];
        if (c->ends)
            continue;
        beam *next = &s->next[s->running++];
        extend(s, next, c);
        next->parent = old[c->beam].sequence;
        next->sequence = s->taken[next->parent] ? -1 : next->parent;
        s->taken[next->parent] = true;
    }
    s->now = s->next;
    s->next = old;
}

/* The other children go on in copies, where no beam goes on. */
static void copy_parents(search *s) {
    int free_one = 0;

    for (int i = 0; i < s->running; i++) {
        beam *b = &s->now[i];
        if (b->sequence >= 0)
            continue;
        while (s->taken[free_one])
            free_one++;
        session_copy(s->session, free_one, b->parent);
        s->taken[free_one] = true;
        b->sequence = free_one;
    }
}

/* Whether the best beam could still pass the worst hypothesis, at the length that it has. */
static bool goes_on(const search *s) {
    if (s->running == 0)
        return false;
    if (s->done_count < s->beams)
        return true;
    const beam *best = &s->now[0];
    return (double)best->score / pow((double)best->count, (double)s->length_penalty) >
           (double)s->done[s->beams - 1].score;
}

/* One more id for each beam. Sequences without one take part idly. */
static clora_status run_step(search *s) {
    for (int i = 0; i < s->beams; i++)
        s->last[i] = SESSION_IDLE;
    for (int i = 0; i < s->running; i++) {
        const beam *b = &s->now[i];
        s->last[b->sequence] = b->ids[s->given + b->count - 1];
    }
    return session_step(s->session, &s->session->select, s->logits, s->last, s->beams);
}

static clora_status find(search *s, double *prefilled) {
    const clora_prompt *prompt = s->prompt;
    clora_status status = CLORA_OK;

    TRY(allocate(s));
    clora_session_reset(s->session);
    memcpy(s->now[0].ids, prompt->ids, (size_t)s->given * sizeof(*prompt->ids));
    s->running = 1;
    TRY(session_prefill(s->session, &s->session->select, 0, s->logits, prompt->ids, s->given));
    *prefilled = clock_seconds();
    for (;;) {
        TRY(propose_all(s));
        keep_hypotheses(s);
        choose_beams(s);
        if (!goes_on(s))
            break;
        copy_parents(s);
        TRY(run_step(s));
    }
done:
    return status;
}

static clora_status take_best(clora_generation *out, const search *s) {
    const int prompt = s->given;
    output text = {.stop = s->stop};
    clora_status status = CLORA_OK;

    out->count = s->done_count > 0 ? (size_t)s->done[0].count : 0;
    out->ids = alloc_array(out->count, sizeof(*out->ids));
    if (!out->ids)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for a text"));
    if (out->count > 0)
        memcpy(out->ids, s->done[0].ids + prompt, out->count * sizeof(*out->ids));
    const bool ended = out->count > 0 && text_ends(s->session->model, s->tokenizer, out->ids[out->count - 1]);
    TRY(beam_text(&text, s->session->model, s->tokenizer, out->count > 0 ? s->done[0].ids : s->prompt->ids, prompt,
                  prompt + (int)out->count));
    out->stop = ended ? CLORA_STOP_EOS : text.stopped ? CLORA_STOP_TEXT : CLORA_STOP_LENGTH;
    out->text = text.text;
    out->size = text.size;
    text.text = NULL;
done:
    output_finish(&text);
    return status;
}

clora_status beam_generate(clora_generation *out, clora_session *session, const clora_tokenizer *tokenizer,
                           const clora_prompt *prompt, const clora_generate_options *o) {
    const int capacity = session->cache.capacity - adapter_past(session->select.adapter);
    const int given = (int)prompt->count, room = capacity - given + 1; /* the last id needs no place in the cache */
    search s = {.session = session,
                .tokenizer = tokenizer,
                .prompt = prompt,
                .given = given,
                .beams = o->beams,
                .ngram = o->sample->no_repeat_ngram,
                .length_penalty = o->length_penalty,
                .stop = o->stop,
                .stop_ids = beam_stop_ids(o->stop),
                .vocab = clora_model_get_info(session->model)->vocab,
                .room = o->max_tokens < room ? o->max_tokens : room};
    double begun = clock_seconds(), prefilled = begun;
    clora_status status = CLORA_OK;

    if (s.room > 0)
        TRY(find(&s, &prefilled));
    TRY(take_best(out, &s));
    out->prefill_seconds = prefilled - begun;
    out->decode_seconds = clock_seconds() - prefilled;
done:
    release(&s);
    return status;
}
