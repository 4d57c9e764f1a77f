#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/compare/cmd_compare.h"
#include "cli/inputs/data_files.h"
#include "cli/options/device.h"
#include "cli/ui/interrupt.h"
#include "cli/ui/text.h"

static const double SAY_SECONDS = 60;

/* One training: everything is made anew, so that its memory is its own. */
typedef struct training {
    compare_state *all;
    compare_result *result;
    train_args args;
    train_state train; /* context, data and model are in it, as the methods want them */
    double seconds;    /* of steps */
    int64_t tokens;
} training;

char *compare_path(const compare_state *state, const compare_result *result, const char *end) {
    const compare_method *m = &state->method[result->method];
    char *path;

    if (asprintf(&path, "%s/%s-%g-%d%s", state->folder, m->name, (double)result->lr, result->seed, end) < 0)
        return NULL;
    for (char *c = path + strlen(state->folder) + 1; *c; c++)
        if (*c == ':')
            *c = '-'; /* no file system minds it */
    return path;
}

/* Bytes of the files of a directory. */
static int64_t size_of(const char *path) {
    int64_t bytes = 0;
    DIR *folder = opendir(path);
    struct stat info;

    for (const struct dirent *entry; folder && (entry = readdir(folder));)
        if (fstatat(dirfd(folder), entry->d_name, &info, 0) == 0 && S_ISREG(info.st_mode))
            bytes += info.st_size;
    if (folder)
        closedir(folder);
    return bytes;
}

static int load(training *t) {
    const cli_state *cli = t->all->cli;
    train_state *s = &t->train;
    const data_args *d = &t->args.data;

    if (cli_context_create(&s->context, cli) != CLORA_OK ||
        clora_tokenizer_load(&s->tokenizer, t->args.model_path) != CLORA_OK ||
        model_args_load(&s->model, cli, s->context, t->args.model_path, &t->args.model) != CLORA_OK)
        return cli_fail_library(cli);
    const clora_model_info *info = clora_model_get_info(s->model);
    data_args held = t->args.data;
    t->args.data.model = held.model = t->args.model_path;
    t->args.data.weighted = true;
    int status = data_max_length(cli, d, info, &s->max_length);
    if (status == CLI_DONE)
        status = data_load(cli, d, &d->data, s->tokenizer, info, s->max_length, &s->data);
    if (status == CLI_DONE) /* the same for every seed */
        status = data_files_split(cli, t->args.val, t->all->args->train.train.seed, &s->data, &s->val);
    if (status == OPT_GO_ON)
        status = data_load(cli, &held, DATA_FILE(t->args.val), s->tokenizer, info, s->max_length, &s->val);
    return status;
}

static int prepare(training *t) {
    clora_train_options options = t->args.train;
    int status = train_make_adapter(&t->train);

    if (status != CLI_DONE)
        return status;
    options.batch_size = t->args.data.batch_size;
    options.pack = t->args.data.pack;
    options.max_length = options.pack ? t->train.max_length : 0;
    if (clora_trainer_create(&t->train.trainer, t->train.model, t->train.adapter, t->train.data, &options) != CLORA_OK)
        return cli_fail_library(t->all->cli);
    t->result->plan = *clora_trainer_plan(t->train.trainer);
    t->result->trainable = clora_adapter_get_info(t->train.adapter)->parameters;
    return CLI_DONE;
}

static int stop(void *user, int64_t done, int64_t total) {
    (void)user;
    (void)done;
    (void)total;
    return interrupt_seen();
}

static int validate(training *t, int step) {
    const data_args *d = &t->args.data;
    compare_result *r = t->result;
    clora_evaluate_options options = CLORA_EVALUATE_OPTIONS_INIT;
    clora_evaluate_result found = CLORA_EVALUATE_RESULT_INIT;

    options.batch_size = d->batch_size;
    options.pack = d->pack;
    options.max_length = d->pack ? t->train.max_length : 0;
    options.progress = stop;
    const clora_status status = clora_evaluate(&found, t->train.model, t->train.adapter, t->train.val, &options);
    if (interrupt_seen())
        return CLI_DONE; /* the loop sees it too */
    if (status != CLORA_OK)
        return cli_fail_library(t->all->cli);
    r->point[r->points++] = (compare_point){step, t->seconds, found.loss};
    return CLI_DONE;
}

/* On the bar, or now and then in a line where there is none. */
static void tell(compare_state *all, const char *label) {
    progress_update(&all->bar, ++all->steps_done, label);
    if (!all->bar.shown && !all->cli->quiet && progress_is_due(&all->said, SAY_SECONDS))
        fprintf(stderr, "%s of %s steps; %s\n", text_count(all->steps_done), text_count(all->all_steps), label);
}

static int step_once(training *t) {
    char label[128];
    clora_train_step step = CLORA_TRAIN_STEP_INIT;

    if (clora_trainer_step(&step, t->train.trainer) != CLORA_OK)
        return cli_fail_library(t->all->cli);
    if (step.step == 1) /* all is allocated now; validations take more, beside it */
        clora_context_memory(t->train.context, &t->result->peak, NULL);
    if (step.step > 1) { /* the first one compiles */
        t->seconds += step.seconds;
        t->tokens += step.tokens;
    }
    snprintf(label, sizeof(label), "%s, learning rate %g  loss %s", t->all->method[t->result->method].name,
             (double)t->result->lr, text_number((double)step.loss));
    tell(t->all, label);
    return CLI_DONE;
}

static int loop(training *t) {
    const int steps = clora_trainer_steps(t->train.trainer);
    const int usual = (steps + 9) / 10, least = steps / (COMPARE_POINTS - 2) + 1;
    const int asked = t->args.eval_every > 0 ? t->args.eval_every : usual, every = asked > least ? asked : least;
    int status = validate(t, 0);

    for (int i = 1; i <= steps && status == CLI_DONE && !interrupt_seen(); i++) {
        status = step_once(t);
        if (status == CLI_DONE && !interrupt_seen() && (i == steps || i % every == 0))
            status = validate(t, i);
    }
    return status;
}

/* What was trained, where its bytes can be counted and its speed be measured. */
static int save(training *t, const char *path) {
    t->args.out = path;
    if (clora_output_open(&t->train.output, path) != CLORA_OK || train_save(&t->train, path) != CLORA_OK)
        return cli_fail_library(t->all->cli);
    t->result->disk = size_of(path);
    return CLI_DONE;
}

static void release(training *t) {
    clora_trainer_free(t->train.trainer);
    train_free_adapter(&t->train);
    clora_model_free(t->train.model);
    clora_dataset_free(t->train.val);
    clora_dataset_free(t->train.data);
    clora_tokenizer_free(t->train.tokenizer);
    cli_context_free(t->train.context, t->all->cli);
    clora_output_close(t->train.output, t->result->done);
}

int compare_train(compare_state *state, compare_result *result) {
    const compare_method *m = &state->method[result->method];
    training t = {.all = state, .result = result, .args = state->args->train};
    char *path = compare_path(state, result, "");

    t.train = (train_state){.cli = state->cli, .args = &t.args};
    t.args.train.lr = result->lr;
    t.args.train.seed += (uint64_t)result->seed;
    t.args.adapter.seed = t.args.bottleneck.seed = t.args.train.seed;
    t.args.methods[m->row] = true;
    if (m->size > 0)
        train_method_row(m->row)->set_size(&t.args, m->size);
    int status = path ? load(&t) : cli_fail(state->cli, "no memory for a path");
    if (status == CLI_DONE)
        status = prepare(&t);
    if (status == CLI_DONE)
        status = loop(&t);
    if (status == CLI_DONE && !interrupt_seen()) {
        result->tokens_per_second = t.seconds > 0 ? (double)t.tokens / t.seconds : 0;
        status = save(&t, path);
        result->done = status == CLI_DONE;
    }
    release(&t);
    free(path);
    return status;
}
