#ifndef CLI_TRAIN_MEMORY_H
#define CLI_TRAIN_MEMORY_H

#include "cli/train/cmd_train.h"

/* What a run takes, and how it could take less: `clora plan`, and --memory of `clora train`. */

/* When data and adapters are there: what reads texts is of no use any more, but for samples. */
void train_forget_texts(train_state *state);

extern const opt train_memory_options[]; /* --memory, of both */

/* A way to do what was asked for. */
typedef struct memory_choice {
    clora_train_options train;
    clora_full_master master;
    clora_memory_plan plan; /* device memory */
    size_t bytes;           /* of the device, and of this process where they are the same memory */
    double time;            /* about, as a multiple of the run as it was asked for */
    int differs;            /* bits of what gives other results: 1 another optimizer, 2 another master */
} memory_choice;

enum { MEMORY_CHOICES = 128 };
typedef struct memory_choices {
    memory_choice
        list[MEMORY_CHOICES]; /* as asked, then from the cheapest to the dearest, each smaller than those before */
    int count;
    size_t process;  /* bytes of this process besides the device's, as they are expected; 0 where they do not count */
    size_t compiler; /* and those that the driver's compiler takes for a while, where kernels are new to it */
} memory_choices;

/* All choices for rows of so many tokens; `validate` as in clora_train_plan(). The model is an outline. */
int train_list_choices(memory_choices *out, const train_state *state, int length, bool validate);

/* The first choice that fits, compiler included, or NULL. */
const memory_choice *train_first_fit(const memory_choices *choices, uint64_t budget);

/* Where there is none: the exit status after saying what the least is. */
int train_nothing_fits(const cli_state *cli, const memory_choices *choices, uint64_t budget);

/* "--batch-size 2 --accumulate 8 --recompute layer": what a choice has other than the run as asked; static, "" for
 * none. */
const char *train_choice_text(const memory_choice *choice, const memory_choice *asked);

/* With --memory: make the options of the run those of the first choice that fits, and say so. The data is loaded. */
int train_fit_memory(train_state *state);

#endif
