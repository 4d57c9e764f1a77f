#ifndef CLI_TRAIN_RESUME_H
#define CLI_TRAIN_RESUME_H

#include <jansson.h>

#include "cli/cli.h"
#include "cli/options/opt.h"

struct train_state;

/* Where checkpoints are: OUT/checkpoint/step-N.safetensors. (train_checkpoint.c) */
#define TRAIN_CHECKPOINTS "checkpoint"

/* A run's command line, and what `--resume DIR` finds there. */
typedef struct train_resume {
    char *path;    /* of the newest whole checkpoint; NULL: the option was not given */
    json_t *note;  /* the program's own, in it */
    json_t *words; /* the run's command line, from when it was begun */
    char **argv;   /* NULL-terminated: the command's name, those words, and those given now */
    int argc, own; /* all, and those before the ones given now */
} train_resume;

/* CLI_DONE also without the option, and where `*finished` says that the run is over. */
int train_resume_find(const cli_state *cli, train_resume *out, int *finished, int argc, char **argv);
void train_resume_finish(train_resume *r);

/* Options given now that would make another run of it are misuse. Both groups were read: the run's, and the whole. */
int train_resume_compare(const cli_state *cli, const opt_group *own, const opt_group *whole, int groups);

/* After a step: a checkpoint where one is due, and older ones go. At the end of a run that was interrupted. A disk
 * that is full costs no run: it is noted. */
void train_checkpoint_after_step(struct train_state *state);
void train_checkpoint_save(struct train_state *state);

/* Before something is written that, should the run be killed, would look like a result of a run that is over: there is
 * a checkpoint from here on, which tells that it is not. */
void train_checkpoint_ensure(struct train_state *state);

/* After the first step of a run that goes on: an error where it launches a kernel with other parameters than before. */
int train_checkpoint_compare_plan(struct train_state *state);

/* The trainer goes to where the checkpoint was made, and the report with it. */
int train_checkpoint_restore(struct train_state *state);

/* The run is over: they go, or the last is made where they are to be kept. */
void train_checkpoint_end(struct train_state *state);

/* The newest whole one in an output directory; *out NULL: there is none. The caller frees. */
int train_checkpoint_newest(const cli_state *cli, char **out, const char *directory);

/* What a run left that was killed while it wrote one, and the directory when it is empty. The output directory is
 * claimed. */
void train_checkpoint_sweep(const char *out);

#endif
