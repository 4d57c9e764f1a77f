#include <errno.h>
#include <getopt.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "device/dot.h"
#include "tuning/table.h"
#include "tuning/tuning.h"
#include "support/cases.h"

static const char help[] =
    "Usage: %s [--case NAME] [--list] [options]\n\n"
    "Without arguments: the tests. With: single cases of operations, against their reference.\n\n"
    "  --list              show the cases and their shapes and end\n"
    "  --case NAME         the case of this name, else all whose name holds it\n"
    "  --shape TEXT        at this shape instead of its own: M,N,K,R or letters, as in \"bf16 M=3 N=50 K=37\"\n"
    "  --seed N            of the values (default: 0)\n\n"
    "what the device would choose:\n"
    "  --path NAME         of the products: panel, tile or clblast\n"
    "  --family NAME       of the kernels: cpu or gpu\n"
    "  --vector-width N    floats in a vector\n"
    "  --dot NAME          products of pairs of bf16: none, emulated, instruction or tiles\n"
    "  --choose NAME=N,... choices of the tuner, such as path_term=2\n"
    "  --max-allocation N  bytes of a buffer at most\n";

/* The ways in which a case can run, by their options. */
static const struct {
    const char *name;
    size_t offset;
} ways[] = {
    {"path", offsetof(case_way, path)},
    {"family", offsetof(case_way, family)},
    {"vector-width", offsetof(case_way, vector_width)},
    {"dot", offsetof(case_way, dot)},
    {"choose", offsetof(case_way, choose)},
    {"max-allocation", offsetof(case_way, max_allocation)},
};
enum { WAYS = sizeof(ways) / sizeof(ways[0]) };

static const char **way_field(case_way *way, size_t i) {
    return (const char **)(void *)((char *)way + ways[i].offset);
}

/* The place of a word in a list that NULL ends. */
static clora_status find_word(int *out, const char *word, const char *const *list) {
    for (*out = 0; list[*out]; (*out)++)
        if (strcmp(word, list[*out]) == 0)
            return CLORA_OK;
    return clora_fail(CLORA_ERROR_ARGUMENT, "'%s' is none of %s, %s, ...", word, list[0], list[1]);
}

static clora_status read_number(long *out, const char *text) {
    char *end;

    *out = strtol(text, &end, 10);
    return *end || end == text || *out < 0 ? clora_fail(CLORA_ERROR_ARGUMENT, "'%s' is no number", text) : CLORA_OK;
}

/* "path_term=2,path_dx_term=2" */
static clora_status choose(way_before *before, clora_context *context, const char *text) {
    clora_status status = CLORA_OK;

    for (const char *part = text; part; part = strchr(part, ',') ? strchr(part, ',') + 1 : NULL) {
        char name[64] = "";
        int value = 0;
        const kernel_row *row = sscanf(part, "%63[a-z_0-9]=%d", name, &value) == 2 ? kernel_find(name) : NULL;
        if (!row || before->chosen_count == WAY_CHOICES)
            return clora_fail(CLORA_ERROR_ARGUMENT, "'%s' is no list of choices and their values", text);
        TRY(tuning_force(context, row, (const int[KERNEL_PARAMETERS]){value}));
        before->chosen[before->chosen_count++] = row;
    }
done:
    return status;
}

static clora_status set_way(way_before *before, clora_context *context, const case_way *way) {
    static const char *const paths[] = {"panel", "tile", "clblast", NULL}, *const families[] = {"gpu", "cpu", NULL},
                             *const dots[] = {"none", "emulated", "instruction", "tiles", NULL};
    clora_status status = CLORA_OK;
    long number;
    int place;

    if (way->path) {
        TRY(find_word(&place, way->path, paths));
        context->gemm = (gemm_path)place;
    }
    if (way->family) {
        TRY(find_word(&place, way->family, families));
        context->is_cpu = place == 1;
    }
    if (way->dot) {
        TRY(find_word(&place, way->dot, dots));
        context->dot = DOT_UNKNOWN;
        if (place > DOT_EMULATED && context_dot(context) < (dot_engine)place) /* an instruction that ends a program */
            TRY(clora_fail(CLORA_ERROR_UNSUPPORTED, "--dot %s: not with this processor", way->dot));
        context->dot = (dot_engine)place;
    }
    if (way->vector_width) {
        TRY(read_number(&number, way->vector_width));
        context->info.vector_width = (int)number;
    }
    if (way->max_allocation) {
        TRY(read_number(&number, way->max_allocation));
        context->info.max_allocation = (size_t)number;
    }
    if (way->choose)
        TRY(choose(before, context, way->choose));
done:
    return status;
}

clora_status way_begin(way_before *before, clora_context *context, const case_way *way) {
    *before = (way_before){.path = context->gemm,
                           .is_cpu = context->is_cpu,
                           .vector_width = context->info.vector_width,
                           .dot = context->dot,
                           .max_allocation = context->info.max_allocation};
    const clora_status status = set_way(before, context, way);

    tuning_forget(context); /* what it found in the other way */
    return status;
}

void way_end(clora_context *context, const way_before *before) {
    context->gemm = before->path;
    context->is_cpu = before->is_cpu;
    context->info.vector_width = before->vector_width;
    context->dot = before->dot;
    context->info.max_allocation = before->max_allocation;
    for (int i = 0; i < before->chosen_count; i++)
        (void)tuning_force(context, before->chosen[i], NULL);
    tuning_forget(context);
}

static clora_status run_case(clora_context *context, const op_case *op, const op_shape *shape) {
    case_run run;
    clora_status status = case_begin(&run, context, op, shape, true);

    if (status == CLORA_OK)
        status = case_check(&run);
    case_end(&run);
    return status;
}

static void print_repeat(const op_case *op, const op_shape *shape, const case_way *way) {
    const char *flags = getenv("POCL_EXTRA_BUILD_FLAGS");
    case_way given = *way;

    print_error("repeat with: %s%s%s%s --case %s --shape '%s'", flags ? "POCL_EXTRA_BUILD_FLAGS=" : "",
                flags ? flags : "", flags ? " " : "", program_invocation_name, op->name, case_shape_text(op, shape));
    for (size_t i = 0; i < WAYS; i++)
        if (*way_field(&given, i))
            print_error(" --%s %s", ways[i].name, *way_field(&given, i));
    print_error("\n");
}

void check_case(clora_context *context, const op_case *op, const op_shape *shape, const case_way *way) {
    if (run_case(context, op, shape) == CLORA_OK)
        return;
    print_repeat(op, shape, way);
    fail_msg("%s", clora_last_error());
}

/* ---- the command line ---- */

typedef struct request {
    const char *name, *shape;
    int seed;
    bool list;
    case_way way;
} request;

static clora_status read_request(request *out, int argc, char **argv) {
    enum { CASE = WAYS, SHAPE, SEED, LIST, HELP, OPTIONS };
    struct option options[OPTIONS + 1] = {[CASE] = {"case", required_argument, NULL, CASE},
                                          [SHAPE] = {"shape", required_argument, NULL, SHAPE},
                                          [SEED] = {"seed", required_argument, NULL, SEED},
                                          [LIST] = {"list", no_argument, NULL, LIST},
                                          [HELP] = {"help", no_argument, NULL, HELP}};
    clora_status status = CLORA_OK;
    long number;
    int option;

    for (int i = 0; i < WAYS; i++)
        options[i] = (struct option){ways[i].name, required_argument, NULL, i};
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
        if (option == CASE) {
            out->name = optarg;
        } else if (option == SHAPE) {
            out->shape = optarg;
        } else if (option == SEED) {
            TRY(read_number(&number, optarg));
            out->seed = (int)number;
        } else if (option == LIST) {
            out->list = true;
        } else if (option == HELP) {
            printf(help, program_invocation_short_name);
            exit(0);
        } else if (option >= 0 && option < WAYS) {
            *way_field(&out->way, (size_t)option) = optarg;
        } else {
            exit(2);
        }
    if (optind < argc)
        TRY(clora_fail(CLORA_ERROR_ARGUMENT, "'%s' is no option", argv[optind]));
done:
    return status;
}

/* The case of this name alone, else all whose name holds it. */
static bool is_asked(const op_case *op, const char *name) {
    return !name || (case_find(name) ? strcmp(op->name, name) == 0 : strstr(op->name, name) != NULL);
}

static bool check_and_tell(clora_context *context, const op_case *op, op_shape shape, const request *asked) {
    shape.seed = asked->seed ? asked->seed : shape.seed;
    const clora_status status = run_case(context, op, &shape);

    printf("%s %s%s%s\n", status == CLORA_OK ? "right" : "WRONG", case_text(op, &shape), status ? ": " : "",
           status ? clora_last_error() : "");
    if (status != CLORA_OK)
        print_repeat(op, &shape, &asked->way);
    return status == CLORA_OK;
}

static clora_status run_cases(int *wrong, clora_context *context, const request *asked) {
    clora_status status = CLORA_OK;
    int found = 0;

    for (size_t c = 0; c < case_count(); c++) {
        const op_case *op = case_at(c);
        op_shape shape = {0};
        if (!is_asked(op, asked->name))
            continue;
        found++;
        if (asked->shape) {
            TRY(case_shape_read(&shape, asked->shape));
            *wrong += !check_and_tell(context, op, shape, asked);
        }
        for (size_t i = 0; i < op->shapes_count && !asked->shape; i++)
            *wrong += !check_and_tell(context, op, op->shapes[i], asked);
    }
    if (!found)
        TRY(clora_fail(CLORA_ERROR_NOT_FOUND, "no case is called '%s'; --list shows them", asked->name));
done:
    return status;
}

static void list_cases(const char *name) {
    for (size_t c = 0; c < case_count(); c++)
        for (size_t i = 0; is_asked(case_at(c), name) && i < case_at(c)->shapes_count; i++)
            printf("--case %s --shape '%s'\n", case_at(c)->name, case_shape_text(case_at(c), &case_at(c)->shapes[i]));
}

int cases_main(int argc, char **argv) {
    clora_context *context = NULL;
    clora_status status = CLORA_OK;
    request asked = {0};
    way_before before;
    int wrong = 0;

    TRY(read_request(&asked, argc, argv));
    if (asked.list) {
        list_cases(asked.name);
        return 0;
    }
    TRY(clora_context_create(&context, NULL));
    TRY(way_begin(&before, context, &asked.way));
    TRY(run_cases(&wrong, context, &asked));
done:
    if (status != CLORA_OK)
        fprintf(stderr, "%s: %s\n", program_invocation_short_name, clora_last_error());
    clora_context_free(context);
    return status != CLORA_OK || wrong > 0;
}
