#ifndef CLI_CMD_TRAIN_H
#define CLI_CMD_TRAIN_H

#include <stdbool.h>
#include <stdio.h>
#include <time.h>

#include <jansson.h>

#include <clora/bottleneck.h>
#include <clora/full.h>
#include <clora/output.h>
#include <clora/prefix.h>
#include <clora/train.h>

#include "cli/cli.h"
#include "cli/options/data_options.h"
#include "cli/options/model_options.h"
#include "cli/options/opt.h"
#include "cli/ui/progress.h"

/* The parts of `clora train`: cmd_train.c has the options, train_load.c what is made before the first step, train_run.c
 * the loop, train_report.c what is said, train_log.c the JSONL file, train_record.c what a run leaves about itself,
 * train_board.c TensorBoard's file, train_best.c the best state and when to stop, train_samples.c texts in between,
 * train_checkpoint.c and train_resume.c what a run goes on from, train_methods.c what is trained, train_objective.c
 * what is minimised. */

/* Beside the adapter. */
#define TRAIN_LOG "log.jsonl"
#define TRAIN_RECORD "run.json"
#define TRAIN_BEST "best"

/* The methods, in the order in which they are made and saved. */
enum {
    TRAIN_LORA,
    TRAIN_BOTTLENECK,
    TRAIN_FULL,
    TRAIN_BIAS,
    TRAIN_NORMS,
    TRAIN_PREFIX,
    TRAIN_PROMPT,
    TRAIN_METHOD_COUNT
};
#define TRAIN_METHODS "lora, adapter, full, bias, norms, prefix, prompt"

/* Of prefix and of prompt. */
typedef struct train_past_args {
    clora_prefix_options options;
    const char *text; /* that it begins as, or NULL */
} train_past_args;

typedef struct train_args {
    const char *model_path;
    const char *method, *out, *val, *log, *init_adapter, *resume;
    const char *sample_prompts, *tensorboard;
    uint64_t memory; /* bytes; 0: no limit */
    int eval_every, save_every, profile, validate, objective;
    int keep; /* checkpoints */
    bool keep_given;
    int best, patience;
    int sample_every, sample_tokens;
    int replan;
    int adapter_dtype; /* of lora's files: a clora_dtype */
    data_args data;
    model_args model;
    clora_adapter_options adapter;
    clora_bottleneck_options bottleneck;
    clora_full_options full;
    train_past_args prefix, prompt;
    clora_train_options train;
    bool from_scratch;                /* the model's weights are made anew */
    bool methods[TRAIN_METHOD_COUNT]; /* that --method names */
    const opt_group *method_groups;   /* each method's options, as they were given */
} train_args;

#define TRAIN_ARGS_INIT                                                                                     \
    {                                                                                                       \
        .method = "lora", .keep = 1, .sample_tokens = 64, .data = DATA_ARGS_INIT(4),                        \
        .adapter = CLORA_ADAPTER_OPTIONS_INIT, .bottleneck = CLORA_BOTTLENECK_OPTIONS_INIT,                 \
        .prefix = {.options = CLORA_PREFIX_OPTIONS_INIT}, .prompt = {.options = CLORA_PREFIX_OPTIONS_INIT}, \
        .train = CLORA_TRAIN_OPTIONS_INIT                                                                   \
    }

#define TRAIN_NO_MOMENTUM "--momentum is for --optimizer sgd"

/* A JSONL file that grows by a line for each step and each validation. A NULL path makes every call do nothing. */
typedef struct train_log {
    const char *path;
    FILE *stream;
    bool created; /* by this run */
    bool is_file; /* that can hold lines of earlier runs */
    bool cut_off; /* its last line has no end */
    bool rewards; /* lines have them */
    int error;    /* errno of the first write that failed */
} train_log;

/* Before the work, or a log in the output directory when that is made. A file is locked until the end; a pipe or a
 * device is written to as it is. */
int train_log_open(const cli_state *cli, train_log *log, const train_args *args, bool have_output);
/* What the file holds must be the log of earlier runs, after which this one's lines go. */
int train_log_check(const cli_state *cli, train_log *log);
/* A run that was killed before it had anything to keep has left its log, alone in the directory: that goes. */
void train_log_sweep(const cli_state *cli, const char *out);
void train_log_discard(train_log *log);                  /* of a run that did not begin: a file that it made goes */
json_t *train_log_rewards(const clora_rewards *rewards); /* NULL without memory */
void train_log_step(train_log *log, const clora_train_step *step);
void train_log_validation(train_log *log, int step, double loss);
void train_log_sample(train_log *log, int step, json_t *sample); /* "prompt" and "sample" */
void train_log_close(train_log *log);                            /* a failure shows in error; one without lines goes */

/* The lowest loss of validations after steps. */
typedef struct train_best {
    int step; /* 0: there was none yet */
    double loss;
    int since; /* validations after it */
} train_best;

/* All that a run needs, in the order in which it is made. */
typedef struct train_state {
    const cli_state *cli;
    train_args *args;
    const struct train_resume *resume;
    clora_output *output; /* the claim on --out, from when the run begins */
    bool begun;           /* from here on the log has lines */
    FILE *report;         /* for people: standard output, or standard error beside --json */
    clora_context *context;
    clora_tokenizer *tokenizer;
    clora_dataset *data, *val;
    clora_model *model;
    clora_adapter *part[TRAIN_METHOD_COUNT]; /* of each method */
    clora_adapter *adapter;                  /* the one part, or the parts joined */
    clora_adapter *reference;                /* of preferences, where an adapter is continued: what it was */
    clora_trainer *trainer;
    int max_length; /* of a sequence, and of a row with --pack */
    train_log log;
    char *own_log; /* its name, where none was given */
    struct train_samples *samples;
    struct event_file *board;
    progress bar;
    /* what has happened so far */
    clora_train_step last; /* step 0: none yet */
    clora_rewards rewards; /* its own, on preferences */
    double begin, seconds; /* of the steps and validations */
    double step_seconds;   /* of the steps alone */
    int64_t tokens;
    double mean_loss;    /* of the last steps */
    int mean_steps;      /* how many those are */
    double said_at;      /* time of the last line for people */
    int64_t said_tokens; /* and tokens and seconds of steps until then */
    double said_seconds;
    double saved_at; /* and of the last checkpoint */
    bool is_kept;    /* there is one */
    int val_step;    /* step of the last validation, -1: none yet */
    double val_loss, val_before;
    train_best best;
    bool stopped;      /* early */
    int sample_step;   /* step of the last samples, -1: none yet */
    time_t begun_at;   /* of the run, when it was begun */
    bool is_same_plan; /* as that of the checkpoint, from which a run goes on: or need not be */
} train_state;

/* Options of every training: of args.train, and of the model. */
extern const opt train_method_options[], train_options[], train_model_options[];

/* Each returns CLI_DONE, or the exit status after saying what is wrong. */
int train_load(train_state *state);
int train_run(train_state *state);
bool train_is_complete(const train_state *state); /* all steps, or stopped early, and the validation after the last */
void train_release(train_state *state);

/* Of what is minimised. (train_objective.c) */
extern const opt train_objective_options[];
int train_choose_objective(const cli_state *cli, train_args *args, const opt_group *groups, int count);
bool train_has_reference(const train_args *args); /* whether it compares with a policy that does not learn */
void train_report_objective(FILE *out, const train_state *state);

/* Of the methods, as the rows of train_methods.c say it. */
opt_group train_method_group(int i, train_args *args);
int train_choose_methods(const cli_state *cli, train_args *args, bool given, const opt_group *groups);
int train_make_adapter(train_state *state);
void train_free_adapter(train_state *state);
bool train_is_alone(const train_state *state); /* one method, whose files are the directory's own */
clora_status train_save(const train_state *state, const char *directory);
void train_describe(FILE *out, const train_state *state); /* a line for each */
const char *train_result(const train_state *state);       /* "adapter" or "model": what is saved */
int64_t train_total(const train_state *state);            /* parameters of the model and of what is beside it */

void train_report_plan(const train_state *state);
void train_report_step(train_state *state); /* a line now and then, and the bar */
void train_report_validation(const train_state *state, const clora_evaluate_result *result);
json_t *train_report_json(const train_state *state); /* NULL without memory */
int train_report_end(const train_state *state);      /* the summary, or the JSON object */

/* OUT/run.json: the command line, device, plan, data and numbers of a run that ended so; `why` may be NULL. A disk that
 * is full costs no run: it is noted. (train_record.c) */
void train_record_write(const train_state *state, const char *ended, const char *why);

/* After a validation: a better state is kept in OUT/best, and the run is stopped when none came for long. NULL, or
 * why it could not be kept. (train_best.c) */
const char *train_best_after_validation(train_state *state);
void train_best_sweep(const train_state *state); /* what a killed run left unfinished of it */

/* The log loses the lines that a run makes again which goes on from a checkpoint. (train_log.c) */
int train_log_cut(train_state *state);

/* Texts that the state so far makes of --sample-prompts. (train_samples.c) */
int train_samples_load(train_state *state);
void train_samples_show(train_state *state);
void train_samples_free(train_state *state);

/* The numbers of --tensorboard. (train_board.c) */
int train_board_open(train_state *state);
void train_board_step(train_state *state);
void train_board_validation(train_state *state);
void train_board_close(train_state *state);

#endif
