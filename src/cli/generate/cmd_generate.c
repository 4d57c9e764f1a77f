#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <clora/generate.h>

#include "cli/cli.h"
#include "cli/options/device.h"
#include "cli/inputs/adapters.h"
#include "cli/inputs/ends.h"
#include "cli/inputs/row_template.h"
#include "cli/ui/json_out.h"
#include "cli/ui/page.h"
#include "cli/ui/profile_out.h"
#include "cli/ui/progress.h"
#include "cli/generate/generate_options.h"
#include "cli/generate/prompt.h"
#include "cli/ui/text.h"
#include "cli/inputs/tokenizer_ahead.h"

/* All that generating needs, in the order in which it is made. */
typedef struct generate_run {
    const cli_state *cli;
    clora_context *context;
    clora_tokenizer *tokenizer;
    prompt_list prompts;
    clora_model *model;
    clora_adapter *adapter;
    clora_session *session;
} generate_run;

static void release(generate_run *run) {
    clora_session_free(run->session);
    clora_adapter_free(run->adapter);
    clora_model_free(run->model);
    prompt_list_finish(&run->prompts);
    clora_tokenizer_free(run->tokenizer);
    cli_context_free(run->context, run->cli);
}

static int start(generate_run *run, const char *path) {
    tokenizer_ahead ahead;

    progress_phase(run->cli->quiet, "loading %s", path);
    tokenizer_ahead_start(&ahead, path);
    const clora_status made = cli_context_create(&run->context, run->cli);
    run->tokenizer = tokenizer_ahead_wait(&ahead);
    if ((!run->tokenizer && clora_tokenizer_load(&run->tokenizer, path) != CLORA_OK) || made != CLORA_OK)
        return cli_fail_library(run->cli);
    return CLI_DONE;
}

/* By the chat template. */
static int add_chats(generate_run *run, const char *path, const generate_args *args) {
    clora_chat *chat = NULL;

    if (clora_chat_load(&chat, path, args->template) != CLORA_OK)
        return cli_fail_library(run->cli);
    const int status = args->jsonl ? prompt_add_chats(run->cli, &run->prompts, run->tokenizer, chat, args->jsonl)
                                   : prompt_add_message(run->cli, &run->prompts, run->tokenizer, chat, args->prompt);
    clora_chat_free(chat);
    return status;
}

static int add_prompts(generate_run *run, const char *path, const generate_args *args) {
    if (args->jsonl) {
        row_template_note(run->cli, args->template, path, run->tokenizer);
        return prompt_add_rows(run->cli, &run->prompts, run->tokenizer, args->jsonl,
                               &(prompt_rows){path, args->template, args->keys});
    }
    if (args->prompt)
        return prompt_add(run->cli, &run->prompts, run->tokenizer, "", args->prompt, strlen(args->prompt));
    return prompt_add_input(run->cli, &run->prompts, run->tokenizer);
}

static int read_prompts(generate_run *run, const char *path, const generate_args *args) {
    const int status = args->chat ? add_chats(run, path, args) : add_prompts(run, path, args);

    if (status == CLI_DONE)
        ends_note_own(run->cli, NULL, run->tokenizer, clora_tokenizer_bos(run->tokenizer), run->prompts.own_bos);
    return status;
}

/* New tokens that fit after a prompt. The last one needs no place: nothing is computed from it. */
static int room_after(const generate_run *run, size_t count, int wanted) {
    const int64_t past = clora_adapter_past(run->adapter), all = clora_model_get_info(run->model)->max_positions;
    const int64_t room = all - past - (int64_t)count + 1;
    return wanted < room ? wanted : (int)room;
}

/* Sequences side by side. */
static int sequences(const generate_run *run, const generate_args *args) {
    if (args->generate.beams > 1)
        return args->generate.beams;
    return run->prompts.count < (size_t)args->batch_size ? (int)run->prompts.count : args->batch_size;
}

/* What takes positions besides the prompt. */
static const char *past_of(const generate_run *run) {
    static char text[64];
    const int past = clora_adapter_past(run->adapter);

    if (past > 0)
        snprintf(text, sizeof(text), ", of which the adapter takes %d", past);
    return text;
}

static int load(generate_run *run, const char *path, const generate_args *args) {
    if (model_args_load(&run->model, run->cli, run->context, path, &args->model) != CLORA_OK)
        return cli_fail_library(run->cli);
    const int status = adapters_load(run->cli, &run->adapter, run->model, &args->adapter);
    if (status != CLI_DONE)
        return status;
    model_note_head(run->cli, path, clora_model_get_info(run->model)->own_head);
    ends_note_files(run->cli, path, run->tokenizer, clora_model_get_info(run->model));
    const size_t longest = run->prompts.longest;
    if (room_after(run, longest, 1) < 1)
        return cli_fail(
            run->cli, "%s has %s, the model %s%s: shorten it", run->prompts.count > 1 ? "a prompt" : "the prompt",
            text_amount((int64_t)longest, "token", "tokens"),
            text_amount(clora_model_get_info(run->model)->max_positions, "position", "positions"), past_of(run));
    const int capacity =
        clora_adapter_past(run->adapter) + (int)longest + room_after(run, longest, args->generate.max_tokens) - 1;
    if (clora_session_create(&run->session, run->model, sequences(run, args), capacity) != CLORA_OK ||
        clora_session_set_adapter(run->session, run->adapter) != CLORA_OK)
        return cli_fail_library(run->cli);
    return CLI_DONE;
}

static int print_piece(void *user, const char *text, size_t size) {
    (void)user;
    progress_clear_all();
    return fwrite(text, 1, size, stdout) != size || fflush(stdout) != 0; /* a reader who went away ends it */
}

static double per_second(double count, double seconds) {
    return seconds > 0 && count > 0 ? count / seconds : 0;
}

static double prefill_rate(const prompt *p, const clora_generation *g) {
    return per_second((double)p->count, g->prefill_seconds);
}

/* The first new token comes out of the prompt's pass; each later one costs a pass of its own. */
static double decode_rate(const clora_generation *g) {
    return per_second((double)g->count - 1.0, g->decode_seconds);
}

static int print_json(const generate_run *run, const prompt *p, const clora_generation *g, bool profile) {
    json_t *object = json_pack(
        "{s:o, s:o, s:o, s:s, s:o, s:o}", "text", json_stringn(g->text, g->size), "ids", json_ids(g->ids, g->count),
        "prompt_ids", json_ids(p->ids, p->count), "stop", clora_stop_reason_name(g->stop), "prefill_tokens_per_second",
        json_number(prefill_rate(p, g)), "decode_tokens_per_second", json_number(decode_rate(g)));
    if (object && profile && json_object_set_new(object, "profile", profile_json(profile_read(run->context))) != 0) {
        json_decref(object);
        object = NULL;
    }
    const int status = json_print(run->cli, object);

    fflush(stdout);
    return status;
}

static void print_stats(const prompt *p, const clora_generation *g) {
    fflush(stdout);
    page lines;
    FILE *out = page_begin(&lines, stderr, 2);
    fprintf(out, "prefill: %s, %s tokens/s; decode: %s, %s tokens/s; ended by %s\n",
            text_amount((int64_t)p->count, "token", "tokens"), text_rate((double)p->count, g->prefill_seconds),
            text_amount((int64_t)g->count, "token", "tokens"), text_rate((double)g->count - 1.0, g->decode_seconds),
            clora_stop_reason_name(g->stop));
    page_end(&lines);
}

static clora_generate_options options_of(const generate_args *args) {
    clora_generate_options options = args->generate;

    options.stop = args->stop.count ? args->stop.items : NULL;
    return options;
}

/* One prompt: the text is printed as it comes. */
static int generate_one(const generate_run *run, const generate_args *args) {
    const prompt *p = &run->prompts.items[0];
    clora_generate_options options = options_of(args);
    clora_generation *result;
    int status = CLI_DONE;

    options.max_tokens = room_after(run, p->count, options.max_tokens);
    options.callback = run->cli->json ? NULL : print_piece;
    if (!cli_went(clora_generate(&result, run->session, run->tokenizer, p->ids, p->count, &options)))
        return cli_fail_library(run->cli);
    progress_clear_all();
    if (run->cli->json)
        status = print_json(run, p, result, args->profile);
    else
        putchar('\n');
    if (args->stats)
        print_stats(p, result);
    clora_generation_free(result);
    return status;
}

/* Several prompts: texts are printed in the order of the prompts, each when it and all before it have ended. */
typedef struct generate_batch {
    const generate_run *run;
    clora_prompt *prompts;
    clora_generation **results;
    bool *ended;
    size_t printed;
    int64_t tokens;
    int status;
} generate_batch;

static int print_ended(void *user, size_t index, const clora_generation *result) {
    generate_batch *b = user;
    const prompt_list *list = &b->run->prompts;

    progress_clear_all();
    b->ended[index] = true;
    b->tokens += (int64_t)result->count;
    for (; b->printed < list->count && b->ended[b->printed] && b->status == CLI_DONE; b->printed++) {
        const clora_generation *g = b->results[b->printed];
        if (b->run->cli->json)
            b->status = print_json(b->run, &list->items[b->printed], g, false);
        else if (fwrite(g->text, 1, g->size, stdout) == g->size)
            putchar('\n');
    }
    return b->status != CLI_DONE || fflush(stdout) != 0; /* a reader who went away ends it */
}

static void print_batch_stats(const generate_batch *b, double seconds) {
    fprintf(stderr, "%s: %s of new text in %s, %s tokens/s\n",
            text_amount((int64_t)b->run->prompts.count, "prompt", "prompts"), text_amount(b->tokens, "token", "tokens"),
            text_duration(seconds), text_rate((double)b->tokens, seconds));
}

static int run_batch(generate_batch *b, const generate_args *args) {
    const generate_run *run = b->run;
    const size_t count = run->prompts.count;
    clora_generate_options options = options_of(args);
    const double begin = progress_clock();

    if (!b->prompts || !b->results || !b->ended)
        return cli_fail(run->cli, "no memory for %zu prompts", count);
    for (size_t i = 0; i < count; i++)
        b->prompts[i] = (clora_prompt){run->prompts.items[i].ids, run->prompts.items[i].count};
    options.ended = print_ended;
    options.user = b;
    if (!cli_went(clora_generate_batch(b->results, run->session, run->tokenizer, b->prompts, count, &options)))
        return cli_fail_library(run->cli);
    if (args->stats)
        print_batch_stats(b, progress_clock() - begin);
    return b->status;
}

static int generate_all(const generate_run *run, const generate_args *args) {
    const size_t count = run->prompts.count;
    generate_batch b = {.run = run,
                        .prompts = calloc(count, sizeof(*b.prompts)),
                        .results = calloc(count, sizeof(*b.results)),
                        .ended = calloc(count, sizeof(*b.ended))};
    const int status = run_batch(&b, args);

    for (size_t i = 0; b.results && i < count; i++)
        clora_generation_free(b.results[i]);
    free(b.prompts);
    free(b.results);
    free(b.ended);
    return status;
}

static int check(const cli_state *cli, const generate_args *args, const opt_group *groups, int count) {
    static const char *const idle[] = {"top-k", "top-p", "min-p", NULL};

    const bool beams = args->generate.beams > 1;
    const int misused = requests_check(cli, &args->requests, groups, count);

    if (misused != CLI_DONE)
        return misused;
    if (beams && (args->sample.temperature != 0 || args->sample.repetition_penalty != 1))
        return cli_misuse(cli, "--beams looks for the most probable text: it has no --temperature and no "
                               "--repetition-penalty");
    if (!beams && opt_given(groups, count, "length-penalty"))
        return cli_misuse(cli, "--length-penalty is for --beams above 1");
    if (beams && opt_given(groups, count, "batch-size"))
        return cli_misuse(cli, "--beams continues one line after the other: it has no --batch-size");
    if (!args->jsonl && opt_given(groups, count, "batch-size"))
        return cli_misuse(cli, "--batch-size is for the lines of --jsonl FILE");
    if (args->chat && !args->prompt && !args->jsonl)
        return cli_misuse(cli,
                          "--chat answers --prompt TEXT or the conversations of --jsonl FILE (clora chat: a talk)");
    if (args->template && !args->chat && !args->jsonl)
        return cli_misuse(cli, "--template is for --chat and for the rows of --jsonl FILE");
    if (args->keys && (args->chat || !args->jsonl))
        return cli_misuse(cli, "--keys is for the rows of --jsonl FILE that are no conversations");
    if (args->prompt && args->jsonl)
        return cli_misuse(cli, "--prompt and --jsonl both say what to continue: give one");
    for (int i = 0; i < args->stop.count; i++)
        if (!*args->stop.items[i])
            return cli_misuse(cli, "--stop '': an empty text would end every generation");
    for (int i = 0; args->sample.temperature == 0 && idle[i]; i++)
        if (opt_given(groups, count, idle[i]))
            cli_note(cli, "--%s changes nothing at temperature 0, which always takes the likeliest token", idle[i]);
    return CLI_DONE;
}

/* --prompt, --jsonl or standard input. */
static int continue_prompts(generate_run *run, const char *path, const generate_args *args) {
    int status = read_prompts(run, path, args);

    if (status == CLI_DONE)
        status = load(run, path, args);
    if (status == CLI_DONE && args->profile)
        status = profile_begin(run->cli, run->context);
    if (status != CLI_DONE)
        return status;
    progress_phase(run->cli->quiet, "prefill; kernels are compiled when they are first used");
    return run->prompts.count == 1 ? generate_one(run, args) : generate_all(run, args);
}

static int run_requests(generate_run *run, const char *path, const generate_args *args) {
    const clora_generate_options usual = options_of(args);
    int status = CLI_DONE;

    if (model_args_load(&run->model, run->cli, run->context, path, &args->model) != CLORA_OK)
        return cli_fail_library(run->cli);
    model_note_head(run->cli, path, clora_model_get_info(run->model)->own_head);
    ends_note_files(run->cli, path, run->tokenizer, clora_model_get_info(run->model));
    if (args->profile)
        status = profile_begin(run->cli, run->context);
    if (status != CLI_DONE)
        return status;
    return requests_run(run->cli, run->model, run->tokenizer, &args->requests, &usual, args->stats);
}

static int run(cli_state *cli, int argc, char **argv) {
    static const char *const names[] = {"MODEL", "ADAPTER", NULL};
    const char *paths[2];
    generate_args args = {.generate = CLORA_GENERATE_OPTIONS_INIT,
                          .sample = CLORA_SAMPLE_OPTIONS_INIT,
                          .batch_size = 8,
                          .requests = REQUESTS_ARGS_INIT};
    opt_group groups[] = {{.heading = "Text", .options = generate_text, .values = &args},
                          {.heading = "Requests", .options = requests_options, .values = &args.requests},
                          {.heading = "Choice of tokens", .options = generate_choice, .values = &args},
                          {.heading = "Search", .options = generate_search, .values = &args},
                          {.heading = "Model", .options = generate_model, .values = &args}};
    generate_run work = {.cli = cli};
    enum { GROUPS = sizeof(groups) / sizeof(groups[0]) };
    int status = opt_parse(cli, groups, GROUPS, names, 1, paths, argc, argv);

    if (status != OPT_GO_ON)
        return status;
    args.generate.sample = &args.sample;
    if (paths[1] && args.requests.file)
        return cli_misuse(cli, "unexpected argument '%s': requests name their adapters", paths[1]);
    status = adapters_add(cli, &args.adapter, paths[1]);
    if (status == CLI_DONE)
        status = check(cli, &args, groups, GROUPS);
    if (status != CLI_DONE)
        return status;
    status = start(&work, paths[0]);
    if (status == CLI_DONE)
        status = args.requests.file ? run_requests(&work, paths[0], &args) : continue_prompts(&work, paths[0], &args);
    const bool told = work.prompts.count == 1 && cli->json; /* the profile is in the one result */
    if (status == CLI_DONE && args.profile && !told) {
        fflush(stdout);
        profile_print(stderr, profile_read(work.context));
    }
    release(&work);
    return status;
}

const command command_generate = {
    .name = "generate",
    .summary = "continue a prompt, with or without an adapter",
    .usage = "MODEL [ADAPTER] [--chat] [--prompt TEXT | --jsonl FILE] [options]\n"
             "       clora generate MODEL --requests FILE [--adapters DIR] [options]",
    .about =
        "Continues a prompt and prints the new text as it comes. It ends at an EOS token of the model, at a --stop "
        "text, after --max-tokens, or when the model's positions are used up.",
    .example = "clora generate models/tiny --adapter my-adapter --prompt \"Once upon a time\"",
    .run = run,
};
