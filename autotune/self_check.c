#include "device/self_check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/dtype.h"
#include "cases/case.h"
#include "device/devices.h"
#include "device/dot.h"
#include "device/profile.h"
#include "self_check_record.h"
#include "tuning/recorder.h"
#include "tuning/table.h"
#include "tuning/tuning.h"

enum { GROUPS = 16 };
static const char *const group_names[GROUPS] = {
    "products", "term",       "factors", "model",   "loss",      "backward",           "adamw8bit", "sgd",
    "weights",  "bottleneck", "past",    "columns", "layernorm", "layernorm backward", "tape",      "softcap"};

/*
 * Few cases, at odd sizes. What they compile, which is nearly all of what they cost, is what a run compiles too: hence
 * as many rows and columns as take a model's programs. The long rows keep one work-item of the kernels for CPUs in its
 * loops for more than the 65,535 passes after which Mesa's llvmpipe ends a kernel without a word.
 */
enum { LONG_ROW = 600011, LONG_VOCABULARY = 400009 };

static const struct {
    unsigned group;
    const char *name;
    op_shape shape; /* with the storage type and, where there are heads, the D of the run */
} checks[] = {
    {SELF_CHECK_PRODUCTS, "matmul", {.M = 1, .N = 501, .K = 131, .R = 3}},
    {SELF_CHECK_PRODUCTS, "matmul", {.M = 61, .N = 801, .K = 661, .R = 3, .modules = 2, .pad = 1}},
    {SELF_CHECK_TERM, "lowrank_down", {.M = 67, .N = 33, .K = 131, .R = 8}},
    {SELF_CHECK_FACTORS, "matmul", {.M = 67, .N = 801, .K = 661, .R = 3, .modules = 2, .pad = 1}},
    {SELF_CHECK_FACTORS, "matmul_dx", {.M = 67, .N = 801, .K = 661, .R = 3, .modules = 2, .pad = 1}},
    {SELF_CHECK_FACTORS, "lowrank_down_grad", {.M = 67, .N = 131, .K = 33, .R = 8}},
    {SELF_CHECK_FACTORS, "lowrank_grad_a", {.M = 67, .N = 33, .K = 131, .R = 8}},
    {SELF_CHECK_FACTORS, "lowrank_grad_b", {.M = 67, .N = 131, .K = 33, .R = 8}},
    {SELF_CHECK_FACTORS, "adamw", {.M = 3, .K = 1031}},
    {SELF_CHECK_MODEL, "embedding", {.M = 19, .N = 131, .K = 77}},
    {SELF_CHECK_MODEL, "rmsnorm", {.M = 3, .K = 33}},
    {SELF_CHECK_MODEL, "rmsnorm", {.M = 1, .K = LONG_ROW}},
    {SELF_CHECK_MODEL, "rope_store", {.B = 2, .T = 5, .S = 11, .H = 4, .G = 2}},
    {SELF_CHECK_MODEL, "attention", {.B = 1, .T = 67, .S = 67, .H = 3, .G = 1, .pad = 1}},
    {SELF_CHECK_MODEL, "attention", {.B = 2, .T = 1, .S = 71, .H = 6, .G = 2, .pad = 3, .option = 1}},
    {SELF_CHECK_MODEL, "swiglu", {.M = 2, .K = 577, .pad = 1}},
    {SELF_CHECK_LAYERNORM, "layernorm", {.M = 3, .K = 33}},
    {SELF_CHECK_LAYERNORM, "layernorm", {.M = 1, .K = LONG_ROW}},
    {SELF_CHECK_LAYERNORM, "gelu", {.M = 2, .K = 577, .pad = 1}},
    {SELF_CHECK_LAYERNORM, "add_positions", {.M = 5, .N = 9, .K = 77}},
    {SELF_CHECK_LAYERNORM_BACKWARD, "layernorm_backward", {.M = 2, .K = 577, .pad = 1}},
    {SELF_CHECK_LAYERNORM_BACKWARD, "layernorm_dg", {.M = 9, .K = 577, .pad = 1}},
    {SELF_CHECK_LAYERNORM_BACKWARD, "gelu_backward", {.M = 2, .K = 577, .pad = 1}},
    {SELF_CHECK_LOSS, "cross_entropy", {.M = 7, .V = 31, .option = 1}},
    {SELF_CHECK_LOSS, "cross_entropy", {.M = 2, .V = LONG_VOCABULARY, .option = 1}},
    {SELF_CHECK_LOSS, "gather_rows", {.M = 7, .N = 19, .K = 77}},
    {SELF_CHECK_LOSS, "scatter_rows", {.M = 7, .N = 19, .K = 77}},
    {SELF_CHECK_BACKWARD, "cross_entropy", {.M = 7, .V = 31}},
    {SELF_CHECK_BACKWARD, "cross_entropy", {.M = 2, .V = LONG_VOCABULARY}},
    {SELF_CHECK_BACKWARD, "rmsnorm_backward", {.M = 2, .K = 577, .pad = 1}},
    {SELF_CHECK_BACKWARD, "rope", {.M = 5, .H = 3, .pad = 7, .option = 1}},
    {SELF_CHECK_BACKWARD, "attention_backward", {.B = 1, .T = 67, .S = 67, .H = 3, .G = 1, .pad = 1}},
    {SELF_CHECK_BACKWARD, "swiglu_backward", {.M = 2, .K = 577, .pad = 1}},
    {SELF_CHECK_BACKWARD, "sum_squares", {.M = 7, .K = 5003}},
    {SELF_CHECK_BACKWARD, "clip_scale", {.M = 1, .K = 301, .option = 10}},
    {SELF_CHECK_ADAMW8BIT, "adamw8bit", {.M = 3, .K = 1031}},
    {SELF_CHECK_SGD, "sgd", {.M = 3, .K = 1031}},
    {SELF_CHECK_WEIGHTS, "matmul_dw", {.M = 67, .N = 131, .K = 201, .modules = 2, .pad = 1}},
    {SELF_CHECK_WEIGHTS, "embedding_dw", {.M = 19, .N = 131, .K = 77}},
    {SELF_CHECK_WEIGHTS, "rmsnorm_dg", {.M = 9, .K = 577, .pad = 1}},
    {SELF_CHECK_WEIGHTS, "matmul_dbias", {.M = 9, .K = 577, .pad = 1}},
    {SELF_CHECK_BOTTLENECK, "bottleneck", {.M = 67, .K = 131, .R = 33, .option = 1}},
    {SELF_CHECK_BOTTLENECK, "bottleneck_backward", {.M = 67, .K = 131, .R = 33, .option = 1}},
    {SELF_CHECK_PAST, "past_join", {.B = 2, .T = 3, .S = 5, .H = 3, .pad = 1}},
    {SELF_CHECK_PAST, "past_split", {.B = 2, .T = 3, .S = 5, .H = 3, .pad = 1}},
    {SELF_CHECK_PAST, "past_embed", {.M = 19, .N = 7, .R = 4, .K = 77}},
    {SELF_CHECK_PAST, "past_embed_backward", {.M = 19, .N = 7, .R = 4, .K = 77}},
    {SELF_CHECK_PAST, "attention", {.B = 2, .T = 67, .S = 70, .H = 3, .G = 1, .option = 6}},
    {SELF_CHECK_PAST, "attention_backward", {.B = 2, .T = 67, .S = 70, .H = 3, .G = 1, .option = 6}},
    {SELF_CHECK_COLUMNS, "lowrank_norms", {.N = 131, .K = 201, .R = 3, .modules = 2}},
    {SELF_CHECK_COLUMNS, "scale_columns", {.M = 3, .K = 577, .pad = 1}},
    {SELF_CHECK_COLUMNS, "column_dots", {.M = 67, .K = 577, .pad = 1}},
    {SELF_CHECK_SOFTCAP, "softcap", {.M = 2, .K = 577, .pad = 1}},
    {SELF_CHECK_SOFTCAP, "softcap_backward", {.M = 2, .K = 577, .pad = 1}},
    /* long enough for a second core to take part, which a phase alone may not be */
    {SELF_CHECK_TAPE, "tape", {.M = 2, .N = 512, .K = 512, .R = 5, .T = 8, .pad = 1}},
};

/* What is to be checked. */
typedef struct subject {
    unsigned groups;
    clora_storage type;
    int head_dim;
} subject;

static clora_status check_case(clora_context *context, const op_case *op, const op_shape *shape) {
    case_run run;
    clora_status status = case_begin(&run, context, op, shape, true);

    if (status == CLORA_OK)
        status = case_check(&run);
    case_end(&run);
    return status;
}

static clora_status check_group(clora_context *context, unsigned group, const subject *s) {
    clora_status status = CLORA_OK;

    for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]) && status == CLORA_OK; i++) {
        op_shape shape = checks[i].shape;
        shape.dtype = s->type;
        shape.D = shape.H ? s->head_dim : 0;
        if (checks[i].group == group)
            status = check_case(context, case_find(checks[i].name), &shape);
    }
    return status;
}

/* By what a record knows a group: with everything that makes other programs of it, on one device. */
static void describe(char *out, size_t size, const clora_context *context, int group, const subject *s) {
    static const char *const asked[] = {
        [DOT_NONE] = " dot off", [DOT_EMULATED] = " dot emulated", [DOT_INSTRUCTION] = " dot pairs", [DOT_TILES] = ""};
    const bool has_heads = (1u << group) & (SELF_CHECK_MODEL | SELF_CHECK_BACKWARD | SELF_CHECK_PAST);

    snprintf(out, size, "%s %s %s heads of %d groups of %zu%s", group_names[group], gemm_path_name(context->gemm),
             clora_storage_name(s->type), has_heads ? s->head_dim : 0, context->info.max_group,
             s->type == CLORA_STORAGE_BF16 ? asked[context->dot_most] : "");
}

/* Every group that has not passed with these kernels. */
static clora_status check_groups(clora_context *context, const subject *s) {
    clora_status status = CLORA_OK;

    for (int i = 0; i < GROUPS; i++) {
        char name[128];
        describe(name, sizeof(name), context, i, s);
        if (!(s->groups & (1u << i)) || self_check_record_has(context, name))
            continue;
        TRY(check_group(context, 1u << i, s));
        TRY(self_check_record_add(context, name));
    }
done:
    return status;
}

/* The context as a check may leave it: nothing noted, told, timed or counted. */
static clora_status check_unseen(clora_context *context, const subject *s) {
    recorder *const notes = recorder_attach(context, NULL);
    struct profile *const profile = profile_attach(context, NULL);
    const size_t peak = context->memory_peak;

    tuning_hide(context, true);
    const clora_status status = check_groups(context, s);
    (void)profile_attach(context, profile);
    context->memory_peak = peak;
    tuning_hide(context, false);
    tuning_forget(context); /* what was hidden is new to the log and the plan */
    (void)recorder_attach(context, notes);
    return status;
}

/* From vectors to lanes or back. False where the path is the user's choice. */
static bool take_other_family(clora_context *context) {
    if (context->gemm_is_forced || context->gemm == GEMM_CLBLAST)
        return false;
    context->gemm = context->gemm == GEMM_PANEL ? GEMM_TILE : GEMM_PANEL;
    snprintf(context->info.gemm, sizeof(context->info.gemm), "%s", gemm_path_name(context->gemm));
    tuning_forget(context);
    return true;
}

static clora_status refuse(const clora_context *context) {
    return clora_fail_within(CLORA_ERROR_OPENCL,
                             "device '%s' fails its self-check with the %s kernels%s; update its driver, or take "
                             "another device of 'clora devices'",
                             context->info.name, gemm_path_name(context->gemm),
                             context->gemm_is_forced ? " that CLORA_GEMM forces" : "");
}

/* The first line of the last error. */
static void keep_error(char *out, size_t size) {
    snprintf(out, size, "%s", clora_last_error());
    out[strcspn(out, "\n")] = '\0';
}

enum { WHY = 384 };

static clora_status check(clora_context *context, const subject *s) {
    clora_status status = check_unseen(context, s);
    char why[WHY];

    if (status != CLORA_ERROR_OPENCL)
        return status;
    keep_error(why, sizeof(why));
    if (!take_other_family(context))
        return refuse(context);
    /* all that this context was ever asked for: it will run there, too */
    status = check_unseen(context, &(subject){context->check.groups_asked, s->type, context->check.head_dim_asked});
    if (status == CLORA_ERROR_OPENCL)
        return refuse(context);
    tuning_log(context, "the %s kernels take the place of others, which fail their self-check on this device: %s",
               gemm_path_name(context->gemm), why);
    return status;
}

/* Else there is nothing to check, and nothing to keep. */
static bool takes_tapes(clora_context *context) {
    return tuning_value(context, "path_tape", "PATH", &(kernel_key){.M = 2}) == TAPE_TOGETHER;
}

/* Steps whose calls are one launch: who computes them wrongly has launches apart left. */
static clora_status check_tape(clora_context *context, const subject *s) {
    const clora_status status = check_unseen(context, &(subject){s->groups & SELF_CHECK_TAPE, s->type, 0});
    char why[WHY];

    if (status != CLORA_ERROR_OPENCL)
        return status;
    keep_error(why, sizeof(why));
    context->check.tape_is_wrong = true;
    tuning_forget(context);
    tuning_log(context,
               "each operation of a step that decodes is a launch: all in one fail their self-check on this "
               "device: %s",
               why);
    return CLORA_OK;
}

/* CLORA_SELF_CHECK */
typedef enum setting { OFF, ON, FORCE } setting;

static clora_status read_setting(setting *out) {
    static const char *const names[] = {"off", "on", "force"};
    const char *text = getenv("CLORA_SELF_CHECK");

    *out = ON;
    if (!text || !*text)
        return CLORA_OK;
    for (setting s = OFF; s <= FORCE; s++)
        if (strcmp(text, names[s]) == 0) {
            *out = s;
            return CLORA_OK;
        }
    return clora_fail(CLORA_ERROR_ARGUMENT, "CLORA_SELF_CHECK is '%s': take on, off or force", text);
}

clora_status self_check(clora_context *context, unsigned groups, clora_storage type, int head_dim) {
    clora_status status = CLORA_OK;
    setting how;

    TRY(read_setting(&how));
    if (how == OFF || context->outlined || recorder_is_tracing(context))
        return CLORA_OK;
    pthread_mutex_lock(&context->check.lock);
    status = self_check_record_open(context, how == FORCE);
    if (status == CLORA_OK) {
        const size_t passed = self_check_record_count(context);
        const unsigned others = groups & ~(unsigned)SELF_CHECK_TAPE;
        context->check.groups_asked |= others;
        context->check.head_dim_asked = head_dim ? head_dim : context->check.head_dim_asked;
        status = check(context, &(subject){others, type, head_dim});
        if (status == CLORA_OK && groups != others && takes_tapes(context))
            status = check_tape(context, &(subject){groups, type, 0});
        if (self_check_record_count(context) > passed)
            self_check_record_save(context);
    }
    pthread_mutex_unlock(&context->check.lock);
done:
    return status == CLORA_ERROR_MEMORY ? CLORA_OK : status; /* no verdict: the run will say what it lacks */
}
