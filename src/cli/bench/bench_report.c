#include "cli/bench/cmd_bench.h"

#include <stdio.h>

#include "cli/ui/json_out.h"
#include "cli/ui/memory_out.h"
#include "cli/ui/page.h"
#include "cli/ui/profile_out.h"
#include "cli/ui/progress.h"
#include "cli/ui/text.h"

static double best(const bench_times *t) {
    return t->seconds[0];
}

static double median(const bench_times *t) {
    return t->seconds[t->count / 2];
}

static double rate(double tokens, const bench_times *t) {
    return t->count > 0 && best(t) > 0 ? tokens / best(t) : 0;
}

static double step_tokens(const bench_state *s) {
    return (double)s->args->batch_size * s->args->max_length;
}

static double decode_tokens(const bench_state *s, int i) {
    return (double)s->args->sequences[i] * s->args->new_tokens;
}

/* ---- for people ---- */

static void print_head(FILE *out, const bench_state *s) {
    const clora_model_info *m = clora_model_get_info(s->model);
    const clora_device_info *d = clora_context_device(s->context);
    const clora_adapter_info *a = clora_adapter_get_info(s->adapter);

    fprintf(out, "device    %d %s (GEMM backend %s)\n", d->index, d->name, d->gemm);
    fprintf(out, "model     %s: %s parameters in %s, loaded in %s\n", s->args->path, text_count(m->parameters),
            m->dtype, text_duration(s->load_seconds));
    fprintf(out, "adapter   rank %d on %s (%s)\n", a->rank, text_amount(a->modules, "module", "modules"),
            a->target_modules);
}

static void print_generation(FILE *out, const bench_state *s) {
    if (s->prefill[0].count > 0)
        fprintf(out, "prefill   %s of %s: %s tokens/s, with the adapter %s\n", text_amount(1, "sequence", ""),
                text_amount(s->args->max_length, "token", "tokens"),
                text_rate(s->args->max_length, best(&s->prefill[0])),
                text_rate(s->args->max_length, best(&s->prefill[1])));
    for (int i = 0; i < s->args->sequences_count && s->decode[i][0].count > 0; i++)
        fprintf(out, "decode    %s of %s: %s tokens/s, with the adapter %s\n",
                text_amount(s->args->sequences[i], "sequence", "sequences"),
                text_amount(s->args->new_tokens, "token", "tokens"),
                text_rate(decode_tokens(s, i), best(&s->decode[i][0])),
                text_rate(decode_tokens(s, i), best(&s->decode[i][1])));
}

static void print_training(FILE *out, const bench_state *s) {
    const clora_memory_plan *p = &s->plan;

    fprintf(out, "training  %d x %s%s: %s tokens/s (%.3f s a step, median %.3f s)\n", s->args->batch_size,
            text_amount(s->args->max_length, "token", "tokens"), s->args->recompute ? ", gradient checkpointing" : "",
            text_rate(step_tokens(s), best(&s->train)), best(&s->train), median(&s->train));
    fprintf(out, "memory    %s resident at most; planned %s: ", text_bytes(s->train_resident), text_bytes(p->total));
    memory_print(out, p);
    fprintf(out, "\n");
}

static void print_switches(FILE *out, const bench_state *s) {
    const bench_drift *d = &s->switches.drift;

    fprintf(out, "switch    an adapter merged into %s of weights in the place of another:\n",
            text_bytes(s->switches.bytes));
    fprintf(out, "%6s %12s %14s %8s %12s %18s\n", "rank", "switch", "a copy takes", "ratio", "GFLOP/s",
            "upload of A and B");
    for (int i = 0; i < s->switches.count; i++) {
        const bench_switch_time *t = &s->switches.rank[i];
        fprintf(out, "%6d %9.2f ms %11.2f ms %8.2f %12.1f %15.2f ms\n", t->rank, 1e3 * best(&t->merged),
                1e3 * best(&t->copied), best(&t->merged) / best(&t->copied), t->flops / best(&t->merged) * 1e-9,
                1e3 * best(&t->uploaded));
    }
    fprintf(out,
            "drift     of %s (largest weight %.3g) after %s to another adapter and back:\n"
            "          subtracting and adding in bf16 %.3g, in f16 %.3g; switching %.3g\n",
            d->module, d->largest, text_amount(d->cycles, "cycle", "cycles"), d->bf16, d->f16, d->switched);
}

/* ---- JSON; a part that was not measured is null ---- */

static json_t *times_json(const bench_times *t) {
    json_t *array = json_array();

    for (int i = 0; array && i < t->count; i++)
        if (json_array_append_new(array, json_number(t->seconds[i])) != 0) {
            json_decref(array);
            return NULL;
        }
    return array;
}

static json_t *training_json(const bench_state *s) {
    if (s->train.count == 0)
        return json_null();
    return json_pack("{s:o, s:o, s:o, s:I, s:o, s:o}", "tokens_per_second",
                     json_number(rate(step_tokens(s), &s->train)), "median_tokens_per_second",
                     json_number(step_tokens(s) / median(&s->train)), "seconds", times_json(&s->train),
                     "peak_resident_bytes", (json_int_t)s->train_resident, "plan", memory_json(&s->plan), "profile",
                     profile_json(s->profile));
}

static json_t *generation_json(double tokens, const bench_times *t) {
    return json_pack("{s:o, s:o, s:o, s:o}", "tokens_per_second", json_number(rate(tokens, &t[0])),
                     "adapter_tokens_per_second", json_number(rate(tokens, &t[1])), "seconds", times_json(&t[0]),
                     "adapter_seconds", times_json(&t[1]));
}

static json_t *decode_json(const bench_state *s) {
    json_t *array = json_array();

    for (int i = 0; array && i < s->args->sequences_count; i++) {
        json_t *one = generation_json(decode_tokens(s, i), s->decode[i]);
        if (json_object_set_new(one, "sequences", json_integer(s->args->sequences[i])) != 0 ||
            json_array_append_new(array, one) != 0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

static json_t *rank_json(const bench_switch_time *t) {
    return json_pack("{s:i, s:o, s:o, s:o, s:o}", "rank", t->rank, "seconds", times_json(&t->merged), "copy_seconds",
                     times_json(&t->copied), "upload_seconds", times_json(&t->uploaded), "flops",
                     json_number(t->flops));
}

static json_t *switches_json(const bench_state *s) {
    const bench_drift *d = &s->switches.drift;
    json_t *ranks = json_array();

    if (s->switches.count == 0) {
        json_decref(ranks);
        return json_null();
    }
    for (int i = 0; ranks && i < s->switches.count; i++)
        (void)json_array_append_new(ranks, rank_json(&s->switches.rank[i]));
    return json_pack("{s:I, s:o, s:{s:s, s:i, s:o, s:o, s:o, s:o}}", "bytes", (json_int_t)s->switches.bytes, "ranks",
                     ranks, "drift", "module", d->module, "cycles", d->cycles, "largest_weight",
                     json_number(d->largest), "subtracted_bf16", json_number(d->bf16), "subtracted_f16",
                     json_number(d->f16), "switched", json_number(d->switched));
}

static int print_json(const bench_state *s) {
    const clora_adapter_info *a = clora_adapter_get_info(s->adapter);

    return json_print(
        s->cli,
        json_pack("{s:s, s:s, s:s, s:i, s:i, s:i, s:i, s:s, s:o, s:o, s:o, s:o, s:o, s:I, s:I}", "model", s->args->path,
                  "device", clora_context_device(s->context)->name, "dtype", clora_model_get_info(s->model)->dtype,
                  "batch_size", s->args->batch_size, "max_length", s->args->max_length, "new_tokens",
                  s->args->new_tokens, "rank", a->rank, "target_modules", a->target_modules, "load_seconds",
                  json_number(s->load_seconds), "training", training_json(s), "prefill",
                  s->prefill[0].count > 0 ? generation_json(s->args->max_length, s->prefill) : json_null(), "decode",
                  bench_wants(s->args, BENCH_DECODE) ? decode_json(s) : json_null(), "switch", switches_json(s),
                  "peak_resident_bytes", (json_int_t)s->resident, "peak_device_bytes", (json_int_t)s->device));
}

int bench_report(const bench_state *s) {
    progress_clear_all();
    if (s->cli->json)
        return print_json(s);
    page lines;
    FILE *out = page_begin(&lines, stdout, 10);
    print_head(out, s);
    if (s->train.count > 0)
        print_training(out, s);
    print_generation(out, s);
    if (s->switches.count > 0)
        print_switches(out, s);
    if (s->train.count > 0) {
        fprintf(out, "\na training step by kernel:\n");
        profile_print(out, s->profile);
    }
    page_end(&lines);
    return CLI_DONE;
}
