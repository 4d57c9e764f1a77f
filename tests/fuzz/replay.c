/*
 * Runs files through a fuzz target, for any compiler: TARGET PATH..., where a PATH is a file or a directory of files.
 * One that takes more than 20 seconds of the processor, or memory out of proportion, ends the program.
 */

#include <dirent.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "fuzz/fuzz.h"

enum { SECONDS = 20, MEGABYTES = 256 };

#ifdef __has_feature
#define SANITIZED (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif
static const int counts_memory = !SANITIZED; /* most of it would be the sanitizer's */

static char now[4096]; /* the file that is being run */
static int files;

static void on_time(int signal) {
    (void)signal;
    fprintf(stderr, "%s: more than %d seconds\n", now, SECONDS);
    abort();
}

static long megabytes(void) {
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss >> 10;
}

/* The soft limit on the processor's seconds counts from the start of the process: move it on. */
static void allow_seconds(void) {
    struct rusage usage;
    struct rlimit limit;

    getrusage(RUSAGE_SELF, &usage);
    getrlimit(RLIMIT_CPU, &limit);
    limit.rlim_cur = (rlim_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec + SECONDS + 1);
    setrlimit(RLIMIT_CPU, &limit);
}

static void run_file(const char *path) {
    FILE *file = fopen(path, "rb");
    struct stat about;

    FUZZ_CHECK(file && fstat(fileno(file), &about) == 0);
    const size_t size = (size_t)about.st_size;
    uint8_t *data = malloc(size ? size : 1); /* of just that size, so that a sanitizer sees the end */
    FUZZ_CHECK(data && fread(data, 1, size, file) == size);
    fclose(file);
    snprintf(now, sizeof(now), "%s", path);
    allow_seconds();
    const long before = megabytes();
    (void)LLVMFuzzerTestOneInput(data, size);
    if (counts_memory && megabytes() - before > MEGABYTES) {
        fprintf(stderr, "%s: %ld megabytes\n", path, megabytes() - before);
        abort();
    }
    free(data);
    files++;
}

static void run_directory(const char *path) {
    struct dirent **entries;
    const int count = scandir(path, &entries, NULL, alphasort);

    FUZZ_CHECK(count >= 0);
    for (int i = 0; i < count; i++) {
        char file[4096];
        if (entries[i]->d_name[0] != '.') {
            snprintf(file, sizeof(file), "%s/%s", path, entries[i]->d_name);
            run_file(file);
        }
        free(entries[i]);
    }
    free(entries);
}

int main(int argc, char **argv) {
    const struct rlimit room = {(rlim_t)4 << 30, RLIM_INFINITY}; /* for the sake of what else runs on the machine */

    signal(SIGXCPU, on_time);
    if (counts_memory)
        setrlimit(RLIMIT_AS, &room);
    for (int i = 1; i < argc; i++) {
        struct stat about;
        FUZZ_CHECK(stat(argv[i], &about) == 0);
        if (S_ISDIR(about.st_mode))
            run_directory(argv[i]);
        else
            run_file(argv[i]);
    }
    printf("%d inputs\n", files);
    return files > 0 ? 0 : 1;
}
