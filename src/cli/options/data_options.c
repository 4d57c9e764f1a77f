#include "cli/options/data_options.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/inputs/data_files.h"
#include "cli/inputs/ends.h"
#include "cli/inputs/row_template.h"
#include "cli/ui/text.h"

enum { STANDARD_LENGTH = 512, PREFERENCE_LENGTH = 1024 /* TRL's */ };

const char *const data_templates[] = {"none", "alpaca", "chatml", NULL};
static const char *const eos_choices[] = {"always", "never", NULL};
enum { STREAM_AUTO, STREAM_ON, STREAM_OFF };
static const char *const stream_choices[] = {"auto", "on", "off", NULL};
#define LARGE_DATA ((off_t)1 << 30) /* bytes of files from which "auto" does not keep them in memory */

const opt data_options[] = {
    {.name = "data",
     .type = OPT_PATHS,
     .offset = offsetof(data_args, data),
     .value = "FILE",
     .flags = OPT_REQUIRED,
     .help = "pairs of a prompt and its completion, or conversations: .jsonl or .json; pairs as .csv or .tsv with a "
             "header row; or .txt (one long text); each also packed by gzip. May be given several times; training "
             "takes FILE:2 "
             "twice in an epoch, FILE:0.1 by a tenth"},
    {.name = "columns",
     .type = OPT_TEXT,
     .offset = offsetof(data_args, columns),
     .value = "C,T",
     .standard = DATA_COLUMNS_STANDARD,
     .help = DATA_COLUMNS_HELP},
    {.name = "max-length",
     .type = OPT_INT,
     .offset = offsetof(data_args, max_length),
     .value = "N",
     .low = 2,
     .high = 2147483647,
     .standard = DATA_LENGTH_STANDARD,
     .help = "longest sequence in tokens; prompts are truncated on the left, targets on the right"},
    {.name = "batch-size",
     .type = OPT_INT,
     .offset = offsetof(data_args, batch_size),
     .value = "N",
     .low = 1,
     .high = 65536,
     .help = "sequences in a batch; with --pack rows"},
    {.name = "pack",
     .type = OPT_SET,
     .offset = offsetof(data_args, pack),
     .help = "put several sequences into each row of --max-length tokens"},
    {.name = "eos",
     .type = OPT_CHOICE,
     .offset = offsetof(data_args, eos),
     .value = "WHEN",
     .choices = eos_choices,
     .help = "end every target with the EOS token: always or never"},
    {.name = "learn-context",
     .type = OPT_SET,
     .offset = offsetof(data_args, learn_context),
     .help = "compute the loss on the prompts as well; of conversations, on every turn"},
    {.name = "stream",
     .type = OPT_CHOICE,
     .offset = offsetof(data_args, stream),
     .value = "WHEN",
     .choices = stream_choices,
     .help = "keep the tokens of --data in a file of the cache directory instead of in memory: auto (from 1 GiB of "
             "data on), on or off; results are the same"},
    {.name = "keys",
     .type = OPT_TEXT,
     .offset = offsetof(data_args, keys),
     .value = "P,C",
     .standard = "",
     .help = DATA_KEYS_HELP},
    {.name = "template",
     .type = OPT_PATH,
     .offset = offsetof(data_args, template),
     .value = "NAME",
     .standard = DATA_TEMPLATE_STANDARD,
     .choices = data_templates,
     .help = DATA_TEMPLATE_HELP},
    {.name = NULL},
};

int data_max_length(const cli_state *cli, const data_args *args, const clora_model_info *model, int *max_length) {
    const int positions = model->max_positions;
    const bool answers = args->kind == CLORA_DATA_PREFERENCE || args->kind == CLORA_DATA_UNPAIRED_PREFERENCE;
    const int standard = answers ? PREFERENCE_LENGTH : STANDARD_LENGTH;

    *max_length = args->max_length ? args->max_length : positions < standard ? positions : standard;
    if (*max_length > positions)
        return cli_fail(cli, "--max-length %d: the model has %s", *max_length,
                        text_amount(positions, "position", "positions"));
    return CLI_DONE;
}

/* What is in a file that its author may not expect. */
static void note_oddities(const cli_state *cli, const char *path, const clora_tokenizer *tokenizer, int32_t eos,
                          const clora_dataset *data) {
    const clora_dataset_stats *s = clora_dataset_get_stats(data);

    ends_note_own(cli, path, tokenizer, clora_tokenizer_bos(tokenizer), s->own_bos);
    ends_note_own(cli, path, tokenizer, eos >= 0 ? eos : clora_tokenizer_eos(tokenizer), s->own_eos);
    if (s->empty_targets > 0)
        cli_note(cli, "%s: %s an empty target: the EOS is the only target token", path,
                 text_amount(s->empty_targets, "pair has", "pairs have"));
    if (s->skipped > 0)
        cli_note(cli, "%s: %s no target token: skipped", path, text_amount(s->skipped, "pair has", "pairs have"));
    if (s->glued > 0)
        cli_note(cli,
                 "%s: in %s nothing parts prompt and completion: begin completions with a blank, or put a --template "
                 "around them (clora inspect --show 1 shows the text)",
                 path, text_amount(s->glued, "pair", "pairs"));
}

static bool is_streamed(const data_args *args, const data_files *files) {
    struct stat info;
    off_t size = 0;

    for (int i = 0; i < files->count; i++)
        size += stat(files->path[i], &info) == 0 ? info.st_size : 0;
    return args->stream == STREAM_ON || (args->stream == STREAM_AUTO && size >= LARGE_DATA);
}

int data_load(const cli_state *cli, const data_args *args, const opt_list *files, const clora_tokenizer *tokenizer,
              const clora_model_info *model, int max_length, clora_dataset **out) {
    clora_dataset_options options = CLORA_DATASET_OPTIONS_INIT;
    const char *path = data_files_text(files);
    row_template template;
    data_files read;

    int status = data_files_read(&read, cli, files, args->weighted);
    if (status == CLI_DONE)
        status = row_template_load(&template, cli, args->model, args->template);
    if (status != CLI_DONE) {
        data_files_finish(&read);
        return status;
    }
    options.chat = template.chat;
    options.pair_template = template.pair;
    options.columns = args->columns;
    options.keys = args->keys;
    options.max_length = max_length;
    options.eos = args->eos == 0;
    options.learn_context = args->learn_context;
    options.kind = args->kind;
    options.labels = args->labels;
    options.stream = is_streamed(args, &read);
    if (clora_tokenizer_eos(tokenizer) < 0 && model->eos_count > 0)
        options.eos_id = model->eos[0];
    const clora_status loaded = clora_dataset_load_files(out, read.item, (size_t)read.count, tokenizer, &options);
    data_files_finish(&read);
    row_template_finish(&template);
    if (loaded == CLORA_ERROR_UNSUPPORTED && template.why[0] && strstr(clora_last_error(), "chat template"))
        return cli_fail(cli, "%s: %s", clora_last_error(), template.why);
    if (loaded != CLORA_OK)
        return cli_fail_library(cli);
    const int32_t largest = clora_dataset_get_stats(*out)->largest_id;
    if (largest >= model->vocab)
        return cli_fail(cli, "%s: the tokenizer gives the id %d, the model knows %s: they do not belong together", path,
                        (int)largest, text_amount(model->vocab, "token", "tokens"));
    note_oddities(cli, path, tokenizer, options.eos_id, *out);
    row_template_note(cli, args->template, args->model, tokenizer);
    return CLI_DONE;
}

void data_print_stats(FILE *out, const char *label, const char *path, const clora_dataset *data) {
    const clora_dataset_stats *s = clora_dataset_get_stats(data);
    const int indent = (int)strlen(label);

    fprintf(out, "%s%s: %s, %s (longest %s), %s target tokens\n", label, path,
            text_amount(s->sequences, "sequence", "sequences"), text_amount(s->tokens, "token", "tokens"),
            text_count(s->longest), text_count(s->target_tokens));
    if (clora_dataset_file(data))
        fprintf(out, "%*sstreamed from %s\n", indent, "", clora_dataset_file(data));
    if (s->truncated_contexts > 0 || s->truncated_targets > 0)
        fprintf(out, "%*stoo long: %s cut on the left, %s on the right\n", indent, "",
                text_amount(s->truncated_contexts, "context", "contexts"),
                text_amount(s->truncated_targets, "target", "targets"));
    if (s->long_prompts > 0)
        fprintf(out, "%*sleft out: %s no room for an answer\n", indent, "",
                text_amount(s->long_prompts, "prompt leaves", "prompts leave"));
    if (s->left_out > 0)
        fprintf(out, "%*sleft out: a last window of one token\n", indent, "");
    if (s->dropped > 0)
        fprintf(out, "%*s%s left out: the vocabulary has no token for them\n", indent, "",
                text_amount(s->dropped, "character or byte is", "characters or bytes are"));
}
