#include "device/kernel_family.h"

#include "device/devices.h"

bool kernel_explicit_vectors(const clora_context *context) {
    return context->is_cpu && context->gemm != GEMM_TILE;
}

int kernel_panel_vector(const clora_context *context) {
    const int width = context->info.vector_width;
    return width >= 16 ? 16 : width >= 8 ? 8 : 4;
}

/* Two vectors of a CPU's own width (12 accumulators of 6 rows then fit its registers), what coalesces on GPUs. */
int kernel_panel_width(const clora_context *context) {
    return context->is_cpu ? 2 * kernel_panel_vector(context) : 32;
}

bool kernel_has_compilers_ways(const clora_context *context) {
    return kernel_explicit_vectors(context) && device_is_pocl_cpu(context);
}

bool kernel_runs_tapes(const clora_context *context) {
    return kernel_has_compilers_ways(context) && !context->check.tape_is_wrong;
}
