#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "cli/options/model_options.h"
#include "cli/tune/cmd_tune.h"

enum { MOST_RANKS = 16 };

const char *const tune_methods[] = {"lora", "adapter", "full", "bias", "norms", "prefix", "prompt", NULL};

/* "4,8,16" into numbers of at least `low`; how many, or 0 when it is no such list. */
static int read_list(int *out, int most, const char *text, int low) {
    int count = 0;

    while (count < most) {
        char *end;
        const long number = strtol(text, &end, 10);
        if (end == text || number < low || number > 1 << 24)
            return 0;
        out[count++] = (int)number;
        if (*end == '\0')
            return count;
        if (*end != ',')
            return 0;
        text = end + 1;
    }
    return 0;
}

static bool read_use(clora_tune_use *use, const char *text) {
    use->train =
        strcmp(text, "train") == 0 || strcmp(text, "train,generate") == 0 || strcmp(text, "generate,train") == 0;
    use->generate = strcmp(text, "train") != 0 && (use->train || strcmp(text, "generate") == 0);
    return use->train || use->generate;
}

int tune_fill_plan(const cli_state *cli, clora_tune_plan *plan, const tune_args *args) {
    clora_tune_use use = CLORA_TUNE_USE_INIT;
    int ranks[MOST_RANKS], shape[2] = {0, 0};
    const int count = read_list(ranks, MOST_RANKS, args->ranks, 0);

    use.batch_size = args->batch_size;
    use.max_length = args->max_length;
    use.dtype = model_dtype_value(args->dtype);
    use.method = tune_methods[args->method];
    if (count == 0)
        return cli_misuse(cli, "--rank takes up to %d numbers with commas, not '%s'", MOST_RANKS, args->ranks);
    if (!read_use(&use, args->use))
        return cli_misuse(cli, "--for takes train, generate or both with a comma, not '%s'", args->use);
    if (args->shape && read_list(shape, 2, args->shape, 1) != 2)
        return cli_misuse(cli, "--shape takes two numbers, outputs and inputs, such as 3072,576; not '%s'",
                          args->shape);
    if (!args->shape == !args->model)
        return cli_misuse(cli, args->model ? "a model and --shape: one of them" : "a model or --shape is missing");
    for (int i = 0; i < count; i++) {
        use.rank = ranks[i];
        const clora_status status = args->model ? clora_tune_plan_model(plan, args->model, &use)
                                                : clora_tune_plan_shape(plan, shape[0], shape[1], &use);
        if (status != CLORA_OK)
            return cli_fail_library(cli);
    }
    return CLI_DONE;
}
