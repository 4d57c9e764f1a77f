#include "cases/case.h"

#include "ref/ref.h"

/* The gated activation of M rows of K columns, whose backward pass makes y too, but WITHOUT_Y, and the soft cap. */

enum { IN_PLACE = 1, WITHOUT_Y = 2, GELU = 4 /* bits of the option */ };

static clora_tensor *tensor(case_run *run, int i) {
    return &run->buffer[i].tensor;
}

static bool gelu(const case_run *run) {
    return run->shape.option & GELU;
}

static void widen_range(case_run *run, case_buffer *b, float factor) {
    for (size_t i = 0; i < (size_t)b->rows * (size_t)b->cols && run->status == CLORA_OK; i++)
        b->host[i] *= factor;
}

static void swiglu_setup(case_run *run) {
    const op_shape *s = &run->shape;

    case_matrix(run, "y", CASE_OUT, s->M, s->K);
    widen_range(run, case_matrix(run, "gu", CASE_IN, s->M, 2 * s->K), 9.0f);
}

static clora_status swiglu_launch(case_run *run) {
    return op_swiglu(tensor(run, 0), tensor(run, 1), gelu(run));
}

static void swiglu_reference(case_run *run) {
    ref_swiglu(run->buffer[0].expected, run->buffer[1].host, gelu(run), run->shape.M, run->shape.K);
}

enum { DY, GU, DGU, FORWARD_Y };

static void swiglu_backward_setup(case_run *run) {
    const op_shape *s = &run->shape;
    const case_role role = s->option & IN_PLACE ? CASE_INOUT : CASE_IN;

    case_matrix(run, "dy", role, s->M, s->K);
    widen_range(run, case_matrix(run, "gu", role, s->M, 2 * s->K), 9.0f);
    if (s->option & IN_PLACE)
        return;
    case_matrix(run, "dgu", CASE_OUT, s->M, 2 * s->K);
    if (!(s->option & WITHOUT_Y))
        case_matrix(run, "y", CASE_OUT, s->M, s->K);
}

static clora_status swiglu_backward_launch(case_run *run) {
    const int option = run->shape.option;
    clora_tensor *y = option & WITHOUT_Y ? NULL : tensor(run, option & IN_PLACE ? DY : FORWARD_Y);

    return op_swiglu_backward(tensor(run, option & IN_PLACE ? GU : DGU), y, tensor(run, DY), tensor(run, GU),
                              gelu(run));
}

static void swiglu_backward_reference(case_run *run) {
    const case_buffer *b = run->buffer;
    const op_shape *s = &run->shape;

    ref_swiglu_backward(b[s->option & IN_PLACE ? GU : DGU].expected, b[DY].host, b[GU].host, gelu(run), s->M, s->K);
    if (!(s->option & WITHOUT_Y))
        ref_swiglu(b[s->option & IN_PLACE ? DY : FORWARD_Y].expected, b[GU].host, gelu(run), s->M, s->K);
}

/* ---- soft cap ---- */

static const float cap = 5.0f;

static void softcap_setup(case_run *run) {
    const op_shape *s = &run->shape;
    const bool in_place = s->option & IN_PLACE;

    if (!in_place)
        case_matrix(run, "y", CASE_OUT, s->M, s->K);
    widen_range(run, case_matrix(run, "x", in_place ? CASE_INOUT : CASE_IN, s->M, s->K), 29.0f);
}

static clora_status softcap_launch(case_run *run) {
    return op_softcap(tensor(run, 0), tensor(run, run->buffers - 1), cap);
}

static void softcap_reference(case_run *run) {
    ref_softcap(run->buffer[0].expected, run->buffer[run->buffers - 1].host, cap, run->shape.M, run->shape.K);
}

static void softcap_backward_setup(case_run *run) {
    const op_shape *s = &run->shape;

    case_matrix(run, "dx", CASE_INOUT, s->M, s->K);
    widen_range(run, case_matrix(run, "x", CASE_IN, s->M, s->K), 29.0f);
}

static clora_status softcap_backward_launch(case_run *run) {
    return op_softcap_backward(tensor(run, 0), tensor(run, 1), cap);
}

static void softcap_backward_reference(case_run *run) {
    ref_softcap_backward(run->buffer[0].expected, run->buffer[1].host, cap, run->shape.M, run->shape.K);
}

/* ---- costs: bound by memory ---- */

static double elements(const op_shape *s) {
    return (double)s->M * (double)s->K;
}
static double few_flops(const op_shape *s) {
    return 4.0 * elements(s);
}
static double moves_2(const op_shape *s) {
    return 8.0 * elements(s);
}
static double moves_3(const op_shape *s) {
    return 12.0 * elements(s);
}
static double moves_5(const op_shape *s) {
    return 20.0 * elements(s);
}

static const op_shape gate_shapes[] = {
    {.M = 1, .K = 1},
    {.M = 3, .K = 7, .pad = 5},
    {.M = 5, .K = 64},
    {.M = 2, .K = 577, .pad = 1},
    {.M = 1, .K = 2053},
    {.M = 2, .K = 17},
    {.M = 3, .K = 37, .option = GELU, .pad = 1},
};
static const op_shape gated_shapes[] = {
    {.M = 1, .K = 1},
    {.M = 3, .K = 7, .pad = 5},
    {.M = 5, .K = 64, .option = IN_PLACE},
    {.M = 2, .K = 577, .pad = 1},
    {.M = 1, .K = 2053, .option = WITHOUT_Y},
    {.M = 2, .K = 17, .option = WITHOUT_Y},
    {.M = 3, .K = 33, .option = IN_PLACE},
    {.M = 2, .K = 9, .pad = 3, .option = IN_PLACE},
    {.M = 3, .K = 37, .option = GELU, .pad = 1},
    {.M = 2, .K = 21, .option = IN_PLACE | GELU},
};
static const op_shape capped_shapes[] = {
    {.M = 1, .K = 1},
    {.M = 3, .K = 7, .pad = 5, .option = IN_PLACE},
    {.M = 2, .K = 577, .pad = 1},
    {.M = 2, .K = 17, .option = IN_PLACE},
};

const op_case cases_gate[] = {
    {"swiglu", CASE_SHAPES(gate_shapes), swiglu_setup, swiglu_launch, swiglu_reference, few_flops, moves_3, 1e-6f},
    {"swiglu_backward", CASE_SHAPES(gated_shapes), swiglu_backward_setup, swiglu_backward_launch,
     swiglu_backward_reference, few_flops, moves_5, 1e-6f},
    {"softcap", CASE_SHAPES(capped_shapes), softcap_setup, softcap_launch, softcap_reference, few_flops, moves_2,
     1e-6f},
    {"softcap_backward", CASE_SHAPES(capped_shapes), softcap_backward_setup, softcap_backward_launch,
     softcap_backward_reference, few_flops, moves_3, 1e-6f},
    {.name = NULL},
};
