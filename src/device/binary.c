#include "device/binary.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/cache.h"
#include "base/file.h"
#include "device/pulse.h"

/* Before the binary: what it is, and a hash of what follows. */
typedef struct binary_head {
    char magic[8];
    uint64_t size;
    XXH64_canonical_t hash;
} binary_head;

static const char magic[8] = {'c', 'l', 'o', 'r', 'a', 'b', 'i', '1'};

bool binary_is_kept(const clora_context *context) {
    static const char *const platforms[] = {"AMD Accelerated", "QUALCOMM", "ARM Platform"};
    const char *wanted = getenv("CLORA_PROGRAM_CACHE");

    if (wanted && *wanted)
        return strcmp(wanted, "on") == 0;
    for (size_t i = 0; i < sizeof(platforms) / sizeof(platforms[0]); i++)
        if (strncmp(context->info.platform, platforms[i], strlen(platforms[i])) == 0)
            return true;
    return false;
}

static void add_text(XXH3_state_t *state, const char *text) {
    XXH3_128bits_update(state, text, strlen(text) + 1);
}

XXH128_hash_t binary_key(const clora_context *context, char *const *texts, cl_uint count, const char *options) {
    const clora_device_info *info = &context->info;
    XXH3_state_t *state = XXH3_createState();
    XXH128_hash_t key = {0, 0};

    if (!state)
        return key;
    XXH3_128bits_reset(state);
    for (cl_uint i = 0; i < count; i++)
        add_text(state, texts[i]);
    add_text(state, options);
    add_text(state, info->platform);
    add_text(state, info->name);
    add_text(state, info->vendor);
    add_text(state, info->driver);
    add_text(state, info->version);
    key = XXH3_128bits_digest(state);
    XXH3_freeState(state);
    return key;
}

static char *path_of(XXH128_hash_t key) {
    char *cache = cache_directory();
    char *path = cache ? alloc_format("%s/programs/v1/%016llx%016llx.bin", cache, (unsigned long long)key.high64,
                                      (unsigned long long)key.low64)
                       : NULL;

    free(cache);
    return path;
}

/* The binary in a file; NULL when it is not one, or not whole. */
static const unsigned char *content_of(const file_map *file, size_t *size) {
    const binary_head *head = (const binary_head *)(const void *)file->data;

    if (file->size < sizeof(*head) || memcmp(head->magic, magic, sizeof(magic)) != 0 ||
        head->size != file->size - sizeof(*head))
        return NULL;
    *size = (size_t)head->size;
    return XXH64_hashFromCanonical(&head->hash) == XXH3_64bits(file->data + sizeof(*head), *size)
               ? file->data + sizeof(*head)
               : NULL;
}

static cl_program program_from(clora_context *context, const unsigned char *content, size_t size) {
    cl_int loaded, error;
    cl_program program = clCreateProgramWithBinary(context->cl, 1, &context->device, &size, &content, &loaded, &error);

    if (error != CL_SUCCESS)
        return NULL;
    pulse_enter(context->pulse, "clBuildProgram");
    error = loaded == CL_SUCCESS ? clBuildProgram(program, 1, &context->device, NULL, NULL, NULL) : loaded;
    pulse_leave(context->pulse);
    if (error == CL_SUCCESS)
        return program;
    clReleaseProgram(program);
    return NULL;
}

cl_program binary_load(clora_context *context, XXH128_hash_t key) {
    char *path = path_of(key);
    cl_program program = NULL;
    file_map file = {0};
    size_t size;

    if (path && file_exists(path) && file_map_open(&file, path) == CLORA_OK) {
        const unsigned char *content = content_of(&file, &size);
        program = content ? program_from(context, content, size) : NULL;
        file_map_close(&file);
        if (!program)
            unlink(path);
    }
    free(path);
    return program;
}

static void write_file(const char *path, const unsigned char *content, size_t size) {
    binary_head head = {.size = size};
    file_writer writer = {0};

    memcpy(head.magic, magic, sizeof(magic));
    XXH64_canonicalFromHash(&head.hash, XXH3_64bits(content, size));
    if (file_make_directories_of(path) == CLORA_OK && file_writer_open(&writer, path) == CLORA_OK &&
        file_writer_write(&writer, &head, sizeof(head)) == CLORA_OK &&
        file_writer_write(&writer, content, size) == CLORA_OK)
        (void)file_writer_commit(&writer);
    file_writer_abandon(&writer);
}

void binary_save(clora_context *context, XXH128_hash_t key, cl_program program) {
    size_t size = 0;
    char *path = path_of(key);

    (void)context;
    if (path && !file_exists(path) &&
        clGetProgramInfo(program, CL_PROGRAM_BINARY_SIZES, sizeof(size), &size, NULL) == CL_SUCCESS && size > 0) {
        unsigned char *content = alloc_array(size, 1);
        if (content && clGetProgramInfo(program, CL_PROGRAM_BINARIES, sizeof(content), &content, NULL) == CL_SUCCESS)
            write_file(path, content, size);
        free(content);
    }
    free(path);
}
