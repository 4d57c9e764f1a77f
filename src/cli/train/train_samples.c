#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <clora/generate.h>

#include "cli/generate/prompt.h"
#include "cli/inputs/jsonl.h"
#include "cli/ui/interrupt.h"
#include "cli/ui/json_out.h"
#include "cli/train/cmd_train.h"

typedef struct train_samples {
    prompt_list prompts;
    int capacity; /* of the session: the longest prompt, and new tokens */
} train_samples;

/* ---- prompts ---- */

static bool ends_with(const char *text, const char *end) {
    const size_t n = strlen(text), m = strlen(end);

    return n >= m && strcasecmp(text + n - m, end) == 0;
}

/* One prompt a line; blank ones part them for the eye. */
static int read_lines(const cli_state *cli, prompt_list *list, const clora_tokenizer *tokenizer, const char *path,
                      FILE *stream) {
    char *line = NULL, where[4352];
    size_t room = 0, number = 0;
    int status = CLI_DONE;
    ssize_t size;

    while (status == CLI_DONE && (size = getline(&line, &room, stream)) > 0) {
        snprintf(where, sizeof(where), "%s: line %zu: ", path, ++number);
        size -= line[size - 1] == '\n';
        size -= size > 0 && line[size - 1] == '\r';
        if (size > 0)
            status = prompt_add(cli, list, tokenizer, where, line, (size_t)size);
    }
    free(line);
    if (status == CLI_DONE && ferror(stream))
        return cli_fail(cli, "cannot read %s: %s", path, strerror(errno));
    return status;
}

static int read_text(const cli_state *cli, prompt_list *list, const clora_tokenizer *tokenizer, const char *path) {
    FILE *stream = fopen(path, "rbe");

    if (!stream)
        return cli_fail(cli, "cannot open %s: %s", path, strerror(errno));
    const int status = read_lines(cli, list, tokenizer, path, stream);
    fclose(stream);
    return status == CLI_DONE && list->count == 0 ? cli_fail(cli, "%s holds no prompts", path) : status;
}

enum { SEEN = -1 }; /* no row after the first is wanted */

static int look_at_row(void *user, const char *where, const char *text, size_t size) {
    json_t *row = json_loadb(text, size, 0, NULL);

    (void)where;
    *(bool *)user = json_object_get(row, "messages") || json_object_get(row, "conversations");
    json_decref(row);
    return SEEN;
}

static int read_chats(const train_state *state, prompt_list *list, const char *path) {
    clora_chat *chat = NULL;

    if (clora_chat_load(&chat, state->args->model_path, state->args->data.template) != CLORA_OK)
        return cli_fail_library(state->cli);
    const int status = prompt_add_chats(state->cli, list, state->tokenizer, chat, path);
    clora_chat_free(chat);
    return status;
}

static int read_rows(const train_state *state, prompt_list *list, const char *path) {
    const train_args *args = state->args;
    bool are_chats = false;
    const int status = jsonl_read_rows(state->cli, path, look_at_row, &are_chats);

    if (status != SEEN && status != CLI_DONE)
        return status;
    if (are_chats)
        return read_chats(state, list, path);
    return prompt_add_rows(state->cli, list, state->tokenizer, path,
                           &(prompt_rows){args->model_path, args->data.template, args->data.keys});
}

static int read_prompts(const train_state *state, prompt_list *list) {
    const char *path = state->args->sample_prompts;

    if (ends_with(path, ".jsonl") || ends_with(path, ".ndjson") || ends_with(path, ".json"))
        return read_rows(state, list, path);
    return read_text(state->cli, list, state->tokenizer, path);
}

int train_samples_load(train_state *state) {
    const int64_t past = clora_adapter_past(state->adapter);
    const int64_t positions = clora_model_get_info(state->model)->max_positions;

    if (!state->args->sample_prompts)
        return CLI_DONE;
    train_samples *samples = state->samples = calloc(1, sizeof(*samples));
    if (!samples)
        return cli_fail(state->cli, "no memory for prompts");
    const int status = read_prompts(state, &samples->prompts);
    if (status != CLI_DONE)
        return status;
    const int64_t longest = past + (int64_t)samples->prompts.longest, all = longest + state->args->sample_tokens - 1;
    if (longest > positions)
        return cli_fail(state->cli, "%s: a prompt takes %lld positions, the model has %lld: shorten it",
                        state->args->sample_prompts, (long long)longest, (long long)positions);
    samples->capacity = (int)(all < positions ? all : positions);
    return CLI_DONE;
}

void train_samples_free(train_state *state) {
    if (state->samples)
        prompt_list_finish(&state->samples->prompts);
    free(state->samples);
    state->samples = NULL;
}

/* ---- texts ---- */

static int go_on(void *user, const char *text, size_t size) {
    (void)user;
    (void)text;
    (void)size;
    return interrupt_seen();
}

static json_t *sample_one(const train_state *state, clora_session *session, const prompt *p) {
    clora_generate_options options = CLORA_GENERATE_OPTIONS_INIT;
    clora_generation *g = NULL;
    json_t *sample = NULL;
    char *text = NULL;
    size_t size = 0;

    options.max_tokens = state->args->sample_tokens;
    options.callback = go_on;
    if (clora_generate(&g, session, state->tokenizer, p->ids, p->count, &options) == CLORA_OK &&
        clora_tokenizer_decode(state->tokenizer, p->ids, p->count, 1, &text, &size) == CLORA_OK)
        sample = json_pack("{s:o, s:o}", "prompt", json_stringn(text, size), "sample", json_stringn(g->text, g->size));
    free(text);
    clora_generation_free(g);
    return sample;
}

/* NULL after a failure. The session is there only meanwhile: training has the rest of the memory. */
static json_t *sample_all(const train_state *state) {
    const prompt_list *prompts = &state->samples->prompts;
    clora_session *session = NULL;
    json_t *all = json_array();

    if (clora_session_create(&session, state->model, 1, state->samples->capacity) != CLORA_OK ||
        clora_session_set_adapter(session, state->adapter) != CLORA_OK) {
        json_decref(all);
        all = NULL;
    }
    for (size_t i = 0; all && i < prompts->count && !interrupt_seen(); i++)
        json_push(&all, sample_one(state, session, &prompts->items[i]));
    clora_session_free(session);
    return all;
}

/* Both texts as JSON has them, on one line. */
static void show(const train_state *state, const json_t *sample) {
    char *prompt = json_dumps(json_object_get(sample, "prompt"), JSON_ENCODE_ANY);
    char *text = json_dumps(json_object_get(sample, "sample"), JSON_ENCODE_ANY);

    if (prompt && text && !state->cli->quiet) {
        progress_clear_all();
        fprintf(state->report, "sample %s: %s\n", prompt, text);
        fflush(state->report);
    }
    free(prompt);
    free(text);
}

void train_samples_show(train_state *state) {
    json_t *all = sample_all(state), *sample;
    size_t i;

    if (!all && !interrupt_seen())
        cli_note(state->cli, "no samples after step %d: %s", state->last.step, clora_last_error());
    /* of a round that is interrupted there are none: a run that goes on makes all of it */
    if (!interrupt_seen()) {
        state->sample_step = state->last.step;
        json_array_foreach (all, i, sample) {
            train_log_sample(&state->log, state->last.step, sample);
            show(state, sample);
        }
    }
    json_decref(all);
}
