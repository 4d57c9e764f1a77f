#include <stdio.h>

#include "cli/options/device.h"
#include "cli/inspect/cmd_inspect.h"
#include "cli/inspect/inspect_show.h"
#include "cli/inputs/row_template.h"
#include "cli/ui/json_out.h"
#include "cli/ui/page.h"
#include "cli/ui/text.h"

/* What the file becomes for a model; nothing is loaded but its tokenizer. */
typedef struct data_view {
    clora_inspected_data counts;
    clora_context *context;
    clora_tokenizer *tokenizer;
    clora_dataset *dataset; /* NULL without --model */
    int length;
} data_view;

static json_t *data_json(const inspect_args *args, const data_view *v) {
    const clora_inspected_data *c = &v->counts;
    json_t *object = json_pack("{s:s, s:I, s:I, s:I, s:I}", "kind", "data", "pairs", (json_int_t)c->pairs,
                               "context_characters", (json_int_t)c->context_characters, "target_characters",
                               (json_int_t)c->target_characters, "longest_characters", (json_int_t)c->longest);

    if (!object || !v->dataset)
        return object;
    const clora_dataset_stats *s = clora_dataset_get_stats(v->dataset);
    json_t *tokens = json_pack("{s:i, s:I, s:I, s:I, s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "max_length",
                               v->length, "sequences", (json_int_t)s->sequences, "tokens", (json_int_t)s->tokens,
                               "learnt", (json_int_t)s->target_tokens, "longest", s->longest, "truncated_contexts",
                               (json_int_t)s->truncated_contexts, "truncated_targets", (json_int_t)s->truncated_targets,
                               "left_out", (json_int_t)s->left_out, "dropped", (json_int_t)s->dropped, "own_bos",
                               (json_int_t)s->own_bos, "own_eos", (json_int_t)s->own_eos, "empty_targets",
                               (json_int_t)s->empty_targets, "skipped", (json_int_t)s->skipped);
    if (json_object_update(object, tokens) != 0) {
        json_decref(object);
        object = NULL;
    }
    json_decref(tokens);
    if (args->show > 0)
        json_put(&object, "rows", inspect_show_json(v->dataset, v->tokenizer, args->show));
    return object;
}

static int print_data(const cli_state *cli, const inspect_args *args, const data_view *v) {
    const clora_inspected_data *c = &v->counts;
    page lines;
    FILE *out = page_begin(&lines, stdout, 13);

    fprintf(out, "data         %s\n", args->path);
    fprintf(out, "pairs        %s\n", text_count(c->pairs));
    fprintf(out, "characters   %s of contexts, %s of targets, %s in the longest pair\n",
            text_count(c->context_characters), text_count(c->target_characters), text_count(c->longest));
    if (v->dataset)
        data_print_stats(out, "tokens       ", args->model_path, v->dataset);
    page_end(&lines);
    if (args->show > 0 && !inspect_show(v->dataset, v->tokenizer, args->show, args->ids))
        return cli_fail_library(cli);
    return CLI_DONE;
}

static int count_tokens(const cli_state *cli, const inspect_args *args, data_view *v) {
    const clora_model_plan_options options = model_args_plan(&args->model);
    clora_memory_plan plan = CLORA_MEMORY_PLAN_INIT;
    clora_model_info info = CLORA_MODEL_INFO_INIT;

    if (cli_context_create(&v->context, cli) != CLORA_OK ||
        clora_model_plan(&plan, &info, v->context, args->model_path, &options) != CLORA_OK ||
        clora_tokenizer_load(&v->tokenizer, args->model_path) != CLORA_OK)
        return cli_fail_library(cli);
    const int status = data_max_length(cli, &args->data, &info, &v->length);
    data_args data = args->data;
    data.model = args->model_path;
    return status != CLI_DONE
               ? status
               : data_load(cli, &data, DATA_FILE(args->path), v->tokenizer, &info, v->length, &v->dataset);
}

int inspect_data(const cli_state *cli, const inspect_args *args) {
    clora_dataset_options options = CLORA_DATASET_OPTIONS_INIT;
    data_view view = {.counts = CLORA_INSPECTED_DATA_INIT};
    row_template template;
    int status = row_template_load(&template, cli, NULL, args->data.template);

    options.columns = args->data.columns;
    options.keys = args->data.keys;
    options.pair_template = template.pair;
    if (clora_inspect_data(&view.counts, args->path, &options) != CLORA_OK)
        return cli_fail_library(cli);
    if (args->model_path)
        status = count_tokens(cli, args, &view);
    if (status == CLI_DONE && cli->json)
        status = json_print(cli, data_json(args, &view));
    else if (status == CLI_DONE)
        status = print_data(cli, args, &view);
    clora_dataset_free(view.dataset);
    clora_tokenizer_free(view.tokenizer);
    clora_context_free(view.context);
    return status;
}
