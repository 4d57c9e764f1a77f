#ifndef CLORA_AUTOTUNE_CASES_CASE_H
#define CLORA_AUTOTUNE_CASES_CASE_H

#include <clora/context.h>

#include "ops/ops.h"

/*
 * One description of an operation (a case) drives its test, its benchmark and its tuning: how to lay out its buffers at
 * a shape, how to enqueue it once, what it should give (through src/ref), and what it costs.
 *
 * To add one: three functions and a row in a cases_*.c file; a new file needs a line in case.c.
 */

/* A shape to run at, in the letters of ops.h. A case reads the fields it knows. */
typedef struct op_shape {
    int M, N, K, R;
    int B, T, S, H, G, D, V;
    int modules; /* of a fused weight, 1 when 0 */
    int first;   /* rows of its first module, as in a model: the others share the rest, all have rank R; 0: uneven */
    clora_storage dtype; /* of the weight or input */
    int pad;             /* columns between the rows of strided buffers */
    int option;          /* whatever else a case distinguishes, from 0 */
    int seed;            /* of the values: others for each */
} op_shape;

typedef enum case_role {
    CASE_IN,     /* read; must stay as it is */
    CASE_OUT,    /* overwritten: NaN before */
    CASE_INOUT,  /* accumulates or works in place */
    CASE_SCRATCH /* overwritten as it may: NaN before, not compared */
} case_role;

/*
 * One buffer of a run. The device tensor is a view with guards before, after and (when strided) between the rows;
 * guards are NaN, so that a value read from there shows in the result, and a value written there is found.
 */
typedef struct case_buffer {
    const char *name;
    clora_tensor tensor;   /* what launch passes on */
    clora_tensor *storage; /* all of it, guards included */
    size_t guard;          /* elements before the view and after it */
    case_role role;
    bool codes; /* an i32 element is four codes of a byte; expected has one float a code, and the next code will do */
    int rows, cols;
    float *host;     /* rows*cols values before the launch (f16 and bf16 widened); setup may change them */
    int32_t *ids;    /* instead of host when the tensor is i32 */
    float *expected; /* outputs: starts as host (INOUT) or zero (OUT); the reference fills it */
} case_buffer;

enum { CASE_BUFFERS = 24, CASE_MEMORIES = 24 };

typedef struct op_case op_case;

/* A case at a shape on a device. */
typedef struct case_run {
    clora_context *context;
    const op_case *op;
    op_shape shape;
    bool guards;         /* tests: guards and odd offsets; benchmarks: none */
    clora_status status; /* the first failure of the helpers below sticks */
    int buffers;
    case_buffer buffer[CASE_BUFFERS]; /* in the order in which setup made them */
    int memories;
    void *memory[CASE_MEMORIES]; /* from case_memory */
    void *data;                  /* what setup keeps for launch and reference, from case_memory */
    weight *w;                   /* freed with the run */
    weight *other;               /* the same in the other layout, where a case compares them; freed with the run */
    lowrank *lr;                 /* freed with the run */
    bottleneck *bottleneck;      /* freed with the run */
    float *w0;                   /* the values in w, (N, K) */
} case_run;

struct op_case {
    const char *name;
    const op_shape *shapes; /* awkward ones, for the tests */
    size_t shapes_count;
    void (*setup)(case_run *run);           /* makes the buffers and their host values; failures stick in run->status */
    clora_status (*launch)(case_run *run);  /* enqueues the operation once */
    void (*reference)(case_run *run);       /* fills `expected` of every output from `host` through ref_* */
    double (*flops)(const op_shape *shape); /* floating point operations of one launch */
    double (*bytes)(const op_shape *shape); /* bytes it must move at least */
    float tolerance;                        /* largest |actual - expected| over the largest |expected| of a buffer */
};

/* ---- for setup ---- */

/* A rows x cols matrix of uniform values in [-1, 1) (seeded by its number), with rows `shape.pad` elements apart. */
case_buffer *case_matrix(case_run *run, const char *name, case_role role, int rows, int cols);

/* The same without gaps between the rows, of any type; i32 starts as zeros. */
case_buffer *case_dense(case_run *run, const char *name, case_role role, clora_dtype dtype, int rows, int cols);

/* Zeroed host memory that lives as long as the run. Never NULL: when run->status says failure it is a dummy of 64 KiB,
 * as are host, ids and expected of a buffer, so look at the status before writing more. */
void *case_memory(case_run *run, size_t count, size_t size);

/* n uniform values in [-1, 1), the same for the same seed. */
void case_fill(float *out, size_t n, unsigned seed);

/* The seed of a run's array of this number. */
unsigned case_seed(const case_run *run, unsigned number);

/* ---- for tests, benchmarks, the tuner ---- */

/* Lay out a case at a shape and upload its inputs. case_end in any event. */
clora_status case_begin(case_run *run, clora_context *context, const op_case *op, const op_shape *shape, bool guards);
void case_end(case_run *run);

/* Write the host values to the device again: outputs NaN, guards intact. */
clora_status case_upload(case_run *run);

/*
 * Launch and compare with the reference: every output within the tolerance, inputs and guards untouched; then all again
 * from a fresh upload, with the same bits. A difference is CLORA_ERROR_OPENCL with case, shape, buffer and place in the
 * message.
 */
clora_status case_check(case_run *run);

/* "matmul f32 M 3 N 5 K 7", and what follows the name: one of four static buffers per thread. */
const char *case_text(const op_case *op, const op_shape *shape);
const char *case_shape_text(const op_case *op, const op_shape *shape);

/* Fields of a shape from such a text; "M=3,N=5,K=7" is one too, and so is "3,5,7,2" for M, N, K and R. What it does not
 * name stays. CLORA_ERROR_ARGUMENT for any other text. */
clora_status case_shape_read(op_shape *out, const char *text);

/* All cases, and one by its name (NULL when there is none). */
size_t case_count(void);
const op_case *case_at(size_t index);
const op_case *case_find(const char *name);

/* The lists that case.c joins, each ended by a row without a name. */
extern const op_case cases_matmul[];
extern const op_case cases_fused[];
extern const op_case cases_lowrank[];
extern const op_case cases_bottleneck[];
extern const op_case cases_merge[];
extern const op_case cases_dora[];
extern const op_case cases_grad[];
extern const op_case cases_layout[];
extern const op_case cases_nn[];
extern const op_case cases_gate[];
extern const op_case cases_gpt2[];
extern const op_case cases_rmsnorm[];
extern const op_case cases_attention[];
extern const op_case cases_optimizer[];
extern const op_case cases_past[];
extern const op_case cases_tape[];

#define CASE_SHAPES(array) (array), sizeof(array) / sizeof((array)[0])

#endif
