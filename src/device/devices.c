#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/c_locale.h"
#include "device/devices.h"
#include "device/fork.h"

static void query_text(char *out, size_t size, cl_device_id device, cl_device_info what) {
    char text[1024] = "";

    clGetDeviceInfo(device, what, sizeof(text) - 1, text, NULL);
    snprintf(out, size, "%s", text);
}

static size_t query_size(cl_device_id device, cl_device_info what) {
    size_t value = 0;

    clGetDeviceInfo(device, what, sizeof(value), &value, NULL);
    return value;
}

static cl_ulong query_ulong(cl_device_id device, cl_device_info what) {
    cl_ulong value = 0;

    clGetDeviceInfo(device, what, sizeof(value), &value, NULL);
    return value;
}

static cl_uint query_uint(cl_device_id device, cl_device_info what) {
    cl_uint value = 0;

    clGetDeviceInfo(device, what, sizeof(value), &value, NULL);
    return value;
}

/* Work-items in a group, also when they all lie along one of the first two dimensions. */
static size_t query_group(cl_device_id device) {
    size_t most = query_size(device, CL_DEVICE_MAX_WORK_GROUP_SIZE), sizes[8] = {0};

    clGetDeviceInfo(device, CL_DEVICE_MAX_WORK_ITEM_SIZES, sizeof(sizes), sizes, NULL);
    for (int i = 0; i < 2; i++)
        most = sizes[i] && sizes[i] < most ? sizes[i] : most;
    return most;
}

static bool has_extension(cl_device_id device, const char *name) {
    size_t size = 0;

    if (clGetDeviceInfo(device, CL_DEVICE_EXTENSIONS, 0, NULL, &size) != CL_SUCCESS || size == 0)
        return false;
    char *text = alloc_array(size + 1, 1);
    if (!text)
        return false;
    clGetDeviceInfo(device, CL_DEVICE_EXTENSIONS, size, text, NULL);
    const bool found = strstr(text, name) != NULL;
    free(text);
    return found;
}

static const char *type_name(cl_device_type type) {
    if (type & CL_DEVICE_TYPE_GPU)
        return "gpu";
    if (type & CL_DEVICE_TYPE_ACCELERATOR)
        return "accelerator";
    return type & CL_DEVICE_TYPE_CPU ? "cpu" : "other";
}

bool device_is_pocl_cpu(const clora_context *context) {
    return context->is_cpu && strcmp(context->info.platform, "Portable Computing Language") == 0;
}

clora_status device_gemm_path(gemm_path *out, bool is_cpu) {
    const char *forced = getenv("CLORA_GEMM");

    *out = is_cpu ? GEMM_PANEL : GEMM_TILE;
    if (!forced || !*forced)
        return CLORA_OK;
    for (gemm_path path = GEMM_PANEL; path <= GEMM_CLBLAST; path++)
        if (strcmp(forced, gemm_path_name(path)) == 0) {
            *out = path;
            return CLORA_OK;
        }
    return clora_fail(CLORA_ERROR_ARGUMENT, "CLORA_GEMM is '%s': take panel, tile or clblast", forced);
}

clora_status device_limit_group(size_t *most) {
    const char *text = getenv("CLORA_MAX_GROUP");
    char *end;

    if (!text || !*text)
        return CLORA_OK;
    const long wanted = strtol(text, &end, 10);
    if (*end || wanted < DEVICE_LEAST_GROUP)
        return clora_fail(CLORA_ERROR_ARGUMENT, "CLORA_MAX_GROUP is '%s': take %d work-items or more", text,
                          DEVICE_LEAST_GROUP);
    if ((size_t)wanted < *most)
        *most = (size_t)wanted;
    return CLORA_OK;
}

const char *gemm_path_name(gemm_path path) {
    static const char *const names[] = {"panel", "tile", "clblast"};
    return names[path];
}

/* Kernels are OpenCL C 1.2. What a driver words otherwise than the standard does is left to its compiler. */
static bool is_too_old(const clora_device_info *info) {
    int major, minor;

    return (sscanf(info->version, "OpenCL %d.%d", &major, &minor) == 2 && 10 * major + minor < 12) ||
           (sscanf(info->c_version, "OpenCL C %d.%d", &major, &minor) == 2 && 10 * major + minor < 12);
}

clora_status device_check_version(const clora_device_info *info) {
    if (!is_too_old(info))
        return CLORA_OK;
    return clora_fail(CLORA_ERROR_NOT_FOUND,
                      "the OpenCL device '%s' has %s with %s; clora needs OpenCL 1.2 or later: install a newer driver, "
                      "or take another of clora devices",
                      info->name, info->version, info->c_version);
}

void device_query(clora_device_info *out, cl_platform_id platform, cl_device_id device) {
    cl_device_type type = 0;
    gemm_path path;

    *out = (clora_device_info){0};
    clGetDeviceInfo(device, CL_DEVICE_TYPE, sizeof(type), &type, NULL);
    snprintf(out->type, sizeof(out->type), "%s", type_name(type));
    if (clGetPlatformInfo(platform, CL_PLATFORM_NAME, sizeof(out->platform) - 1, out->platform, NULL) != CL_SUCCESS)
        out->platform[0] = '\0';
    query_text(out->name, sizeof(out->name), device, CL_DEVICE_NAME);
    query_text(out->vendor, sizeof(out->vendor), device, CL_DEVICE_VENDOR);
    query_text(out->driver, sizeof(out->driver), device, CL_DRIVER_VERSION);
    query_text(out->version, sizeof(out->version), device, CL_DEVICE_VERSION);
    query_text(out->c_version, sizeof(out->c_version), device, CL_DEVICE_OPENCL_C_VERSION);
    if (is_too_old(out))
        snprintf(out->gemm, sizeof(out->gemm), "none");
    else if (device_gemm_path(&path, (type & CL_DEVICE_TYPE_CPU) != 0) == CLORA_OK)
        snprintf(out->gemm, sizeof(out->gemm), "%s", gemm_path_name(path));
    out->compute_units = (int)query_uint(device, CL_DEVICE_MAX_COMPUTE_UNITS);
    out->vector_width = (int)query_uint(device, CL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT);
    out->clock_mhz = (int)query_uint(device, CL_DEVICE_MAX_CLOCK_FREQUENCY);
    out->global_memory = (size_t)query_ulong(device, CL_DEVICE_GLOBAL_MEM_SIZE);
    out->max_allocation = (size_t)query_ulong(device, CL_DEVICE_MAX_MEM_ALLOC_SIZE);
    out->local_memory = (size_t)query_ulong(device, CL_DEVICE_LOCAL_MEM_SIZE);
    out->max_group = query_group(device);
    out->local_is_dedicated = query_uint(device, CL_DEVICE_LOCAL_MEM_TYPE) == CL_LOCAL;
    out->fp16 = has_extension(device, "cl_khr_fp16");
    out->fp64 = has_extension(device, "cl_khr_fp64");
    out->subgroups = has_extension(device, "cl_khr_subgroups") || has_extension(device, "cl_intel_subgroups");
}

static clora_status list_platform(device_entry **entries, size_t *capacity, int *count, cl_platform_id platform) {
    clora_status status = CLORA_OK;
    cl_device_id *ids = NULL;
    cl_uint found = 0;

    if (clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 0, NULL, &found) != CL_SUCCESS || found == 0)
        return CLORA_OK; /* a platform without devices */
    ids = alloc_array(found, sizeof(*ids));
    if (!ids)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for %u devices", found);
    if (clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, found, ids, NULL) != CL_SUCCESS)
        found = 0;
    TRY(alloc_grow((void **)entries, capacity, (size_t)*count + found, sizeof(**entries)));
    for (cl_uint i = 0; i < found; i++) {
        device_entry *e = *entries + *count;
        e->platform = platform;
        e->id = ids[i];
        device_query(&e->info, platform, ids[i]);
        e->info.index = (*count)++;
    }
done:
    free(ids);
    return status;
}

/* The more work a device does, by its own account; of equals the one with more memory. */
static bool is_better(const clora_device_info *a, const clora_device_info *b) {
    const long long work_a = (long long)a->compute_units * a->clock_mhz;
    const long long work_b = (long long)b->compute_units * b->clock_mhz;

    return work_a != work_b ? work_a > work_b : a->global_memory > b->global_memory;
}

/* The best device of a type, the first of equals; -1: none. One that is too old only where there is no other. */
static int best_of_type(const device_entry *entries, int count, const char *type) {
    int best = -1;

    for (int i = 0; i < count; i++) {
        const clora_device_info *info = &entries[i].info;
        if (strcasecmp_l(info->type, type, c_locale()) != 0)
            continue;
        if (best < 0 || is_too_old(&entries[best].info) > is_too_old(info) ||
            (is_too_old(&entries[best].info) == is_too_old(info) && is_better(info, &entries[best].info)))
            best = i;
    }
    return best;
}

/* None is the default where all are too old. */
static void mark_default(device_entry *entries, int count) {
    static const char *const order[] = {"gpu", "accelerator", "cpu", "other"};

    for (size_t o = 0; o < sizeof(order) / sizeof(order[0]); o++) {
        const int best = best_of_type(entries, count, order[o]);
        if (best >= 0 && !is_too_old(&entries[best].info)) {
            entries[best].info.is_default = 1;
            return;
        }
    }
}

/* Every device of every platform; free(*out). */
static clora_status list_devices(device_entry **out, int *count) {
    clora_status status = CLORA_OK;
    cl_uint platforms = 0;
    cl_platform_id *ids = NULL;
    device_entry *entries = NULL;
    size_t capacity = 0;

    *out = NULL;
    *count = 0;
    TRY(fork_use_opencl());
    if (clGetPlatformIDs(0, NULL, &platforms) != CL_SUCCESS || platforms == 0)
        return CLORA_OK; /* the loader has no implementation to offer */
    ids = alloc_array(platforms, sizeof(*ids));
    if (!ids)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for %u platforms", platforms);
    if (clGetPlatformIDs(platforms, ids, NULL) != CL_SUCCESS)
        platforms = 0;
    for (cl_uint i = 0; i < platforms; i++)
        TRY(list_platform(&entries, &capacity, count, ids[i]));
    mark_default(entries, *count);
    *out = entries;
    entries = NULL;
done:
    free(entries);
    free(ids);
    return status;
}

clora_status clora_devices_list(const clora_device_info ***out, size_t *count) {
    clora_device_info *infos = NULL;
    device_entry *entries = NULL;
    clora_status status = CLORA_OK;
    int found = 0;

    NEED(out);
    *out = NULL;
    NEED(count);
    *count = 0;
    TRY(list_devices(&entries, &found));
    infos = alloc_array((size_t)found, sizeof(*infos));
    for (int i = 0; infos && i < found; i++)
        infos[i] = entries[i].info;
    if (infos)
        *out = alloc_list(infos, (size_t)found, sizeof(*infos));
    if (found > 0 && !*out)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for %d devices", found));
    *count = (size_t)found;
done:
    free(infos);
    free(entries);
    return status;
}

/* "0 'pthread-haswell' (cpu), 1 'Oclgrind' (cpu)" for messages. */
static void join_names(char *out, size_t size, const device_entry *entries, int count) {
    size_t used = 0;

    out[0] = '\0';
    for (int i = 0; i < count && used < size; i++)
        used += (size_t)snprintf(out + used, size - used, "%s%d '%s' (%s)", i ? ", " : "", i, entries[i].info.name,
                                 entries[i].info.type);
}

static bool is_type(const char *wanted) {
    return strcasecmp_l(wanted, "gpu", c_locale()) == 0 || strcasecmp_l(wanted, "cpu", c_locale()) == 0 ||
           strcasecmp_l(wanted, "accelerator", c_locale()) == 0;
}

static bool contains(const char *text, const char *part) {
    for (const size_t n = strlen(part); *text; text++)
        if (strncasecmp_l(text, part, n, c_locale()) == 0)
            return true;
    return false;
}

static clora_status choose(int *out, const device_entry *entries, int count, const char *wanted) {
    char names[1024], *end;
    int matches = 0;

    join_names(names, sizeof(names), entries, count);
    const long number = strtol(wanted, &end, 10);
    if (*wanted && *end == '\0') {
        if (number < 0 || number >= count)
            return clora_fail(CLORA_ERROR_NOT_FOUND, "no OpenCL device %s; there are: %s", wanted, names);
        *out = (int)number;
        return CLORA_OK;
    }
    if (is_type(wanted)) {
        *out = best_of_type(entries, count, wanted);
        return *out >= 0 ? CLORA_OK
                         : clora_fail(CLORA_ERROR_NOT_FOUND, "no OpenCL device is a %s; there are: %s", wanted, names);
    }
    for (int i = 0; i < count; i++)
        if (contains(entries[i].info.name, wanted) || contains(entries[i].info.platform, wanted)) {
            *out = i;
            matches++;
        }
    if (matches == 0)
        return clora_fail(CLORA_ERROR_NOT_FOUND, "no OpenCL device is called '%s'; there are: %s", wanted, names);
    if (matches > 1)
        return clora_fail(CLORA_ERROR_ARGUMENT, "'%s' fits several OpenCL devices; take a number of: %s", wanted,
                          names);
    return CLORA_OK;
}

clora_status device_choose(device_entry *out, const char *wanted) {
    clora_status status = CLORA_OK;
    device_entry *entries = NULL;
    int count = 0, chosen = 0;

    TRY(list_devices(&entries, &count));
    if (count == 0)
        TRY(device_none());
    if (!wanted || !*wanted)
        wanted = getenv("CLORA_DEVICE");
    if (wanted && *wanted)
        TRY(choose(&chosen, entries, count, wanted));
    else
        for (int i = 0; i < count; i++)
            chosen = entries[i].info.is_default ? i : chosen;
    TRY(device_check_version(&entries[chosen].info));
    *out = entries[chosen];
done:
    free(entries);
    return status;
}
