#ifndef CLORA_TESTS_CASES_H
#define CLORA_TESTS_CASES_H

#include "cases/case.h"

/* Runs cases for tests, and single ones for people: the programs that do so take --case and --list. */

/* What a case runs as where that is not the device's own choice, in the words of the command line; NULL: its own. */
typedef struct case_way {
    const char *path;           /* "panel", "tile" or "clblast" */
    const char *family;         /* of kernels: "cpu" or "gpu" */
    const char *vector_width;   /* floats */
    const char *dot;            /* "none", "emulated" or "instruction" */
    const char *choose;         /* choices of the tuner: "path_term=2,path_dx_term=2" */
    const char *max_allocation; /* bytes */
} case_way;

enum { WAY_CHOICES = 4 };

/* Of a context: what a way changed. */
typedef struct way_before {
    gemm_path path;
    bool is_cpu;
    int vector_width;
    dot_engine dot;
    size_t max_allocation;
    const kernel_row *chosen[WAY_CHOICES];
    int chosen_count;
} way_before;

clora_status way_begin(way_before *before, clora_context *context, const case_way *way);
void way_end(clora_context *context, const way_before *before);

/* Run a case at a shape in the way it is in; fails the test with what is wrong and the command that repeats it. */
void check_case(clora_context *context, const op_case *op, const op_shape *shape, const case_way *way);

/* The command line of a single case: 0 when all that it names are right. */
int cases_main(int argc, char **argv);

#endif
