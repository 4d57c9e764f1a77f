#include "cli/train/train_resume.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <clora/checkpoint.h>

#include "cli/train/cmd_train.h"

#define OPTION "--resume"

/* The directory, where the option stands among the words; NULL: it does not. */
static const char *given_directory(int argc, char **argv) {
    const size_t length = strlen(OPTION);
    const char *found = NULL;

    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strncmp(argv[i], OPTION "=", length + 1) == 0)
            found = argv[i] + length + 1;
        else if (strcmp(argv[i], OPTION) == 0)
            found = i + 1 < argc ? argv[i + 1] : NULL;
    }
    return found && *found ? found : NULL; /* what is missing the options' own reader says */
}

static bool holds(const char *directory, const char *name) {
    char *path = NULL;
    const bool is_there = asprintf(&path, "%s/%s", directory, name) >= 0 && access(path, F_OK) == 0;

    free(path);
    return is_there;
}

/* As the run's record says; NULL: it has none. */
static json_t *read_record(const char *directory) {
    enum { MOST = 1 << 20 };
    struct stat info;
    json_t *record = NULL;
    char *path = NULL;

    if (asprintf(&path, "%s/" TRAIN_RECORD, directory) < 0)
        return NULL;
    if (stat(path, &info) == 0 && S_ISREG(info.st_mode) && info.st_size <= MOST)
        record = json_load_file(path, 0, NULL);
    free(path);
    return record;
}

/* An interrupted run has a checkpoint, if the disk had room for it; one that is over has its result. */
static int explain_absence(const cli_state *cli, int *finished, const char *directory) {
    json_t *record = read_record(directory);
    const char *ended = json_string_value(json_object_get(record, "ended"));
    const bool interrupted = ended && strcmp(ended, "interrupted") == 0;

    *finished = !interrupted && (ended || holds(directory, "adapter_config.json") || holds(directory, "config.json"));
    json_decref(record);
    if (access(directory, F_OK) != 0)
        return cli_fail(cli, "--resume %s: no such directory", directory);
    if (!*finished)
        return cli_fail(cli, "--resume %s: no checkpoint of a run is there", directory);
    cli_note(cli, "the run in %s is over: there is nothing to go on with", directory);
    return CLI_DONE;
}

/* argv[0], the run's words, and those given now; of a new run the latter are its own. */
static int join_words(const cli_state *cli, train_resume *out, int argc, char **argv) {
    const json_t *own = json_object_get(out->note, "arguments");
    const size_t count = json_array_size(own);

    out->words = own ? json_incref((json_t *)(uintptr_t)own) : json_array();
    for (int i = 1; i < argc && !own; i++)
        json_array_append_new(out->words, json_string(argv[i]));

    out->argv = calloc((size_t)argc + count + 1, sizeof(*out->argv));
    if (!out->argv)
        return cli_fail(cli, "no memory for a command line");
    out->argv[out->argc++] = argv[0];
    for (size_t i = 0; i < count; i++) {
        const char *word = json_string_value(json_array_get(own, i));
        out->argv[out->argc++] = (char *)(uintptr_t)(word ? word : "");
    }
    out->own = out->argc;
    for (int i = 1; i < argc; i++)
        out->argv[out->argc++] = argv[i];
    return CLI_DONE;
}

int train_resume_find(const cli_state *cli, train_resume *out, int *finished, int argc, char **argv) {
    const char *directory = given_directory(argc, argv);
    clora_inspected_checkpoint *head;

    *out = (train_resume){.path = NULL};
    *finished = 0;
    if (!directory)
        return join_words(cli, out, argc, argv);
    if (train_checkpoint_newest(cli, &out->path, directory) != CLI_DONE)
        return CLI_FAILED;
    if (!out->path)
        return explain_absence(cli, finished, directory);
    if (clora_inspect_checkpoint(&head, out->path) != CLORA_OK)
        return cli_fail_library(cli);
    out->note = json_loads(head->note, 0, NULL);
    *finished = json_is_true(json_object_get(out->note, "is_over"));
    clora_inspected_checkpoint_free(head);
    if (*finished)
        cli_note(cli, "the run in %s is over: there is nothing to go on with", directory);
    if (!json_is_array(json_object_get(out->note, "arguments")))
        return cli_fail(cli, "%s is of a run of another program: 'clora train' did not write it", out->path);
    return join_words(cli, out, argc, argv);
}

void train_resume_finish(train_resume *r) {
    free(r->path);
    free(r->argv);
    json_decref(r->words);
    json_decref(r->note);
    *r = (train_resume){.path = NULL};
}

/* ---- the same run ---- */

static bool same_text(const char *a, const char *b) {
    return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same_list(const opt_list *a, const opt_list *b) {
    bool same = a->count == b->count;

    for (int i = 0; same && i < a->count; i++)
        same = same_text(a->items[i], b->items[i]);
    return same;
}

static bool same_value(const opt *o, const void *a, const void *b) {
    const char *x = (const char *)a + o->offset, *y = (const char *)b + o->offset;

    switch (o->type) {
    case OPT_TEXT:
    case OPT_PATH: return same_text(*(const char *const *)x, *(const char *const *)y);
    case OPT_LIST:
    case OPT_PATHS: return same_list((const opt_list *)x, (const opt_list *)y);
    case OPT_SEED:
    case OPT_BYTES: return *(const uint64_t *)x == *(const uint64_t *)y;
    case OPT_FLOAT: return *(const float *)x == *(const float *)y;
    case OPT_DOUBLE: return *(const double *)x == *(const double *)y;
    case OPT_SET:
    case OPT_CLEAR:
    case OPT_INT:
    case OPT_CHOICE: return *(const int *)x == *(const int *)y;
    case OPT_HELP: break;
    }
    return true;
}

/* What is said, shown and kept of a run does not change it. */
static bool is_free(const char *name) {
    static const char *const names[] = {"out",           "log",         "val",    "eval-every",   "profile",
                                        "save-every",    "keep",        "best",   "sample-every", "sample-prompts",
                                        "sample-tokens", "tensorboard", "resume", "replan"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

/* What --patience goes by. */
static bool is_judge(const char *name) {
    return strcmp(name, "val") == 0 || strcmp(name, "eval-every") == 0;
}

int train_resume_compare(const cli_state *cli, const opt_group *own, const opt_group *whole, int groups) {
    const bool stops_early = opt_given(own, groups, "patience");

    for (int g = 0; g < groups; g++)
        for (const opt *o = own[g].options; o->name; o++)
            if (!(is_free(o->name) && !(stops_early && is_judge(o->name))) &&
                !same_value(o, own[g].values, whole[g].values))
                return cli_misuse(cli, "--%s would change the run that goes on: leave it away, or begin a new one",
                                  o->name);
    return CLI_DONE;
}
