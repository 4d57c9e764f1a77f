#include <stdio.h>

#include <clora/tokenizer.h>

#include "cli/options/device.h"
#include "cli/inputs/ends.h"
#include "cli/inspect/cmd_inspect.h"
#include "cli/ui/json_out.h"
#include "cli/ui/memory_out.h"
#include "cli/ui/page.h"
#include "cli/ui/text.h"

/* What is found, piece by piece; the tokenizer is not there in every directory. */
typedef struct model_view {
    clora_stored *stored;
    clora_context *context;
    clora_model_info info;
    clora_memory_plan plan;
    clora_tokenizer *tokenizer;
    int length;
} model_view;

static json_t *plan_json(const model_view *v, const inspect_args *args) {
    json_t *object = memory_json(&v->plan);

    json_put(&object, "rank", json_integer(args->rank));
    json_put(&object, "batch_size", json_integer(args->data.batch_size));
    json_put(&object, "max_length", json_integer(v->length));
    return object;
}

static json_t *model_json(const model_view *v, const inspect_args *args) {
    const clora_model_info *m = &v->info;
    json_t *object = json_pack(
        "{s:s, s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:b, s:I, s:i, s:i, s:I, s:o, s:I, s:o}", "kind", "model",
        "model_type", m->model_type, "layers", m->layers, "hidden", m->hidden, "ffn", m->ffn, "heads", m->heads,
        "kv_heads", m->kv_heads, "head_dim", m->head_dim, "vocab", m->vocab, "max_positions", m->max_positions, "tied",
        m->tied, "parameters", (json_int_t)m->parameters, "files", v->stored->files, "tensors", v->stored->tensors,
        "bytes", (json_int_t)v->stored->bytes, "dtypes", inspect_types_json(v->stored), "device_bytes",
        (json_int_t)m->device_bytes, "training", plan_json(v, args));

    json_put(&object, "eos", json_ids(m->eos, (size_t)m->eos_count));
    return object;
}

static void print_token(FILE *out, const clora_tokenizer *tokenizer, const char *what, int32_t id) {
    const char *token = id >= 0 ? clora_tokenizer_token(tokenizer, id, NULL) : NULL;

    if (token)
        fprintf(out, ", %s %s (%d)", what, token, (int)id);
    else
        fprintf(out, ", no %s", what);
}

static void print_tokenizer(FILE *out, const model_view *v) {
    fprintf(out, "tokenizer    %s", text_amount(clora_tokenizer_vocab_size(v->tokenizer), "token", "tokens"));
    print_token(out, v->tokenizer, "BOS", clora_tokenizer_bos(v->tokenizer));
    if (clora_tokenizer_bos(v->tokenizer) >= 0 && !clora_tokenizer_adds_bos(v->tokenizer))
        fprintf(out, " that is not added");
    print_token(out, v->tokenizer, "EOS", clora_tokenizer_eos(v->tokenizer));
    fprintf(out, "\n");
}

static void print_memory(FILE *out, const model_view *v, const inspect_args *args) {
    const clora_device_info *d = clora_context_device(v->context);
    const clora_memory_plan *p = &v->plan;

    fprintf(out, "device       %d %s with %s\n", d->index, d->name, text_bytes(d->global_memory));
    fprintf(out, "  to load    %s\n", text_bytes(p->weights));
    fprintf(out, "  to train   %s at rank %d, batches of %d, %s: ", text_bytes(p->total), args->rank,
            args->data.batch_size, text_amount(v->length, "token", "tokens"));
    memory_print(out, p);
    fprintf(out, "\n");
}

static void print_model(FILE *out, const model_view *v, const inspect_args *args) {
    const clora_model_info *m = &v->info;

    fprintf(out, "model        %s (%s)\n", args->path, m->model_type);
    fprintf(out, "layers       %d of width %d, feed-forward %d, %s of %d", m->layers, m->hidden, m->ffn,
            text_amount(m->heads, "head", "heads"), m->head_dim);
    if (m->kv_heads != m->heads)
        fprintf(out, " (%d for keys and values)", m->kv_heads);
    fprintf(out, ", %s\n", text_amount(m->max_positions, "position", "positions"));
    fprintf(out, "vocabulary   %s, LM head %s\n", text_count(m->vocab),
            m->tied ? "tied to the embedding" : "with weights of its own");
    fprintf(out, "weights      %s in %s, %s, %s: ", text_amount(v->stored->elements, "parameter", "parameters"),
            text_amount(v->stored->tensors, "tensor", "tensors"), text_amount(v->stored->files, "file", "files"),
            text_bytes(v->stored->bytes));
    inspect_print_types(out, v->stored);
    fprintf(out, "\n");
    if (v->tokenizer)
        print_tokenizer(out, v);
    print_memory(out, v, args);
}

static int look(const cli_state *cli, const inspect_args *args, model_view *v) {
    clora_model_plan_options options = model_args_plan(&args->model);

    options.rank = args->rank;
    options.batch_size = args->data.batch_size;
    if (clora_inspect_model(&v->stored, args->path) != CLORA_OK || cli_context_create(&v->context, cli) != CLORA_OK ||
        clora_model_plan(&v->plan, &v->info, v->context, args->path, &options) != CLORA_OK)
        return cli_fail_library(cli);
    const int status = data_max_length(cli, &args->data, &v->info, &v->length);
    if (status != CLI_DONE)
        return status;
    options.max_length = v->length;
    if (clora_model_plan(&v->plan, &v->info, v->context, args->path, &options) != CLORA_OK)
        return cli_fail_library(cli);
    model_note_head(cli, args->path, v->info.own_head);
    const clora_status loaded = clora_tokenizer_load(&v->tokenizer, args->path);
    if (loaded == CLORA_ERROR_MEMORY)
        return cli_fail_library(cli);
    if (loaded != CLORA_OK)
        cli_note(cli, "%s", clora_last_error()); /* the rest is worth knowing all the same */
    else
        ends_note_files(cli, args->path, v->tokenizer, &v->info);
    return CLI_DONE;
}

int inspect_model(const cli_state *cli, const inspect_args *args) {
    model_view view = {.info = CLORA_MODEL_INFO_INIT, .plan = CLORA_MEMORY_PLAN_INIT};
    int status = look(cli, args, &view);

    if (status == CLI_DONE && cli->json) {
        status = json_print(cli, model_json(&view, args));
    } else if (status == CLI_DONE) {
        page lines;
        print_model(page_begin(&lines, stdout, 13), &view, args);
        page_end(&lines);
    }
    clora_tokenizer_free(view.tokenizer);
    clora_context_free(view.context);
    clora_stored_free(view.stored);
    return status;
}
