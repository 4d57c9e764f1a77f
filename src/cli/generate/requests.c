#include "cli/generate/requests.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <clora/adapter_cache.h>
#include <clora/engine.h>

#include "cli/generate/request_rows.h"
#include "cli/ui/json_out.h"
#include "cli/ui/progress.h"
#include "cli/ui/text.h"

static const char *const orders[] = {"input", "finished", NULL};
enum { ORDER_INPUT, ORDER_FINISHED };

#define FIELD(name) offsetof(requests_args, name)

const opt requests_options[] = {
    {.name = "requests",
     .type = OPT_PATH,
     .offset = FIELD(file),
     .value = "FILE",
     .help = "continue the \"prompt\" of every line of a JSONL file ('-' is standard input), each with its own "
             "\"adapter\" (a directory's name in that of --adapters, or null), \"scale\" (the adapter's strength), "
             "\"max_tokens\", \"stop\", \"temperature\", \"top_k\", \"top_p\", \"min_p\", \"repetition_penalty\", "
             "\"no_repeat_ngram\" and \"seed\"; what a line leaves out is as the options say. An \"id\" comes back. "
             "Prints a line of JSON for each"},
    {.name = "adapters",
     .type = OPT_PATH,
     .offset = FIELD(adapters),
     .value = "DIR",
     .help = "the directory of the adapters' directories; each is read when a request first asks for it"},
    {.name = "adapter-memory",
     .type = OPT_BYTES,
     .offset = FIELD(adapter_memory),
     .value = "SIZE",
     .standard = "as much as the device has",
     .help = "device memory for adapters, such as 200MiB: the least recently used that no text has goes when another "
             "needs its place"},
    {.name = "slots",
     .type = OPT_INT,
     .offset = FIELD(slots),
     .value = "N",
     .low = 1,
     .high = 65536,
     .help = "texts side by side: one that ends makes room for the next"},
    {.name = "capacity",
     .type = OPT_INT,
     .offset = FIELD(capacity),
     .value = "N",
     .low = 1,
     .high = 2147483647,
     .standard = "what the longest request takes",
     .help = "tokens that a slot has room for, with what an adapter has before them"},
    {.name = "cache-tokens",
     .type = OPT_INT,
     .offset = FIELD(cache_tokens),
     .value = "N",
     .low = 1,
     .high = 2147483647,
     .standard = "slots times capacity",
     .help = "tokens that the cache of all slots has room for, at least the capacity: a text waits until there is room "
             "for its prompt and \"max_tokens\"; a beginning that prompts have in common counts once"},
    {.name = "order",
     .type = OPT_CHOICE,
     .offset = FIELD(order),
     .value = "WHICH",
     .choices = orders,
     .help = "of results: input, or finished, each when it has ended"},
    {.name = NULL},
};

int requests_check(const cli_state *cli, const requests_args *args, const opt_group *groups, int count) {
    static const char *const others[] = {"prompt", "jsonl", "adapter", "beams", "length-penalty", "batch-size"};
    static const char *const own[] = {"adapters", "adapter-memory", "slots", "capacity", "cache-tokens", "order"};

    for (size_t i = 0; args->file && i < sizeof(others) / sizeof(others[0]); i++)
        if (opt_given(groups, count, others[i]))
            return cli_misuse(cli, "--requests FILE has no --%s", others[i]);
    for (size_t i = 0; !args->file && i < sizeof(own) / sizeof(own[0]); i++)
        if (opt_given(groups, count, own[i]))
            return cli_misuse(cli, "--%s is for --requests FILE", own[i]);
    if (args->adapter_memory && !args->adapters)
        return cli_misuse(cli, "--adapter-memory is for the adapters of --adapters DIR");
    return CLI_DONE;
}

/* ---- the state of a run ---- */

struct run;

/* One request from its beginning to its line. */
typedef struct answer {
    struct run *run;
    clora_request *request; /* NULL before it has a slot, and after its line is printed */
    char *error;            /* why there is no text */
    bool begun, ended;
} answer;

typedef struct run {
    const cli_state *cli;
    const requests_args *args;
    const clora_generate_options *usual;
    request_list list;
    clora_adapter_cache *cache;
    clora_engine *engine;
    answer *answers; /* (list.prompts.count) */
    size_t first;    /* all before it have begun */
    size_t left;     /* that have not ended */
    size_t printed;  /* in the order of the input */
    size_t refused;
    int64_t tokens;
    bool changed; /* a slot is free, or an adapter may be */
    bool failed;  /* a text could not go on in this step */
    int status;
} run;

static size_t count_of(const run *r) {
    return r->list.prompts.count;
}

/* ---- lines of the output ---- */

static json_t *line_of(const run *r, size_t i) {
    const request_row *row = &r->list.items[i];
    const prompt *p = &r->list.prompts.items[i];
    const answer *a = &r->answers[i];
    json_t *line = json_object();

    json_put(&line, "request", json_integer((json_int_t)i));
    if (row->id)
        json_put(&line, "id", json_incref(row->id));
    json_put(&line, "adapter", row->adapter ? json_string(row->adapter) : json_null());
    if (a->error) {
        json_put(&line, "error", json_path(a->error));
        return line;
    }
    size_t size, n;
    const char *text = clora_request_text(a->request, &size);
    const int32_t *ids = clora_request_ids(a->request, &n);
    json_put(&line, "text", json_stringn(text, size));
    json_put(&line, "ids", json_ids(ids, n));
    json_put(&line, "prompt_ids", json_ids(p->ids, p->count));
    json_put(&line, "stop", json_string(clora_stop_reason_name(clora_request_stop_reason(a->request))));
    return line;
}

static void print_line(run *r, size_t i) {
    answer *a = &r->answers[i];

    r->status = json_print(r->cli, line_of(r, i));
    if (r->status == CLI_DONE && fflush(stdout) != 0)
        r->status = CLI_FAILED; /* a reader who went away ends it: cli_flush says so */
    clora_request_free(a->request);
    a->request = NULL;
}

/* The i-th has ended: its line, or with it those that waited for it. */
static void end_answer(run *r, size_t i) {
    r->answers[i].ended = true;
    r->refused += r->answers[i].error != NULL;
    r->left--;
    r->changed = true;
    if (r->args->order == ORDER_FINISHED && r->status == CLI_DONE)
        print_line(r, i);
    if (r->args->order == ORDER_FINISHED)
        return;
    for (; r->printed < count_of(r) && r->answers[r->printed].ended && r->status == CLI_DONE; r->printed++)
        print_line(r, r->printed);
}

static void set_error(answer *a) {
    a->error = strdup(clora_last_error());
    if (!a->error)
        a->run->status = cli_fail(a->run->cli, "no memory for a result");
}

static int hear(void *user, clora_request *request, const char *text, size_t size) {
    answer *a = user;
    run *r = a->run;
    size_t n;

    (void)text;
    if (size > 0)
        return 0;
    a->request = request; /* it may end before clora_engine_admit() is back */
    if (clora_request_stop_reason(request) == CLORA_STOP_FAILED) {
        r->failed = true;
        set_error(a);
    }
    (void)clora_request_ids(request, &n);
    r->tokens += (int64_t)n;
    end_answer(r, (size_t)(a - r->answers));
    return 0;
}

/* ---- from the list to the slots ---- */

static clora_status admit(run *r, size_t i) {
    const request_row *row = &r->list.items[i];
    const prompt *p = &r->list.prompts.items[i];
    clora_request_options options = CLORA_REQUEST_OPTIONS_INIT;
    clora_adapter *adapter = NULL;
    clora_status status = CLORA_OK;

    if (row->adapter)
        status = clora_adapter_cache_get(&adapter, r->cache, row->adapter);
    options.max_tokens = (size_t)row->max_tokens;
    options.sample = &row->sample;
    options.stop = row->stop ? (const char *const *)row->stop : r->usual->stop;
    options.adapter = adapter;
    options.scale = row->scale;
    options.callback = hear;
    options.user = &r->answers[i];
    if (status == CLORA_OK)
        status = clora_engine_admit(&r->answers[i].request, r->engine, p->ids, p->count, &options);
    clora_adapter_free(adapter); /* the request keeps it */
    return status;
}

/* Fill the free slots. An adapter that does not fit beside those in use has its request wait; some behind it may go
 * first, but so few that its turn comes. */
static void admit_waiting(run *r) {
    enum { AHEAD = 64 };

    r->changed = false;
    while (r->first < count_of(r) && r->answers[r->first].begun)
        r->first++;
    for (size_t i = r->first; i < count_of(r) && i < r->first + AHEAD && clora_engine_free_slots(r->engine) > 0; i++) {
        answer *a = &r->answers[i];
        if (a->begun || r->status != CLI_DONE)
            continue;
        const clora_status status = admit(r, i);
        if (status == CLORA_ERROR_MEMORY && clora_engine_running(r->engine) > 0)
            continue;
        a->begun = true;
        if (status != CLORA_OK) {
            set_error(a);
            end_answer(r, i);
        }
    }
}

static int run_steps(run *r) {
    while (r->status == CLI_DONE && r->left > 0) {
        if (r->changed)
            admit_waiting(r);
        r->failed = false;
        if (clora_engine_step(r->engine) != CLORA_OK && !r->failed)
            return cli_fail_library(r->cli);
    }
    return r->status;
}

/* ---- beginning and end ---- */

static int capacity_of(const run *r, const clora_model *model) {
    const int64_t positions = clora_model_get_info(model)->max_positions;
    int64_t most = r->args->capacity ? r->args->capacity : 1;

    for (size_t i = 0; !r->args->capacity && i < count_of(r); i++) {
        const int64_t needed = (int64_t)r->list.prompts.items[i].count + r->list.items[i].max_tokens - 1;
        most = needed > most ? needed : most;
    }
    return (int)(most < positions || r->args->capacity ? most : positions);
}

static int check_adapters(const run *r) {
    for (size_t i = 0; !r->args->adapters && i < count_of(r); i++)
        if (r->list.items[i].adapter)
            return cli_misuse(r->cli, "a request has the adapter %s: --adapters DIR says where it is",
                              r->list.items[i].adapter);
    return CLI_DONE;
}

static int open_run(run *r, clora_model *model, const clora_tokenizer *tokenizer) {
    clora_engine_options engine = CLORA_ENGINE_OPTIONS_INIT;
    clora_adapter_cache_options cache = CLORA_ADAPTER_CACHE_OPTIONS_INIT;
    int status = request_rows_read(r->cli, &r->list, tokenizer, r->args->file, r->usual);

    if (status == CLI_DONE)
        status = check_adapters(r);
    if (status != CLI_DONE)
        return status;
    r->left = count_of(r);
    r->changed = true;
    r->answers = calloc(count_of(r), sizeof(*r->answers));
    if (!r->answers)
        return cli_fail(r->cli, "no memory for %zu requests", count_of(r));
    for (size_t i = 0; i < count_of(r); i++)
        r->answers[i].run = r;
    engine.slots = count_of(r) < (size_t)r->args->slots ? count_of(r) : (size_t)r->args->slots;
    engine.capacity = (size_t)capacity_of(r, model);
    engine.cache_tokens = (size_t)r->args->cache_tokens;
    cache.memory = r->args->adapter_memory;
    if ((r->args->adapters && clora_adapter_cache_create(&r->cache, model, r->args->adapters, &cache) != CLORA_OK) ||
        clora_engine_create(&r->engine, model, tokenizer, &engine) != CLORA_OK)
        return cli_fail_library(r->cli);
    return CLI_DONE;
}

static void close_run(run *r) {
    for (size_t i = 0; r->answers && i < count_of(r); i++) {
        clora_request_free(r->answers[i].request);
        free(r->answers[i].error);
    }
    free(r->answers);
    clora_engine_free(r->engine);
    clora_adapter_cache_free(r->cache);
    request_list_finish(&r->list);
}

static int64_t prompt_tokens(const run *r) {
    int64_t tokens = 0;

    for (size_t i = 0; i < count_of(r); i++)
        tokens += (int64_t)r->list.prompts.items[i].count;
    return tokens;
}

static void print_stats(const run *r, double seconds) {
    const clora_adapter_cache_info *info = clora_adapter_cache_get_info(r->cache);

    fprintf(stderr, "%s: %s of new text in %s, %s tokens/s\n", text_amount((int64_t)count_of(r), "request", "requests"),
            text_amount(r->tokens, "token", "tokens"), text_duration(seconds), text_rate((double)r->tokens, seconds));
    fprintf(stderr, "prompts: %s, %s of them taken from others that begin alike\n",
            text_amount(prompt_tokens(r), "token", "tokens"), text_count((int64_t)clora_engine_reused(r->engine)));
    if (r->cache)
        fprintf(stderr, "adapters: %s, %s; at most %s at once\n", text_amount((int64_t)info->loads, "read", "read"),
                text_amount((int64_t)info->evictions, "evicted", "evicted"), text_bytes(info->peak_bytes));
}

int requests_run(const cli_state *cli, clora_model *model, const clora_tokenizer *tokenizer, const requests_args *args,
                 const clora_generate_options *usual, bool stats) {
    run r = {.cli = cli, .args = args, .usual = usual};
    int status = open_run(&r, model, tokenizer);
    const double begin = progress_clock();

    if (status == CLI_DONE)
        status = run_steps(&r);
    if (status == CLI_DONE && stats)
        print_stats(&r, progress_clock() - begin);
    if (status == CLI_DONE && r.refused > 0)
        status = cli_fail(cli, "%s no text: each line says why",
                          text_amount((int64_t)r.refused, "request has", "requests have"));
    close_run(&r);
    return status;
}
