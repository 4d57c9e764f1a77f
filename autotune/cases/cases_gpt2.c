#include "cases/case.h"
#include "ref/ref.h"

/* What GPT-2 has that other families do not: M rows of K columns. */

static const float eps = 1e-5f;

static clora_tensor *tensor(case_run *run, int i) {
    return &run->buffer[i].tensor;
}

/* ---- layer normalisation: option 1 keeps no moments ---- */

enum { Y, X, GAIN, BIAS, MOMENTS };

static void layernorm_setup(case_run *run) {
    const op_shape *s = &run->shape;

    case_matrix(run, "y", CASE_OUT, s->M, s->K);
    case_matrix(run, "x", CASE_IN, s->M, s->K);
    case_dense(run, "g", CASE_IN, CLORA_DTYPE_F32, 1, s->K);
    case_dense(run, "b", CASE_IN, CLORA_DTYPE_F32, 1, s->K);
    if (!s->option)
        case_dense(run, "moments", CASE_OUT, CLORA_DTYPE_F32, s->M, 2);
}

static clora_status layernorm_launch(case_run *run) {
    return op_layernorm(tensor(run, Y), run->shape.option ? NULL : tensor(run, MOMENTS), tensor(run, X),
                        tensor(run, GAIN), tensor(run, BIAS), eps);
}

static void layernorm_reference(case_run *run) {
    const case_buffer *b = run->buffer;

    ref_layernorm(b[Y].expected, run->shape.option ? NULL : b[MOMENTS].expected, b[X].host, b[GAIN].host, b[BIAS].host,
                  eps, run->shape.M, run->shape.K);
}

/* What the forward pass leaves, in its place among a case's buffers. */
static void given_moments(case_run *run) {
    const op_shape *s = &run->shape;
    case_buffer *moments = case_dense(run, "moments", CASE_IN, CLORA_DTYPE_F32, s->M, 2);
    float *y = case_memory(run, (size_t)s->M * (size_t)s->K, sizeof(float));
    const case_buffer *b = run->buffer;

    if (run->status == CLORA_OK)
        ref_layernorm(y, moments->host, b[X].host, b[GAIN].host, b[GAIN].host, eps, s->M, s->K);
}

static void apply_setup(case_run *run) {
    const op_shape *s = &run->shape;

    case_matrix(run, "y", CASE_OUT, s->M, s->K);
    case_matrix(run, "x", CASE_IN, s->M, s->K);
    case_dense(run, "g", CASE_IN, CLORA_DTYPE_F32, 1, s->K);
    case_dense(run, "b", CASE_IN, CLORA_DTYPE_F32, 1, s->K);
    given_moments(run);
}

static clora_status apply_launch(case_run *run) {
    return op_layernorm_apply(tensor(run, Y), tensor(run, X), tensor(run, MOMENTS), tensor(run, GAIN),
                              tensor(run, BIAS));
}

static void apply_reference(case_run *run) {
    const case_buffer *b = run->buffer;

    ref_layernorm_apply(b[Y].expected, b[X].host, b[MOMENTS].host, b[GAIN].host, b[BIAS].host, run->shape.M,
                        run->shape.K);
}

enum { DX = Y, DY = BIAS };

static void backward_setup(case_run *run) {
    const op_shape *s = &run->shape;

    case_matrix(run, "dx", CASE_INOUT, s->M, s->K);
    case_matrix(run, "x", CASE_IN, s->M, s->K);
    case_dense(run, "g", CASE_IN, CLORA_DTYPE_F32, 1, s->K);
    case_matrix(run, "dy", CASE_IN, s->M, s->K);
    given_moments(run);
}

static clora_status backward_launch(case_run *run) {
    return op_layernorm_backward(tensor(run, DX), tensor(run, DY), tensor(run, X), tensor(run, MOMENTS),
                                 tensor(run, GAIN));
}

static void backward_reference(case_run *run) {
    const case_buffer *b = run->buffer;

    ref_layernorm_backward(b[DX].expected, b[DY].host, b[X].host, b[MOMENTS].host, b[GAIN].host, run->shape.M,
                           run->shape.K);
}

enum { DG = Y };

static void gain_setup(case_run *run) {
    const op_shape *s = &run->shape;

    case_dense(run, "dg", CASE_INOUT, CLORA_DTYPE_F32, 1, s->K);
    case_matrix(run, "x", CASE_IN, s->M, s->K);
    case_dense(run, "g", CASE_IN, CLORA_DTYPE_F32, 1, s->K);
    case_matrix(run, "dy", CASE_IN, s->M, s->K);
    given_moments(run);
}

static clora_status gain_launch(case_run *run) {
    return op_layernorm_dg(tensor(run, DG), tensor(run, DY), tensor(run, X), tensor(run, MOMENTS));
}

static void gain_reference(case_run *run) {
    const case_buffer *b = run->buffer;

    ref_layernorm_dg(b[DG].expected, b[DY].host, b[X].host, b[MOMENTS].host, run->shape.M, run->shape.K);
}

/* ---- GELU: the backward pass makes y too, but in option 2; option 1 works in place ---- */

enum { IN_PLACE = 1, WITHOUT_Y = 2 };

/* A matrix of values that reach where gelu is zero and where it is x. */
static void case_wide(case_run *run, const char *name, case_role role) {
    const size_t n = (size_t)run->shape.M * (size_t)run->shape.K;
    case_buffer *b = case_matrix(run, name, role, run->shape.M, run->shape.K);

    for (size_t i = 0; i < n && run->status == CLORA_OK; i++)
        b->host[i] *= 9.0f;
}

static void gelu_setup(case_run *run) {
    case_matrix(run, "y", CASE_OUT, run->shape.M, run->shape.K);
    case_wide(run, "x", CASE_IN);
}

static clora_status gelu_launch(case_run *run) {
    return op_gelu(tensor(run, Y), tensor(run, X));
}

static void gelu_reference(case_run *run) {
    ref_gelu(run->buffer[Y].expected, run->buffer[X].host, run->shape.M, run->shape.K);
}

enum { GELU_DY, GELU_X, GELU_DX, GELU_Y };

static void gelu_backward_setup(case_run *run) {
    const op_shape *s = &run->shape;
    const case_role role = s->option == IN_PLACE ? CASE_INOUT : CASE_IN;

    case_matrix(run, "dy", role, s->M, s->K);
    case_wide(run, "x", role);
    if (s->option != IN_PLACE)
        case_matrix(run, "dx", CASE_OUT, s->M, s->K);
    if (s->option == 0)
        case_matrix(run, "y", CASE_OUT, s->M, s->K);
}

static clora_status gelu_backward_launch(case_run *run) {
    const int option = run->shape.option;
    clora_tensor *y = option == WITHOUT_Y ? NULL : tensor(run, option == IN_PLACE ? GELU_DY : GELU_Y);

    return op_gelu_backward(tensor(run, option == IN_PLACE ? GELU_X : GELU_DX), y, tensor(run, GELU_DY),
                            tensor(run, GELU_X));
}

static void gelu_backward_reference(case_run *run) {
    const op_shape *s = &run->shape;
    const case_buffer *b = run->buffer;

    ref_gelu_backward(b[s->option == IN_PLACE ? GELU_X : GELU_DX].expected, b[GELU_DY].host, b[GELU_X].host, s->M,
                      s->K);
    if (s->option != WITHOUT_Y)
        ref_gelu(b[s->option == IN_PLACE ? GELU_DY : GELU_Y].expected, b[GELU_X].host, s->M, s->K);
}

/* ---- learned positions: N of them, from the second on ---- */

enum { FIRST = 1 };

static void positions_setup(case_run *run) {
    const op_shape *s = &run->shape;

    case_matrix(run, "x", CASE_INOUT, s->M, s->K);
    case_matrix(run, "table", CASE_IN, s->N, s->K);
    case_buffer *positions = case_dense(run, "positions", CASE_IN, CLORA_DTYPE_I32, s->M, 1);
    for (int m = 0; m < s->M && run->status == CLORA_OK; m++)
        positions->ids[m] = m * 7 % (s->N - FIRST);
}

static clora_status positions_launch(case_run *run) {
    return op_add_positions(tensor(run, 0), tensor(run, 1), tensor(run, 2), FIRST);
}

static void positions_reference(case_run *run) {
    const case_buffer *b = run->buffer;

    ref_add_positions(b[0].expected, b[1].host, b[2].ids, FIRST, run->shape.M, run->shape.N, run->shape.K);
}

/* ---- costs: nothing here is bound by arithmetic ---- */

static double few_flops(const op_shape *s) {
    return 8.0 * s->M * (double)s->K;
}
static double moves_2(const op_shape *s) {
    return 8.0 * s->M * (double)s->K;
}
static double moves_4(const op_shape *s) {
    return 16.0 * s->M * (double)s->K;
}

static const op_shape rows[] = {
    {.M = 1, .K = 1},
    {.M = 3, .K = 7, .pad = 5},
    {.M = 5, .K = 64},
    {.M = 2, .K = 577, .pad = 1},
    {.M = 3, .K = 33, .option = 1},
};
static const op_shape columns[] = {
    {.M = 1, .K = 1},
    {.M = 3, .K = 7, .pad = 5},
    {.M = 71, .K = 64},
    {.M = 9, .K = 577, .pad = 1},
};
static const op_shape gelu_shapes[] = {
    {.M = 1, .K = 1},
    {.M = 5, .K = 64, .option = IN_PLACE},
    {.M = 2, .K = 577, .pad = 1},
    {.M = 2, .K = 17, .option = WITHOUT_Y},
    {.M = 2, .K = 9, .pad = 3, .option = IN_PLACE},
};

static const op_shape position_shapes[] = {
    {.M = 1, .N = 2, .K = 1},
    {.M = 11, .N = 9, .K = 77, .pad = 3},
    {.M = 3, .N = 5, .K = 32},
};

const op_case cases_gpt2[] = {
    {"layernorm", CASE_SHAPES(rows), layernorm_setup, layernorm_launch, layernorm_reference, few_flops, moves_2, 1e-5f},
    {"layernorm_apply", CASE_SHAPES(rows), apply_setup, apply_launch, apply_reference, few_flops, moves_2, 1e-5f},
    {"layernorm_backward", CASE_SHAPES(rows), backward_setup, backward_launch, backward_reference, few_flops, moves_4,
     1e-5f},
    {"layernorm_dg", CASE_SHAPES(columns), gain_setup, gain_launch, gain_reference, few_flops, moves_2, 1e-5f},
    {"gelu", CASE_SHAPES(gelu_shapes), gelu_setup, gelu_launch, gelu_reference, few_flops, moves_2, 1e-5f},
    {"gelu_backward", CASE_SHAPES(gelu_shapes), gelu_backward_setup, gelu_backward_launch, gelu_backward_reference,
     few_flops, moves_4, 1e-5f},
    {"add_positions", CASE_SHAPES(position_shapes), positions_setup, positions_launch, positions_reference, few_flops,
     moves_2, 1e-6f},
    {.name = NULL},
};
