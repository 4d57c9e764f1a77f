#include <ctype.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <clora/chat.h>
#include <clora/tokenizer.h>

#include "cli/cli.h"
#include "cli/inputs/input.h"
#include "cli/inputs/row_template.h"
#include "cli/inspect/inspect_show.h"
#include "cli/ui/json_out.h"
#include "cli/inputs/jsonl.h"
#include "cli/options/data_options.h"
#include "cli/options/opt.h"
#include "cli/ui/text.h"

typedef struct tokenize_args {
    const char *jsonl;
    const char *template, *keys;
    int special, decode, tokens, chat, generation_prompt, rows;
} tokenize_args;

static const opt options[] = {
    {.name = "jsonl",
     .type = OPT_PATH,
     .offset = offsetof(tokenize_args, jsonl),
     .value = "FILE",
     .help = "tokenize the \"text\" of every row of a JSONL or JSON file ('-' is standard input); prints "
             "{\"ids\":[...]} for "
             "each"},
    {.name = "special",
     .type = OPT_SET,
     .offset = offsetof(tokenize_args, special),
     .help =
         "add the tokens that begin or end a sequence, as the model expects them; with --decode, show special tokens"},
    {.name = "tokens",
     .type = OPT_SET,
     .offset = offsetof(tokenize_args, tokens),
     .help = "one line for each token: its id and how the vocabulary writes it"},
    {.name = "decode",
     .type = OPT_SET,
     .offset = offsetof(tokenize_args, decode),
     .help = "the other way: TEXT is a list of ids, such as \"[5, 17]\" or \"5 17\"; prints their text"},
    {.name = "chat",
     .type = OPT_SET,
     .offset = offsetof(tokenize_args, chat),
     .help = "the rows of --jsonl are conversations (\"messages\"): prints {\"text\",\"ids\",\"target\"} for each; "
             "target is 1 for target tokens, those of the assistant"},
    {.name = "generation-prompt",
     .type = OPT_SET,
     .offset = offsetof(tokenize_args, generation_prompt),
     .help = "with --chat: end each text with what begins an answer"},
    {.name = "rows",
     .type = OPT_SET,
     .offset = offsetof(tokenize_args, rows),
     .help = "the rows of --jsonl are pairs or whatever else train reads, and become what it makes of them: prints "
             "{\"text\",\"ids\",\"target\"} for each"},
    {.name = "keys",
     .type = OPT_TEXT,
     .offset = offsetof(tokenize_args, keys),
     .value = "P,C",
     .standard = "",
     .help = "the same of rows with keys of their own: those of prompt and completion, or the text's alone"},
    {.name = "template",
     .type = OPT_PATH,
     .offset = offsetof(tokenize_args, template),
     .value = "NAME",
     .choices = data_templates,
     .help = "with --chat: chatml, or a file with the chat template to use instead of the model's; with --rows or "
             "--keys: as in train"},
    {.name = NULL},
};

/* What is worked on: for messages, and so that the parts need few arguments. */
typedef struct tokenize_job {
    const cli_state *cli;
    const clora_tokenizer *tokenizer;
    const clora_chat *chat;
    const tokenize_args *args;
} tokenize_job;

/* Where a text came from, which begins what is said of it: "pairs.jsonl: line 3: ". Empty for the only text. */
static int encode(const tokenize_job *job, const char *where, const char *text, size_t size, int32_t **ids,
                  size_t *count) {
    size_t dropped = 0;

    if (clora_tokenizer_encode(job->tokenizer, text, size, job->args->special, ids, count) != CLORA_OK)
        return cli_fail(job->cli, "%s%s", where, clora_last_error());
    if (clora_tokenizer_count_dropped(job->tokenizer, text, size, &dropped) == CLORA_OK && dropped > 0)
        cli_note(job->cli, "%s%s left out: the vocabulary has no token for them", where,
                 text_amount((int64_t)dropped, "character or byte is", "characters or bytes are"));
    return OPT_GO_ON;
}

static int print_tokens(const tokenize_job *job, const int32_t *ids, size_t count) {
    for (size_t i = 0; i < count; i++) {
        size_t size = 0;
        const char *token = clora_tokenizer_token(job->tokenizer, ids[i], &size);
        char *shown = json_quoted(token ? token : "", size);
        if (!shown)
            return cli_fail(job->cli, "token %d cannot be shown", (int)ids[i]);
        printf("%7d  %s\n", (int)ids[i], shown);
        free(shown);
    }
    return CLI_DONE;
}

static int tokenize_text(const tokenize_job *job, const char *text, size_t size) {
    int32_t *ids = NULL;
    size_t count = 0;
    int status = encode(job, "", text, size, &ids, &count);

    if (status == OPT_GO_ON)
        status = job->args->tokens ? print_tokens(job, ids, count) : json_print(job->cli, json_ids(ids, count));
    free(ids);
    return status;
}

static int tokenize_row(void *user, const char *where, const char *text, size_t size) {
    const tokenize_job *job = user;
    int32_t *ids = NULL;
    size_t count = 0;
    int status = encode(job, where, text, size, &ids, &count);

    if (status == OPT_GO_ON)
        status = json_print(job->cli, json_pack("{s:o}", "ids", json_ids(ids, count)));
    free(ids);
    return status;
}

static int tokenize_chat(void *user, const char *where, const char *row, size_t size) {
    const tokenize_job *job = user;
    clora_chat_options options = CLORA_CHAT_OPTIONS_INIT;
    json_t *target = json_array();
    clora_chat_text *text;

    options.generation_prompt = job->args->generation_prompt;
    if (clora_chat_encode(&text, job->chat, job->tokenizer, row, size, &options) != CLORA_OK) {
        json_decref(target);
        return cli_fail(job->cli, "%s%s", where, clora_last_error());
    }
    for (size_t i = 0; i < text->count; i++)
        json_push(&target, json_integer(text->target[i]));
    const int status = json_print(job->cli, json_pack("{s:o, s:o, s:o}", "text", json_stringn(text->text, text->size),
                                                      "ids", json_ids(text->ids, text->count), "target", target));
    clora_chat_text_free(text);
    return status;
}

/* Every conversation of a file. */
static int work_on_chats(tokenize_job *job, const char *model) {
    clora_chat *chat = NULL;

    if (clora_chat_load(&chat, model, job->args->template) != CLORA_OK)
        return cli_fail_library(job->cli);
    job->chat = chat;
    const int status = jsonl_read_rows(job->cli, job->args->jsonl, tokenize_chat, job);
    clora_chat_free(chat);
    return status;
}

/* ---- Rows as training has them ---- */

static int print_rows(const tokenize_job *job, const clora_dataset *data) {
    const size_t count = clora_dataset_count(data);
    int status = CLI_DONE;

    for (size_t row = 0; row < count && status == CLI_DONE && !ferror(stdout); row++)
        status = json_print(job->cli, inspect_row_json(data, job->tokenizer, (int)row));
    return status;
}

/* Of any length: what --max-length cuts is what a run says. */
static int load_rows(const tokenize_job *job, const row_template *template, clora_dataset **data) {
    clora_dataset_options options = CLORA_DATASET_OPTIONS_INIT;

    options.max_length = INT_MAX;
    options.keys = job->args->keys;
    options.chat = template->chat;
    options.pair_template = template->pair;
    options.eos = clora_tokenizer_eos(job->tokenizer) >= 0;
    if (clora_dataset_load(data, job->args->jsonl, job->tokenizer, &options) == CLORA_OK)
        return CLI_DONE;
    return template->why[0] && strstr(clora_last_error(), "chat template")
               ? cli_fail(job->cli, "%s: %s", clora_last_error(), template->why)
               : cli_fail_library(job->cli);
}

static int work_on_rows(const tokenize_job *job, const char *model) {
    clora_dataset *data = NULL;
    row_template template;
    int status = row_template_load(&template, job->cli, model, job->args->template);

    if (status == CLI_DONE)
        status = load_rows(job, &template, &data);
    row_template_finish(&template);
    if (status == CLI_DONE)
        status = print_rows(job, data);
    if (status == CLI_DONE && clora_dataset_get_stats(data)->skipped > 0)
        cli_note(job->cli, "%s: %s no target token: skipped", job->args->jsonl,
                 text_amount(clora_dataset_get_stats(data)->skipped, "row has", "rows have"));
    clora_dataset_free(data);
    return status;
}

/* "[1, 2]", "1,2" or "1 2". The brackets and commas say nothing that the numbers do not. */
static int parse_ids(const tokenize_job *job, const char *text, int32_t **ids, size_t *count) {
    const int32_t vocab = clora_tokenizer_vocab_size(job->tokenizer);
    size_t room = 0;

    for (const char *at = text;;) {
        at += strspn(at, " \t\r\n,[]");
        if (!*at)
            return OPT_GO_ON;
        char *end = NULL;
        const long id = strtol(at, &end, 10);
        if (!isdigit((unsigned char)*at) || (*end && !strchr(" \t\r\n,]", *end)))
            return cli_fail(job->cli, "'%.20s' is not a token id; --decode takes numbers such as \"[5, 17]\"", at);
        if (id >= vocab)
            return cli_fail(job->cli, "token id %.*s is beyond the vocabulary of %s", (int)(end - at), at,
                            text_amount(vocab, "token", "tokens"));
        if (*count == room) {
            room = room ? 2 * room : 64;
            int32_t *larger = realloc(*ids, room * sizeof(**ids));
            if (!larger)
                return cli_fail(job->cli, "no memory for the ids");
            *ids = larger;
        }
        (*ids)[(*count)++] = (int32_t)id;
        at = end;
    }
}

static int decode_ids(const tokenize_job *job, const char *list) {
    int32_t *ids = NULL;
    size_t count = 0, size = 0;
    char *text = NULL;
    int status = parse_ids(job, list, &ids, &count);

    if (status != OPT_GO_ON)
        goto done;
    status = CLI_DONE;
    if (clora_tokenizer_decode(job->tokenizer, ids, count, !job->args->special, &text, &size) != CLORA_OK) {
        status = cli_fail_library(job->cli);
    } else if (job->cli->json) {
        status = json_print(job->cli, json_pack("{s:o}", "text", json_stringn(text, size)));
    } else {
        fwrite(text, 1, size, stdout);
        putchar('\n');
    }
done:
    free(text);
    free(ids);
    return status;
}

/* TEXT of the command line, else all of standard input, byte for byte. */
static int work_on_text(const tokenize_job *job, const char *given) {
    char *input = NULL;
    size_t size = given ? strlen(given) : 0;
    int status = CLI_DONE;

    if (!given)
        status = input_read_standard(job->cli, &input, &size, job->args->decode ? "ids" : "text");
    const char *text = given ? given : input;
    if (status == CLI_DONE)
        status = job->args->decode ? decode_ids(job, text) : tokenize_text(job, text, size);
    free(input);
    return status;
}

static int run(cli_state *cli, int argc, char **argv) {
    static const char *const names[] = {"MODEL", "TEXT", NULL};
    const char *words[2];
    tokenize_args args = {.jsonl = NULL};
    opt_group groups[] = {{.heading = "Options", .options = options, .values = &args}};
    clora_tokenizer *tokenizer = NULL;
    int status = opt_parse(cli, groups, 1, names, 1, words, argc, argv);

    if (status != OPT_GO_ON)
        return status;
    const bool rows = args.rows || args.keys;
    if (args.jsonl && (words[1] || args.decode || args.tokens))
        return cli_misuse(cli, "--jsonl goes with neither TEXT nor --decode nor --tokens");
    if (args.chat && (!args.jsonl || args.special))
        return cli_misuse(cli,
                          "--chat takes conversations from --jsonl FILE, and has no --special: the template has all");
    if (rows && (!args.jsonl || args.chat || args.special))
        return cli_misuse(cli,
                          "--rows and --keys take rows from --jsonl FILE, and go with neither --chat nor --special");
    if (!args.chat && (args.generation_prompt || (args.template && !rows)))
        return cli_misuse(cli, "--generation-prompt is for --chat, --template for --chat, --rows and --keys");
    if (args.tokens && (args.decode || cli->json))
        return cli_misuse(cli, "--tokens goes with neither --decode nor --json");
    if (clora_tokenizer_load(&tokenizer, words[0]) != CLORA_OK)
        return cli_fail_library(cli);
    tokenize_job job = {cli, tokenizer, NULL, &args};
    status = args.chat    ? work_on_chats(&job, words[0])
             : rows       ? work_on_rows(&job, words[0])
             : args.jsonl ? jsonl_read(cli, args.jsonl, tokenize_row, &job)
                          : work_on_text(&job, words[1]);
    clora_tokenizer_free(tokenizer);
    return status;
}

const command command_tokenize = {
    .name = "tokenize",
    .summary = "turn text into token ids, or ids into text",
    .usage = "MODEL [TEXT | [--chat | --rows] --jsonl FILE] [options]",
    .about =
        "Prints the token ids of TEXT, or of standard input, as a JSON array. Special tokens that are written in the "
        "text, such as </s>, become their ids. The tokens that begin and end a sequence are added only with --special. "
        "Tokenizing runs on the host: --device has no effect.",
    .example = "clora tokenize models/tiny \"once upon a time\" --tokens",
    .run = run,
};
