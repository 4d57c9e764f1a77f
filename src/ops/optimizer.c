#include <math.h>

#include "ops/launch.h"
#include "ops/ops.h"

enum { PARTS = 256 /* work-groups of square_parts: the kernel's PARTS */ };

static clora_status square_parts(clora_tensor *parts, const clora_tensor *x) {
    launch l;

    do {
        launch_begin(&l, x->context, "square_parts", (kernel_key){.M = (int)clora_tensor_count(x)});
    } while (launch_again(&l));
    const size_t group = (size_t)launch_parameter(&l, "WG");
    launch_tensor(&l, parts);
    launch_tensor(&l, x);
    launch_ulong(&l, clora_tensor_count(x));
    return launch_run(&l, PARTS * group, 1, 1, group, 1, 1);
}

static clora_status square_total(clora_tensor *sums, int slot, const clora_tensor *parts) {
    launch l;

    do {
        launch_begin(&l, sums->context, "square_total", (kernel_key){0});
    } while (launch_again(&l));
    launch_tensor(&l, sums);
    launch_int(&l, slot);
    launch_tensor(&l, parts);
    return launch_run(&l, 1, 1, 1, 1, 1, 1);
}

clora_status op_sum_squares(clora_tensor *sums, int slot, const clora_tensor *x) {
    clora_status status = CLORA_OK;
    clora_tensor *parts = NULL;

    if (slot < 0 || (size_t)slot >= clora_tensor_count(sums) || !tensor_is_dense(sums) || !tensor_is_dense(x))
        return clora_fail(CLORA_ERROR_SHAPE, "sum_squares: slot %d of sums%s x%s", slot, tensor_shape_text(sums),
                          tensor_shape_text(x));
    TRY(tensor_new(&parts, x->context, CLORA_DTYPE_F32, 1, PARTS));
    TRY(square_parts(parts, x));
    TRY(square_total(sums, slot, parts));
done:
    clora_tensor_free(parts); /* OpenCL keeps the buffer until both kernels are done */
    return status;
}

clora_status op_clip_scale(clora_tensor *scale, const clora_tensor *sums, int n, float factor, float clip) {
    launch l;

    if (n < 1 || clora_tensor_count(sums) < (size_t)n || clora_tensor_count(scale) != 2 || !tensor_is_dense(scale) ||
        !tensor_is_dense(sums))
        return clora_fail(CLORA_ERROR_SHAPE, "clip_scale: scale%s, %d of sums%s", tensor_shape_text(scale), n,
                          tensor_shape_text(sums));
    do {
        launch_begin(&l, scale->context, "clip_scale", (kernel_key){0});
    } while (launch_again(&l));
    launch_tensor(&l, scale);
    launch_tensor(&l, sums);
    launch_int(&l, n);
    launch_float(&l, factor);
    launch_float(&l, clip);
    return launch_run(&l, 1, 1, 1, 1, 1, 1);
}

clora_status op_adamw(clora_tensor *p, clora_tensor *m, clora_tensor *v, const clora_tensor *g,
                      const clora_tensor *scale, adamw_options o) {
    const size_t n = clora_tensor_count(p);
    launch l;

    if (clora_tensor_count(m) != n || clora_tensor_count(v) != n || clora_tensor_count(g) != n ||
        clora_tensor_count(scale) != 2 || !tensor_is_dense(p) || !tensor_is_dense(m) || !tensor_is_dense(v) ||
        !tensor_is_dense(g))
        return clora_fail(CLORA_ERROR_SHAPE, "adamw: p%s m%s v%s g%s", tensor_shape_text(p), tensor_shape_text(m),
                          tensor_shape_text(v), tensor_shape_text(g));
    if (o.step < 1)
        return clora_fail(CLORA_ERROR_ARGUMENT, "adamw: step %d: the first is 1", o.step);
    do {
        launch_begin(&l, p->context, "adamw", (kernel_key){.M = (int)n});
    } while (launch_again(&l));
    const size_t group = (size_t)launch_parameter(&l, "WG"), block = (size_t)launch_parameter(&l, "BLOCK");
    launch_tensor(&l, p);
    launch_tensor(&l, m);
    launch_tensor(&l, v);
    launch_tensor(&l, g);
    launch_tensor(&l, scale);
    launch_ulong(&l, n);
    launch_float(&l, (float)(1.0 - (double)o.lr * (double)o.weight_decay));
    launch_float(&l, o.beta1);
    launch_float(&l, o.beta2);
    launch_float(&l, (float)((double)o.lr / (1.0 - pow((double)o.beta1, o.step))));
    launch_float(&l, (float)sqrt(1.0 - pow((double)o.beta2, o.step)));
    launch_float(&l, o.eps);
    return launch_run(&l, divide_up_size(n, block), 1, 1, group, 1, 1);
}
