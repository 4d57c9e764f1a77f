#include "operations.h"

#include <fnmatch.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <clora/model.h>

#include "bench_words.h"

static const char help[] =
    "Usage: clora-bench [OPERATION...] [options]\n\n"
    "Times every operation, or those whose name fits (* and ? are wildcards), and compares with what the device can "
    "do\n"
    "at most, which it measures first. Times are those of one launch: the best and the median of several rounds;\n"
    "more than all of the roof is reached where the data stays in a cache.\n"
    "Then it adds up the products with frozen weights of a training step: no step can be faster than these.\n\n"
    "  --list           show the operations and end\n"
    "  --model DIR      take shapes from this model's config.json (default: SmolLM2-135M's)\n"
    "  --rows LIST      rows of activations (default: 1024,512,64,8,1)\n"
    "  --ranks LIST     ranks of adapters (default: 8,64)\n"
    "  --dtype LIST     storage of weights: f32, f16, bf16 (default: f32)\n"
    "  --shape LIST     this shape instead, such as M=64,N=100,K=32,R=8: letters as in src/ops/ops.h\n"
    "  --test-shapes    the shapes of the tests instead\n"
    "  --steps LIST     steps to add up (default: 4x256,1x512)\n"
    "  --only WHAT      operations, products or roofline (default: all)\n"
    "  --rounds N       (default: 5)\n"
    "  --device N|NAME  the OpenCL device\n"
    "  --json           one JSON object\n";

enum { SHOW_OPERATIONS = 1, SHOW_PRODUCTS = 2, MOST_STEPS = 8 };

typedef struct bench_args {
    char **patterns; /* NULL-terminated */
    const char *device, *model_path;
    bench_model model;
    bench_list rows, ranks, dtypes;
    bool has_shape, test_shapes, json, list;
    op_shape shape;
    int steps, batch[MOST_STEPS], length[MOST_STEPS];
    int show, rounds;
} bench_args;

static void read_dtypes(bench_list *out, const char *text) {
    out->count = 0;
    for (const char *part = text; part; part = bench_next_part(part)) {
        if (out->count == BENCH_LIST)
            bench_misuse("wrong list", text);
        out->item[out->count++] = (int)bench_read_dtype(part, strcspn(part, ","));
    }
}

static void read_steps(bench_args *args, const char *text) {
    args->steps = 0;
    for (const char *part = text; part; part = bench_next_part(part)) {
        const char *x = strchr(part, 'x');
        if (args->steps == MOST_STEPS || !x)
            bench_misuse("not like 4x256:", text);
        args->batch[args->steps] = bench_number(part, "x", text);
        args->length[args->steps] = bench_number(x + 1, ",", text);
        if (args->batch[args->steps] < 1 || args->length[args->steps++] < 1)
            bench_misuse("not like 4x256:", text);
    }
}

static void read_shape(bench_args *args, const char *text) {
    args->has_shape = true;
    if (case_shape_read(&args->shape, text) != CLORA_OK)
        bench_misuse("not like M=64,N=100,K=32:", text);
}

static void read_only(bench_args *args, const char *text) {
    if (strcmp(text, "operations") == 0)
        args->show = SHOW_OPERATIONS;
    else if (strcmp(text, "products") == 0)
        args->show = SHOW_PRODUCTS;
    else if (strcmp(text, "roofline") == 0)
        args->show = 0;
    else
        bench_misuse("--only operations, products or roofline, not", text);
}

static bench_args read_arguments(int argc, char **argv) {
    static const struct option options[] = {
        {"list", no_argument, NULL, 'l'},         {"model", required_argument, NULL, 'm'},
        {"rows", required_argument, NULL, 'M'},   {"ranks", required_argument, NULL, 'R'},
        {"dtype", required_argument, NULL, 't'},  {"shape", required_argument, NULL, 's'},
        {"test-shapes", no_argument, NULL, 'T'},  {"steps", required_argument, NULL, 'S'},
        {"only", required_argument, NULL, 'o'},   {"rounds", required_argument, NULL, 'n'},
        {"device", required_argument, NULL, 'd'}, {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0}};
    bench_args args = {.model = BENCH_MODEL_INIT,
                       .rows = {5, {1024, 512, 64, 8, 1}},
                       .ranks = {2, {8, 64}},
                       .dtypes = {1, {CLORA_STORAGE_F32}},
                       .steps = 2,
                       .batch = {4, 1},
                       .length = {256, 512},
                       .show = SHOW_OPERATIONS | SHOW_PRODUCTS,
                       .rounds = 5};
    int option;

    while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1)
        switch (option) {
        case 'l': args.list = true; break;
        case 'm': args.model_path = optarg; break;
        case 'M': bench_read_numbers(&args.rows, optarg); break;
        case 'R': bench_read_numbers(&args.ranks, optarg); break;
        case 't': read_dtypes(&args.dtypes, optarg); break;
        case 's': read_shape(&args, optarg); break;
        case 'T': args.test_shapes = true; break;
        case 'S': read_steps(&args, optarg); break;
        case 'o': read_only(&args, optarg); break;
        case 'n': args.rounds = bench_number(optarg, "", optarg); break;
        case 'd': args.device = optarg; break;
        case 'j': args.json = true; break;
        case 'h': fputs(help, stdout); exit(0);
        default: exit(2);
        }
    args.patterns = argv + optind;
    if (*args.patterns && args.show == (SHOW_OPERATIONS | SHOW_PRODUCTS))
        args.show = SHOW_OPERATIONS;
    return args;
}

static bool is_wanted(const op_case *op, char **patterns) {
    if (!*patterns)
        return true;
    for (; *patterns; patterns++)
        if (fnmatch(*patterns, op->name, 0) == 0)
            return true;
    return false;
}

static clora_status add_case(bench_items *items, const op_case *op, const bench_args *args) {
    op_shape shape = args->shape;
    clora_status status = CLORA_OK;

    if (!args->has_shape && !args->test_shapes)
        return bench_shapes_add(items, op, &args->model, &args->rows, &args->ranks, &args->dtypes);
    for (size_t i = 0; args->test_shapes && i < op->shapes_count; i++)
        TRY(bench_items_add(items, op, op->shapes[i]));
    for (int i = 0; args->has_shape && i < args->dtypes.count; i++) {
        shape.dtype = (clora_storage)args->dtypes.item[i];
        TRY(bench_items_add(items, op, shape));
    }
done:
    return status;
}

static clora_status measure_operations(bench_items *items, clora_context *context, const bench_args *args) {
    clora_status status = CLORA_OK;

    for (size_t i = 0; i < case_count(); i++)
        if (is_wanted(case_at(i), args->patterns))
            TRY(add_case(items, case_at(i), args));
    if (items->count == 0)
        TRY(clora_fail(CLORA_ERROR_NOT_FOUND, "no operation is called '%s'; --list shows them", *args->patterns));
    TRY(bench_measure(context, items, args->rounds));
done:
    return status;
}

static clora_status read_model(bench_args *args, clora_context *context) {
    clora_memory_plan plan = CLORA_MEMORY_PLAN_INIT;
    clora_model_info m = CLORA_MODEL_INFO_INIT;
    clora_model_plan_options least = {.size = sizeof(least), .dtype = -1, .rank = 1, .batch_size = 1, .max_length = 1};
    clora_status status = CLORA_OK;

    if (!args->model_path)
        return CLORA_OK;
    TRY(clora_model_plan(&plan, &m, context, args->model_path, &least));
    args->model = (bench_model){m.layers, m.hidden, m.ffn, m.heads, m.kv_heads, m.head_dim, m.vocab};
done:
    return status;
}

static clora_status run(clora_context *context, bench_args *args) {
    bench_limit limits[MOST_STEPS * BENCH_LIST];
    bench_items items = {0};
    bench_roof roof = {0};
    int count = 0;
    clora_status status = CLORA_OK;

    TRY(read_model(args, context));
    TRY(bench_measure_roof(&roof, context));
    if (args->show & SHOW_OPERATIONS)
        TRY(measure_operations(&items, context, args));
    for (int d = 0; args->show & SHOW_PRODUCTS && d < args->dtypes.count; d++)
        for (int i = 0; i < args->steps; i++)
            TRY(bench_measure_limit(&limits[count++], context, &args->model, args->batch[i], args->length[i],
                                    (clora_storage)args->dtypes.item[d], args->rounds));
    TRY(bench_measure_roof(&roof, context));
    if (!args->json)
        bench_print(context, &roof, &items, limits, count);
    else if (!bench_print_json(context, &roof, &items, limits, count))
        TRY(clora_fail(CLORA_ERROR_IO, "cannot write the result"));
done:
    bench_items_finish(&items);
    return status;
}

int main(int argc, char **argv) {
    bench_args args = read_arguments(argc, argv);
    clora_context *context = NULL;
    clora_status status;

    for (size_t i = 0; args.list && i < case_count(); i++)
        puts(case_at(i)->name);
    if (args.list)
        return 0;
    status = clora_context_create(&context, args.device);
    if (status == CLORA_OK)
        status = run(context, &args);
    if (status != CLORA_OK)
        fprintf(stderr, "clora-bench: %s\n", clora_last_error());
    clora_context_free(context);
    return status != CLORA_OK;
}
