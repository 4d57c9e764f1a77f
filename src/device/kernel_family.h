#ifndef CLORA_DEVICE_KERNEL_FAMILY_H
#define CLORA_DEVICE_KERNEL_FAMILY_H

#include "device/context.h"

/* Which family of kernels runs here: explicit vectors with one work-item a group (CPUs), or one lane a work-item (GPUs,
 * and CPUs where the tile path is forced). */
bool kernel_explicit_vectors(const clora_context *context);

/* Floats in a vector of the panel kernels: what the device computes at once, as far as OpenCL C and a panel go. */
int kernel_panel_vector(const clora_context *context);

/* Columns of a panel: the layout of every frozen weight and low-rank factor on this device, whichever path is taken. */
int kernel_panel_width(const clora_context *context);

/* PoCL's compiler has ways that OpenCL C has not: to ask for a cache line, and atomics that order all memory. */
bool kernel_has_compilers_ways(const clora_context *context);

/* Can one launch make all calls of a step that decodes: have work-groups a way to wait for each other? OpenCL C 1.2
 * does not say in which order they see each other's writes; PoCL's compiler does, for CPUs. Not where a self-check
 * found it wrong. */
bool kernel_runs_tapes(const clora_context *context);

#endif
