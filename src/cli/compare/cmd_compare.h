#ifndef CLI_CMD_COMPARE_H
#define CLI_CMD_COMPARE_H

#include "cli/train/train_method.h"

/* The parts of `clora compare`: cmd_compare.c has the options, compare_list.c what is run, compare_run.c one training,
 * compare_keep.c results on disk, compare_speed.c generation, compare_rows.c what is said of a method, compare_report.c
 * how it is printed. */

enum { COMPARE_METHODS = 32, COMPARE_RATES = 16, COMPARE_POINTS = 64 };

typedef struct compare_args {
    const char *methods, *ranks, *rates; /* lists as they were given; ranks and rates may be NULL */
    const char *out;                     /* NULL: nothing is kept */
    const char *csv, *svg;
    int seeds, new_tokens;
    float target_loss; /* 0: what the worst method ends with */
    train_args train;
} compare_args;

/* One of the methods: "lora:8". */
typedef struct compare_method {
    char name[64];
    int row; /* of train_methods.c */
    int size;
    int rates;
    float rate[COMPARE_RATES]; /* learning rates that it is trained with */
} compare_method;

/* Validation in the course of a training. */
typedef struct compare_point {
    int step;
    double seconds; /* of training alone */
    double loss;
} compare_point;

/* A training, to be done or done. */
typedef struct compare_result {
    int method; /* of compare_state */
    float lr;
    int seed;
    bool done;
    int64_t trainable, disk;
    size_t peak;
    clora_memory_plan plan;
    double tokens_per_second;
    int points;
    compare_point point[COMPARE_POINTS];
} compare_result;

/* Seconds that a new token takes; 0 where it is not known. */
typedef struct compare_speed {
    double base, applied, merged;
} compare_speed;

typedef struct compare_state {
    const cli_state *cli;
    const compare_args *args;
    const char *folder;      /* --out, or a temporary one */
    const opt_group *groups; /* as they were given, one of them the comparison's own */
    int group_count, own_group;
    int methods;
    compare_method method[COMPARE_METHODS];
    compare_speed speed[COMPARE_METHODS];
    int results;
    compare_result *result;
    int steps;         /* of each training */
    int64_t all_steps; /* of all that are not done */
    int64_t steps_done;
    progress bar;
    double said; /* when a line last said how far it is, where no bar does */
} compare_state;

/* What a table says of a method: the results of its best learning rate. */
typedef struct compare_row {
    int method;
    const compare_result *result; /* of the first seed; NULL: nothing is done */
    int seeds;                    /* that are done */
    double loss, spread;          /* mean and standard deviation of the last validation's */
    double tokens_per_second;     /* mean */
    double seconds_to_target;     /* mean; negative where a seed did not come there */
} compare_row;

/* Each returns CLI_DONE, or the exit status after saying what is wrong. */
int compare_list(compare_state *state);
int compare_train(compare_state *state, compare_result *result);
int compare_time(compare_state *state, const compare_result *result, compare_speed *speed);

/* The directory of a result's adapter; the caller frees. NULL without memory. */
char *compare_path(const compare_state *state, const compare_result *result, const char *end);

/* Results that a file of the folder holds are taken over; one of another comparison is an error. */
int compare_recall(compare_state *state);
int compare_keep(const compare_state *state, const compare_result *result);

json_t *compare_memory_json(const clora_memory_plan *plan); /* NULL without memory */

double compare_last_loss(const compare_result *result);
double compare_target(const compare_state *state);
compare_row compare_row_of(const compare_state *state, int method);
int compare_edge(const compare_state *state, const compare_row *row); /* of its rates the lowest: -1, highest: 1 */

int compare_report(const compare_state *state);

#endif
