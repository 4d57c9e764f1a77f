#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device/devices.h"
#include "device/opencl.h"

/* Why there is no device, as far as OpenCL's loader and the platforms tell. */

enum { MOST_PLATFORMS = 16, TEXT = 512 };

/* "'Portable Computing Language' (CL_DEVICE_NOT_FOUND), 'Clover' (...)": every platform with what it answers. */
static void list_platforms(char *out, size_t size, const cl_platform_id *ids, cl_uint count) {
    size_t used = 0;

    for (cl_uint i = 0; i < count && used < size; i++) {
        char name[128] = "";
        cl_uint devices = 0;
        if (clGetPlatformInfo(ids[i], CL_PLATFORM_NAME, sizeof(name) - 1, name, NULL) != CL_SUCCESS)
            snprintf(name, sizeof(name), "without a name");
        const cl_int error = clGetDeviceIDs(ids[i], CL_DEVICE_TYPE_ALL, 0, NULL, &devices);
        used += (size_t)snprintf(out + used, size - used, "%s'%s' (%s)", i ? ", " : "", name,
                                 opencl_error_name(error ? error : CL_DEVICE_NOT_FOUND));
    }
}

/* Where the loader looks for platforms, and whether somebody said so. ocl-icd's variable first, then Khronos's. */
static const char *vendors_folder(const char **variable) {
    static const char *const variables[] = {"OCL_ICD_VENDORS", "OPENCL_VENDOR_PATH"};

    for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++)
        if (getenv(variables[i]) && *getenv(variables[i])) {
            *variable = variables[i];
            return getenv(variables[i]);
        }
    *variable = NULL;
    return "/etc/OpenCL/vendors";
}

static int is_icd(const struct dirent *file) {
    const size_t length = strlen(file->d_name);
    return length > 4 && strcmp(file->d_name + length - 4, ".icd") == 0;
}

/* The first of the files that name platforms' libraries, or "". */
static void first_icd(char *out, size_t size, const char *folder) {
    struct dirent **files = NULL;
    const int count = scandir(folder, &files, is_icd, alphasort);

    snprintf(out, size, "%s", count > 0 ? files[0]->d_name : "");
    for (int i = 0; i < count; i++)
        free(files[i]);
    free(files);
}

static clora_status no_platform(void) {
    const char *variable, *folder = vendors_folder(&variable);
    char icd[256];

    first_icd(icd, sizeof(icd), folder);
    if (icd[0])
        return clora_fail(
            CLORA_ERROR_NOT_FOUND,
            "no OpenCL device: %s/%s names a platform that cannot be loaded; check that the library in it "
            "is installed, and that no limit on memory (ulimit -v) is in its way",
            folder, icd);
    return clora_fail(CLORA_ERROR_NOT_FOUND,
                      "no OpenCL device%s%s%s%s; install your GPU's OpenCL driver, or PoCL for the CPU (Debian and "
                      "Ubuntu: apt install pocl-opencl-icd)",
                      variable ? ": no platform is found where " : "", variable ? variable : "",
                      variable ? " points, " : "", variable ? folder : "");
}

clora_status device_none(void) {
    cl_platform_id ids[MOST_PLATFORMS];
    cl_uint count = 0;
    char platforms[TEXT];

    if (clGetPlatformIDs(MOST_PLATFORMS, ids, &count) != CL_SUCCESS || count == 0)
        return no_platform();
    list_platforms(platforms, sizeof(platforms), ids, count < MOST_PLATFORMS ? count : MOST_PLATFORMS);
    return clora_fail(CLORA_ERROR_NOT_FOUND, "no OpenCL device, though a platform is installed: %s; check %s",
                      platforms,
                      strstr(platforms, "'Portable Computing Language'")
                          ? "that POCL_DEVICES names devices PoCL has, that its cache (POCL_CACHE_DIR) can be written, "
                            "and that no limit on memory (ulimit -v) is in its way"
                          : "that the device's driver is loaded, and that you may use it (groups video and render)");
}
