#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/scratch.h"

#include "base/file.h"

static char directory[512];

int scratch_setup(void **state) {
    const char *base = getenv("TMPDIR");

    (void)state;
    snprintf(directory, sizeof(directory), "%s/clora-test-XXXXXX", base ? base : "/tmp");
    return mkdtemp(directory) ? 0 : -1;
}

static void remove_tree(const char *path) {
    DIR *entries = opendir(path);
    const struct dirent *entry;
    struct stat info;

    while (entries && (entry = readdir(entries))) {
        char child[1024];
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        snprintf(child, sizeof(child), "%s/%s", path, entry->d_name);
        if (lstat(child, &info) == 0 && S_ISDIR(info.st_mode))
            remove_tree(child);
        else
            unlink(child);
    }
    if (entries)
        closedir(entries);
    rmdir(path);
}

int scratch_teardown(void **state) {
    (void)state;
    disk_is_free();
    remove_tree(directory);
    return 0;
}

const char *scratch_path(const char *name) {
    static char paths[8][1024];
    static int next;
    char *out = paths[next = (next + 1) % 8];

    snprintf(out, sizeof(paths[0]), *name ? "%s/%s" : "%s%s", directory, name);
    return out;
}

void scratch_mkdir(const char *name) {
    assert_int_equal(mkdir(scratch_path(name), 0777), 0);
}

void scratch_write(const char *name, const void *data, size_t size) {
    FILE *file = fopen(scratch_path(name), "wb");

    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

void scratch_text(const char *name, const char *text) {
    scratch_write(name, text, strlen(text));
}

void scratch_copy(const char *to, const char *from) {
    size_t size;
    char *data = read_whole(&size, from);

    scratch_write(to, data, size);
    free(data);
}

int scratch_entries(const char *path) {
    DIR *entries = opendir(path);
    const struct dirent *entry;
    int count = 0;

    if (!entries)
        return -1;
    while ((entry = readdir(entries)))
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(entries);
    return count;
}

char *read_whole(size_t *size, const char *path) {
    char *data = NULL;

    assert_ok(file_read_text(&data, size, path, SIZE_MAX / 2));
    return data;
}

void assert_same_file(const char *a, const char *b) {
    size_t m, n;
    char *x = read_whole(&m, a), *y = read_whole(&n, b);

    if (m != n || memcmp(x, y, m) != 0)
        fail_msg("%s and %s differ", a, b);
    free(x);
    free(y);
}

void assert_ok(clora_status status) {
    if (status != CLORA_OK)
        fail_msg("%s: %s", clora_status_name(status), clora_last_error());
}

void assert_refused(clora_status status, clora_status expected, const char *words) {
    if (status != expected)
        fail_msg("%s, wanted %s with \"%s\"; message: %s", clora_status_name(status), clora_status_name(expected),
                 words, status == CLORA_OK ? "none" : clora_last_error());
    if (!strstr(clora_last_error(), words))
        fail_msg("\"%s\" is not in the message: %s", words, clora_last_error());
    if (strchr(clora_last_error(), '\n'))
        fail_msg("more than one line: %s", clora_last_error());
}

static void limit_files(rlim_t bytes) {
    struct rlimit limit;

    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes < limit.rlim_max ? bytes : limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

void disk_full_after(size_t bytes) {
    signal(SIGXFSZ, SIG_IGN);
    limit_files(bytes);
}

void disk_is_free(void) {
    limit_files(RLIM_INFINITY);
}
