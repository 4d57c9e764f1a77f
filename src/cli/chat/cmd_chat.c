#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <clora/generate.h>

#include "cli/chat/talk.h"
#include "cli/generate/generate_options.h"
#include "cli/inputs/adapters.h"
#include "cli/inputs/ends.h"
#include "cli/options/device.h"
#include "cli/ui/json_out.h"
#include "cli/ui/progress.h"
#include "cli/ui/text.h"

enum { STANDARD_LENGTH = 2048 };

typedef struct chat_args {
    const char *system, *template;
    int max_length;         /* 0: as the help says */
    generate_args generate; /* of which some options are taken */
} chat_args;

static const opt talk_part[] = {
    {.name = "system",
     .type = OPT_TEXT,
     .offset = offsetof(chat_args, system),
     .value = "TEXT",
     .standard = "",
     .help = "what the assistant is told before the first turn"},
    {.name = "template",
     .type = OPT_PATH,
     .offset = offsetof(chat_args, template),
     .value = "FILE",
     .help = "chatml, or a file with the chat template to use instead of the model's"},
    {.name = "max-tokens",
     .type = OPT_INT,
     .offset = offsetof(chat_args, generate.generate.max_tokens),
     .value = "N",
     .low = 1,
     .high = 2147483647,
     .help = "tokens of an answer at most"},
    {.name = "max-length",
     .type = OPT_INT,
     .offset = offsetof(chat_args, max_length),
     .value = "N",
     .low = 2,
     .high = 2147483647,
     .standard = "2048, or less where the model ends earlier",
     .help = "longest conversation in tokens"},
    {.name = NULL},
};

typedef struct chat_run {
    const cli_state *cli;
    const chat_args *args;
    clora_context *context;
    clora_tokenizer *tokenizer;
    clora_chat *chat;
    clora_model *model;
    clora_adapter *adapter;
    clora_session *session;
    int capacity;
    talk talk;
} chat_run;

static void release(chat_run *run) {
    talk_finish(&run->talk);
    clora_session_free(run->session);
    clora_adapter_free(run->adapter);
    clora_model_free(run->model);
    clora_chat_free(run->chat);
    clora_tokenizer_free(run->tokenizer);
    cli_context_free(run->context, run->cli);
}

static int load(chat_run *run, const char *path) {
    progress_phase(run->cli->quiet, "loading %s", path);
    if (clora_chat_load(&run->chat, path, run->args->template) != CLORA_OK ||
        clora_tokenizer_load(&run->tokenizer, path) != CLORA_OK ||
        cli_context_create(&run->context, run->cli) != CLORA_OK ||
        model_args_load(&run->model, run->cli, run->context, path, &run->args->generate.model) != CLORA_OK)
        return cli_fail_library(run->cli);
    const clora_model_info *info = clora_model_get_info(run->model);
    const int wanted = run->args->max_length ? run->args->max_length : STANDARD_LENGTH;
    model_note_head(run->cli, path, info->own_head);
    ends_note_files(run->cli, path, run->tokenizer, info);
    if (run->args->max_length > info->max_positions)
        return cli_fail(run->cli, "--max-length %d: the model has %s", run->args->max_length,
                        text_amount(info->max_positions, "position", "positions"));
    const int status = adapters_load(run->cli, &run->adapter, run->model, &run->args->generate.adapter);
    if (status != CLI_DONE)
        return status;
    run->capacity = wanted < info->max_positions ? wanted : info->max_positions;
    if (clora_session_create(&run->session, run->model, 1, run->capacity) != CLORA_OK ||
        clora_session_set_adapter(run->session, run->adapter) != CLORA_OK)
        return cli_fail_library(run->cli);
    return talk_reset(&run->talk) ? CLI_DONE : cli_fail(run->cli, "--system: not UTF-8, or no memory");
}

static int print_piece(void *user, const char *text, size_t size) {
    (void)user;
    return fwrite(text, 1, size, stdout) != size || fflush(stdout) != 0; /* a reader who went away ends it */
}

/* The answer to what was said, printed as it comes; it is said too. */
static int answer(chat_run *run, const clora_chat_text *asked) {
    const int past = clora_adapter_past(run->adapter), room = run->capacity - past - (int)asked->count + 1;
    clora_generate_options options = run->args->generate.generate;
    clora_generation *given;

    options.max_tokens = options.max_tokens < room ? options.max_tokens : room;
    options.callback = run->cli->json ? NULL : print_piece;
    if (!cli_went(clora_generate(&given, run->session, run->tokenizer, asked->ids, asked->count, &options)))
        return cli_fail_library(run->cli);
    int status = talk_say(&run->talk, "assistant", given->text, given->size)
                     ? CLI_DONE
                     : cli_fail(run->cli, "no memory to talk on");
    if (status == CLI_DONE && run->cli->json)
        status = json_print(run->cli, json_pack("{s:s, s:o, s:s}", "role", "assistant", "content",
                                                json_stringn(given->text, given->size), "stop",
                                                clora_stop_reason_name(given->stop)));
    else if (!run->cli->json)
        putchar('\n');
    fflush(stdout);
    clora_generation_free(given);
    return status;
}

/* The conversation as the model reads it, up to the answer. */
static int ask(const chat_run *run, clora_chat_text **asked) {
    clora_chat_options options = CLORA_CHAT_OPTIONS_INIT;
    char *row = talk_row(&run->talk);
    int status = row ? CLI_DONE : cli_fail(run->cli, "no memory to talk on");

    options.generation_prompt = 1;
    options.learn = 0;
    *asked = NULL;
    if (row && clora_chat_encode(asked, run->chat, run->tokenizer, row, strlen(row), &options) != CLORA_OK)
        status = cli_fail_library(run->cli);
    else if (row && (*asked)->count == 0)
        status = cli_fail(run->cli, "the template makes an empty text of the conversation");
    free(row);
    return status;
}

static int fits(const chat_run *run, const clora_chat_text *asked) {
    return asked->count + (size_t)clora_adapter_past(run->adapter) <= (size_t)run->capacity;
}

static int take_turn(chat_run *run, const char *line, size_t size) {
    clora_chat_text *asked;

    if (!talk_say(&run->talk, "user", line, size)) {
        cli_note(run->cli, "this line is not UTF-8");
        return CLI_DONE;
    }
    int status = ask(run, &asked);
    if (status == CLI_DONE && fits(run, asked)) {
        status = answer(run, asked);
    } else if (status == CLI_DONE) {
        cli_note(run->cli, "with this the conversation has %s, more than %d: /reset begins a new one",
                 text_amount((int64_t)asked->count, "token", "tokens"), run->capacity);
        talk_take_back(&run->talk);
    }
    clora_chat_text_free(asked);
    return status;
}

/* A line that begins with a slash. */
static void obey(chat_run *run, const char *line) {
    if (strcmp(line, "/reset") == 0)
        talk_reset(&run->talk);
    else if (strncmp(line, "/save ", 6) == 0 && line[6])
        talk_save(&run->talk, run->cli, line + 6);
    else
        cli_note(run->cli, "%s: there are /reset, /save FILE and /quit", line);
}

static int converse(chat_run *run) {
    const int terminal = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
    int status = CLI_DONE;
    char *line = NULL;
    size_t room = 0;

    progress_clear_all();
    while (status == CLI_DONE) {
        if (terminal) {
            fputs("> ", stdout);
            fflush(stdout);
        }
        ssize_t size = getline(&line, &room, stdin);
        if (size <= 0)
            break;
        while (size > 0 && (line[size - 1] == '\n' || line[size - 1] == '\r'))
            line[--size] = '\0';
        if (strcmp(line, "/quit") == 0)
            break;
        if (*line == '/')
            obey(run, line);
        else if (size > 0)
            status = take_turn(run, line, (size_t)size);
    }
    free(line);
    return status;
}

static int run(cli_state *cli, int argc, char **argv) {
    static const char *const names[] = {"MODEL", "ADAPTER", NULL};
    const char *paths[2];
    chat_args args = {.generate = {.generate = CLORA_GENERATE_OPTIONS_INIT, .sample = CLORA_SAMPLE_OPTIONS_INIT}};
    opt_group groups[] = {{.heading = "Conversation", .options = talk_part, .values = &args},
                          {.heading = "Choice of tokens", .options = generate_choice, .values = &args.generate},
                          {.heading = "Model", .options = generate_model, .values = &args.generate}};
    chat_run work = {.cli = cli, .args = &args};

    args.generate.generate.max_tokens = 512;
    args.generate.generate.sample = &args.generate.sample;
    int status = opt_parse(cli, groups, 3, names, 1, paths, argc, argv);
    if (status != OPT_GO_ON)
        return status;
    work.talk.system = args.system;
    status = adapters_add(cli, &args.generate.adapter, paths[1]);
    if (status == CLI_DONE)
        status = load(&work, paths[0]);
    if (status == CLI_DONE)
        status = converse(&work);
    release(&work);
    return status;
}

const command command_chat = {
    .name = "chat",
    .summary = "talk with a model, with or without an adapter",
    .usage = "MODEL [ADAPTER] [options]",
    .about =
        "Answers each line of standard input as the next turn of one conversation, by the model's chat template; the "
        "answers are printed as they come. /reset forgets what was said, /save FILE writes it as a row of training "
        "data, /quit or the end of the input ends.",
    .example = "clora chat models/smollm2 --system \"Answer in one sentence.\" --temperature 0.7",
    .run = run,
};
