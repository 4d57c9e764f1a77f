#ifndef CLI_DATA_OPTIONS_H
#define CLI_DATA_OPTIONS_H

#include <stdio.h>

#include <clora/dataset.h>
#include <clora/model.h>

#include "cli/options/opt.h"

/* The one file of a list. */
#define DATA_FILE(path) (&(const opt_list){{(path)}, 1})

/* The options of train and eval that say what the data is and how it is cut into batches. */
typedef struct data_args {
    opt_list data; /* FILE or FILE:WEIGHT */
    const char *columns, *keys;
    int max_length; /* 0: min(512, the model's positions) */
    int batch_size, pack;
    int eos; /* index into always, never */
    int learn_context;
    int stream;                /* index into auto, on, off */
    const char *template;      /* none, alpaca, chatml or a file; NULL: none, of conversations the model's */
    const char *model;         /* no option: the directory of the model whose template that is */
    bool weighted;             /* nor this: files may have weights */
    clora_data_kind kind;      /* no option: what the command wants */
    const char *const *labels; /* nor this: of texts with labels, the names that there may be; NULL: any */
} data_args;

#define DATA_ARGS_INIT(batch) \
    { {{NULL}, 0}, NULL, NULL, 0, (batch), 0, 0, 0, 0, NULL, NULL, false, CLORA_DATA_PAIRS, NULL }

#define DATA_COLUMNS_HELP                                                                                             \
    "of a .csv or .tsv file, the columns of context and target, or the target's alone, by name or by number from 1; " \
    "a "                                                                                                              \
    "name that holds a comma stands in double quotes"
#define DATA_COLUMNS_STANDARD "context,target"
#define DATA_KEYS_HELP                                                                                          \
    "of JSON rows with keys of their own: those of prompt and completion, or the text's alone; the rest as in " \
    "--columns"
#define DATA_TEMPLATE_HELP                                                                                            \
    "how a prompt and its completion become text: none (one after the other), alpaca, chatml, or a file with a chat " \
    "template, which conversations (\"messages\") take instead of the model's"
#define DATA_TEMPLATE_STANDARD "none; of conversations the model's own"
#define DATA_LENGTH_STANDARD "512, or less where the model ends earlier"

extern const opt data_options[];
extern const char *const data_templates[]; /* names that --template takes beside files */

/* What --max-length means for this model; CLI_FAILED after saying that the model is shorter. */
int data_max_length(const cli_state *cli, const data_args *args, const clora_model_info *model, int *max_length);

/* Read files of pairs with these options for a model, as one dataset. */
int data_load(const cli_state *cli, const data_args *args, const opt_list *files, const clora_tokenizer *tokenizer,
              const clora_model_info *model, int max_length, clora_dataset **out);

/* "label PATH: 1,024 sequences, ..." and what did not fit, indented as far as the label. */
void data_print_stats(FILE *out, const char *label, const char *path, const clora_dataset *data);

#endif
