// A product of few rows, as matvec.cl says: a work-item makes STREAMS panels, or with GATED half as many pairs.

#ifndef STREAMS
#define STREAMS 1 // panels side by side
#endif
#ifndef GATED
#define GATED 0 // 1: streams in pairs, of each half one
#endif

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void matvec_panel(FORWARD_ARGUMENTS) {
    FORWARD_BEGIN;
    const product p = {.y = y,
                       .x = x,
                       .residual = accumulate ? y : residual,
                       .bias = bias,
                       .u = u,
                       .b = b,
                       .w = w,
                       .columns = columns,
                       .table = table,
                       .y_stride = y_stride,
                       .x_stride = x_stride,
                       .residual_stride = accumulate ? y_stride : residual_stride,
                       .u_stride = u_stride,
                       .M = M,
                       .N = N,
                       .K = K,
                       .R = R,
                       .first = first,
                       .panels = panels};
    const int begin = get_global_id(0) * (STREAMS >> GATED);
    stream_sums sums;
    matvec_sum(&sums, &p, begin, STREAMS, GATED);
    matvec_finish(&sums, &p, begin, STREAMS, GATED);
}
