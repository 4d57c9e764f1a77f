#include "cases/case.h"

#include <math.h>
#include <string.h>

#include "ref/ref.h"

/* What an update consists of: M * K elements. */

static size_t count(const case_buffer *b) {
    return (size_t)b->rows * (size_t)b->cols;
}

static clora_tensor *tensor(case_run *run, int i) {
    return &run->buffer[i].tensor;
}

static const adamw_options ADAMW = {0.01f, 0.9f, 0.99f, 1e-8f, 0.1f, 3};
static const float SCALE = 0.25f;

static void adamw_setup(case_run *run) {
    const op_shape *s = &run->shape;

    case_dense(run, "p", CASE_INOUT, CLORA_DTYPE_F32, s->M, s->K);
    case_dense(run, "m", CASE_INOUT, CLORA_DTYPE_F32, s->M, s->K);
    case_buffer *v = case_dense(run, "v", CASE_INOUT, CLORA_DTYPE_F32, s->M, s->K);
    case_dense(run, "g", CASE_IN, CLORA_DTYPE_F32, s->M, s->K);
    case_buffer *scale = case_dense(run, "scale", CASE_IN, CLORA_DTYPE_F32, 1, 2);
    for (size_t i = 0; i < count(v) && run->status == CLORA_OK; i++)
        v->host[i] = fabsf(v->host[i]);
    if (run->status == CLORA_OK)
        scale->host[0] = s->option ? NAN : SCALE;
}

static clora_status adamw_launch(case_run *run) {
    return op_adamw(tensor(run, 0), tensor(run, 1), tensor(run, 2), tensor(run, 3), tensor(run, 4), ADAMW);
}

static void adamw_reference(case_run *run) {
    const ref_adamw_options options = {ADAMW.lr, ADAMW.beta1, ADAMW.beta2, ADAMW.eps, ADAMW.weight_decay, ADAMW.step};

    ref_adamw(run->buffer[0].expected, run->buffer[1].expected, run->buffer[2].expected, run->buffer[3].host,
              run->buffer[4].host[0], options, count(&run->buffer[0]));
}

static size_t blocks_of(const op_shape *s) {
    return ((size_t)s->M * (size_t)s->K + ADAMW8BIT_BLOCK - 1) / ADAMW8BIT_BLOCK;
}

/* Codes of all values; past the last element that of zero, which stays. */
static void codes_setup(case_run *run, const char *name, uint8_t zero) {
    const int blocks = (int)blocks_of(&run->shape);
    case_buffer *b = case_dense(run, name, CASE_INOUT, CLORA_DTYPE_I32, 1, blocks * ADAMW8BIT_BLOCK / 4);

    b->codes = true;
    for (size_t i = 0; run->status == CLORA_OK && i < (size_t)blocks * ADAMW8BIT_BLOCK; i++)
        ((uint8_t *)b->ids)[i] =
            i < (size_t)run->shape.M * (size_t)run->shape.K ? (uint8_t)(i * 2654435761u >> 9 ^ zero) : zero;
}

static void most_setup(case_run *run, const char *name) {
    case_buffer *b = case_dense(run, name, CASE_INOUT, CLORA_DTYPE_F32, 1, (int)blocks_of(&run->shape));

    for (size_t i = 0; run->status == CLORA_OK && i < count(b); i++)
        b->host[i] = fabsf(b->host[i]);
}

enum { P8, G8, SCALE8, STATE8 };

static void adamw8bit_setup(case_run *run) {
    const op_shape *s = &run->shape;

    case_dense(run, "p", CASE_INOUT, CLORA_DTYPE_F32, s->M, s->K);
    case_dense(run, "g", CASE_IN, CLORA_DTYPE_F32, s->M, s->K);
    case_buffer *scale = case_dense(run, "scale", CASE_IN, CLORA_DTYPE_F32, 1, 2);
    if (run->status == CLORA_OK)
        scale->host[0] = s->option ? NAN : SCALE;
    codes_setup(run, "m", 127);
    codes_setup(run, "v", 0);
    most_setup(run, "m_most");
    most_setup(run, "v_most");
}

static clora_status adamw8bit_launch(case_run *run) {
    clora_tensor state[ADAMW8BIT_STATES];

    for (int i = 0; i < ADAMW8BIT_STATES; i++)
        state[i] = *tensor(run, STATE8 + i);
    return op_adamw8bit(tensor(run, P8), state, tensor(run, G8), tensor(run, SCALE8), ADAMW);
}

static void adamw8bit_reference(case_run *run) {
    const ref_adamw_options options = {ADAMW.lr, ADAMW.beta1, ADAMW.beta2, ADAMW.eps, ADAMW.weight_decay, ADAMW.step};
    case_buffer *b = run->buffer, *state = b + STATE8;
    const size_t codes = blocks_of(&run->shape) * ADAMW8BIT_BLOCK;
    uint8_t *copy = case_memory(run, 2 * codes, 1);

    if (run->status != CLORA_OK)
        return;
    memcpy(copy, state[0].ids, codes);
    memcpy(copy + codes, state[1].ids, codes);
    ref_adamw8bit(b[P8].expected, &(ref_moments){copy, copy + codes, state[2].expected, state[3].expected}, b[G8].host,
                  b[SCALE8].host[0], options, count(&b[P8]));
    for (size_t i = 0; i < 2 * codes; i++)
        state[i / codes].expected[i % codes] = copy[i];
}

static const sgd_options SGD = {0.01f, 0.9f, 0.1f};

static void sgd_setup(case_run *run) {
    const op_shape *s = &run->shape;

    case_dense(run, "p", CASE_INOUT, CLORA_DTYPE_F32, s->M, s->K);
    case_dense(run, "b", s->option ? CASE_IN : CASE_INOUT, CLORA_DTYPE_F32, s->M, s->K);
    case_dense(run, "g", CASE_IN, CLORA_DTYPE_F32, s->M, s->K);
    case_buffer *scale = case_dense(run, "scale", CASE_IN, CLORA_DTYPE_F32, 1, 2);
    if (run->status == CLORA_OK)
        scale->host[0] = SCALE;
}

static float momentum_of(const case_run *run) {
    return run->shape.option ? 0.0f : SGD.momentum;
}

static clora_status sgd_launch(case_run *run) {
    return op_sgd(tensor(run, 0), run->shape.option ? NULL : tensor(run, 1), tensor(run, 2), tensor(run, 3),
                  (sgd_options){SGD.lr, momentum_of(run), SGD.weight_decay});
}

static void sgd_reference(case_run *run) {
    ref_sgd(run->buffer[0].expected, run->buffer[1].expected, run->buffer[2].host, SCALE, SGD.lr, momentum_of(run),
            SGD.weight_decay, count(&run->buffer[0]));
}

enum { SLOTS = 3, SLOT = 1 };

static void sum_squares_setup(case_run *run) {
    case_dense(run, "sums", CASE_INOUT, CLORA_DTYPE_F32, 1, SLOTS);
    case_dense(run, "x", CASE_IN, CLORA_DTYPE_F32, run->shape.M, run->shape.K);
    case_dense(run, "parts", CASE_SCRATCH, CLORA_DTYPE_F32, 1, SQUARE_PARTS);
}

static clora_status sum_squares_launch(case_run *run) {
    return op_sum_squares(tensor(run, 0), SLOT, tensor(run, 2), tensor(run, 1));
}

static void sum_squares_reference(case_run *run) {
    run->buffer[0].expected[SLOT] = ref_sum_squares(run->buffer[1].host, count(&run->buffer[1]));
}

/* option: clip in tenths */
static void clip_scale_setup(case_run *run) {
    case_dense(run, "scale", CASE_OUT, CLORA_DTYPE_F32, 1, 2);
    case_buffer *sums = case_dense(run, "sums", CASE_IN, CLORA_DTYPE_F32, 1, run->shape.K);
    for (size_t i = 0; i < count(sums) && run->status == CLORA_OK; i++)
        sums->host[i] = fabsf(sums->host[i]);
}

static clora_status clip_scale_launch(case_run *run) {
    return op_clip_scale(tensor(run, 0), tensor(run, 1), run->shape.K, 0.5f, (float)run->shape.option / 10.0f);
}

static void clip_scale_reference(case_run *run) {
    ref_clip_scale(run->buffer[0].expected, run->buffer[1].host, run->shape.K, 0.5f, (float)run->shape.option / 10.0f);
}

/* ---- costs: nothing here is bound by arithmetic ---- */

static double elements(const op_shape *s) {
    return (double)s->M * (double)s->K;
}
static double few_flops(const op_shape *s) {
    return 4.0 * elements(s);
}
static double moves_4(const op_shape *s) {
    return 16.0 * elements(s);
}
static double moves_5(const op_shape *s) {
    return 20.0 * elements(s);
}
static double moves_7(const op_shape *s) {
    return 28.0 * elements(s);
}
static double reads(const op_shape *s) {
    return 4.0 * elements(s);
}

static const op_shape flat_shapes[] = {
    {.M = 1, .K = 1},    {.M = 1, .K = 257}, {.M = 3, .K = 1031}, {.M = 4, .K = 64}, {.M = 1, .K = 9, .option = 1},
    {.M = 7, .K = 5003},
};
static const op_shape clip_shapes[] = {
    {.M = 1, .K = 1},
    {.M = 1, .K = 5, .option = 1},
    {.M = 1, .K = 301, .option = 10},
    {.M = 1, .K = 4, .option = 90},
};

const op_case cases_optimizer[] = {
    {"adamw", CASE_SHAPES(flat_shapes), adamw_setup, adamw_launch, adamw_reference, few_flops, moves_7, 1e-6f},
    {"adamw8bit", CASE_SHAPES(flat_shapes), adamw8bit_setup, adamw8bit_launch, adamw8bit_reference, few_flops, moves_4,
     1e-5f},
    {"sgd", CASE_SHAPES(flat_shapes), sgd_setup, sgd_launch, sgd_reference, few_flops, moves_5, 1e-6f},
    {"sum_squares", CASE_SHAPES(flat_shapes), sum_squares_setup, sum_squares_launch, sum_squares_reference, few_flops,
     reads, 1e-6f},
    {"clip_scale", CASE_SHAPES(clip_shapes), clip_scale_setup, clip_scale_launch, clip_scale_reference, few_flops,
     reads, 1e-6f},
    {.name = NULL},
};
