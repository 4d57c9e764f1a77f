#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

#include <clora/chat.h>

#include "data/answers.h"
#include "data/dataset.h"
#include "data/dataset_store.h"
#include "support/byte_tokenizer.h"
#include "support/scratch.h"

/* Sequences that come from a file are those that would be in memory, whatever is made of them. */

static clora_dataset *read_files(const clora_data_file *files, size_t count, clora_dataset_options options,
                                 int stream) {
    clora_dataset *d = NULL;

    options.stream = stream;
    assert_ok(clora_dataset_load_files(&d, files, count, with_bos, &options));
    assert_int_equal(clora_dataset_file(d) != NULL, stream);
    return d;
}

static void assert_same_sequences(const clora_dataset *a, const clora_dataset *b) {
    const clora_dataset_stats *s = clora_dataset_get_stats(a), *t = clora_dataset_get_stats(b);

    assert_memory_equal(s, t, offsetof(clora_dataset_stats, longest_row));
    assert_true(s->longest_row == t->longest_row && s->glued == t->glued);
    assert_int_equal(clora_dataset_count(a), clora_dataset_count(b));
    for (size_t i = 0; i < clora_dataset_count(a); i++) {
        const int32_t *ids[2], *labels[2];
        const int n = clora_dataset_sequence(a, i, &ids[0], &labels[0]);
        assert_int_equal(clora_dataset_sequence(b, i, &ids[1], &labels[1]), n);
        assert_memory_equal(ids[0], ids[1], (size_t)n * sizeof(int32_t));
        assert_memory_equal(labels[0], labels[1], (size_t)n * sizeof(int32_t));
    }
}

static void assert_same_batches(const clora_dataset *a, const clora_dataset *b, int pack) {
    const clora_loader_options options = {.batch_size = 2, .pack = pack, .shuffle = 1, .seed = 5};
    const clora_batch *batch[2];
    clora_loader *loader[2];

    assert_ok(clora_loader_create(&loader[0], a, &options));
    assert_ok(clora_loader_create(&loader[1], b, &options));
    for (int step = 0; step < 40; step++) {
        for (int k = 0; k < 2; k++)
            assert_ok(clora_loader_next(loader[k], &batch[k]));
        const size_t n = (size_t)(batch[0]->B * batch[0]->T);
        assert_true(batch[0]->B == batch[1]->B && batch[0]->T == batch[1]->T);
        assert_memory_equal(batch[0]->ids, batch[1]->ids, n * sizeof(int32_t));
        assert_memory_equal(batch[0]->targets, batch[1]->targets, n * sizeof(int32_t));
        assert_memory_equal(batch[0]->first, batch[1]->first, n * sizeof(int32_t));
    }
    clora_loader_free(loader[0]);
    clora_loader_free(loader[1]);
}

static void assert_same_split(const clora_dataset *a, const clora_dataset *b) {
    clora_dataset *rest[2], *held[2];

    assert_ok(clora_dataset_split(&rest[0], &held[0], a, 0.3, 7));
    assert_ok(clora_dataset_split(&rest[1], &held[1], b, 0.3, 7));
    assert_string_equal(clora_dataset_file(rest[1]), clora_dataset_file(b));
    assert_same_sequences(rest[0], rest[1]);
    assert_same_sequences(held[0], held[1]);
    if (!dataset_is_preference(a))
        assert_same_batches(rest[0], rest[1], 1);
    for (int k = 0; k < 2; k++) {
        clora_dataset_free(rest[k]);
        clora_dataset_free(held[k]);
    }
}

/* Read anew, and a second time from the file that is there. */
static void assert_same(const clora_data_file *files, size_t count, const clora_dataset_options *options) {
    clora_dataset *kept = read_files(files, count, *options, 0);

    for (int time = 0; time < 2; time++) {
        clora_dataset *streamed = read_files(files, count, *options, 1);
        assert_same_sequences(kept, streamed);
        assert_same_split(kept, streamed);
        if (!dataset_is_preference(kept)) {
            assert_same_batches(kept, streamed, 0);
            assert_same_batches(kept, streamed, 1);
        } else {
            assert_memory_equal(kept->answer, streamed->answer, kept->count * sizeof(*kept->answer));
        }
        clora_dataset_free(streamed);
    }
    clora_dataset_free(kept);
}

static void pack_file(const char *name, const char *text) {
    gzFile file = gzopen(scratch_path(name), "wb");

    assert_int_equal(gzwrite(file, text, (unsigned)strlen(text)), (int)strlen(text));
    assert_int_equal(gzclose(file), Z_OK);
}

static const char pairs[] =
    "{\"prompt\": \"a\", \"completion\": \" bc\"}\n{\"prompt\": \"def\", \"completion\": \" g\"}\n"
    "{\"prompt\": \"\", \"completion\": \"hijklmn\"}\n{\"prompt\": \"o\", \"completion\": \" p\"}\n"
    "{\"prompt\": \"q\", \"completion\": \"\"}\n";

static void test_rows_of_every_kind_are_the_same(void **state) {
    clora_dataset_options options = options_of_length(9);
    char path[3][512];
    (void)state;

    scratch_text("1.jsonl", pairs);
    scratch_text("2.csv", "context,target\nx,yz\n1,\"2\n3\"\n");
    pack_file("3.txt.gz", "A long text that is cut into windows.");
    for (int i = 0; i < 3; i++)
        snprintf(path[i], sizeof(path[i]), "%s", scratch_path((const char *[]){"1.jsonl", "2.csv", "3.txt.gz"}[i]));
    const clora_data_file one = {path[0], 1}, all[] = {{path[0], 1.5}, {path[1], 1}, {path[2], 0.5}};
    assert_same(&one, 1, &options);
    assert_same(all, 3, &options);
    options.learn_context = 1;
    options.eos = 0;
    assert_same(all, 2, &options);
}

static void test_preferences_labels_and_conversations_are_the_same(void **state) {
    clora_dataset_options options = options_of_length(30);
    clora_data_file file = {NULL, 1};
    char path[512];
    clora_chat *chat;
    (void)state;

    snprintf(path, sizeof(path), "%s", scratch_path("d.jsonl"));
    file.path = path;
    options.kind = CLORA_DATA_PREFERENCE;
    scratch_text("d.jsonl", "{\"prompt\": \"a\", \"chosen\": \"b\", \"rejected\": \"c\"}\n"
                            "{\"prompt\": \"d\", \"chosen\": \"e\", \"rejected\": \"f\"}\n"
                            "{\"prompt\": \"g\", \"chosen\": \"h\", \"rejected\": \"i\"}\n");
    assert_same(&file, 1, &options);
    options.kind = CLORA_DATA_LABELS;
    scratch_text("d.jsonl", "{\"text\": \"ab\", \"label\": \"z\"}\n{\"text\": \"c\", \"label\": \"x\"}\n"
                            "{\"text\": \"def\", \"label\": \"y\"}\n{\"text\": \"g\", \"label\": \"z\"}\n");
    assert_same(&file, 1, &options);
    options.kind = CLORA_DATA_PAIRS;
    scratch_text("d.jsonl", "{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}, "
                            "{\"role\": \"assistant\", \"content\": \"b\"}]}\n"
                            "{\"messages\": [{\"role\": \"user\", \"content\": \"c\"}, "
                            "{\"role\": \"assistant\", \"content\": \"d\"}]}\n");
    scratch_text("t.jinja", "{% for m in messages %}{{ m.role[0] }}{{ m.content }}.{% endfor %}"
                            "{% if add_generation_prompt %}a{% endif %}");
    assert_ok(clora_chat_load(&chat, scratch_path(""), scratch_path("t.jinja")));
    options.chat = chat;
    assert_same(&file, 1, &options);
    clora_chat_free(chat);
    scratch_text("t.jinja", "{% for m in messages %}{{ m.role[0] }}:{{ m.content }}.{% endfor %}"
                            "{% if add_generation_prompt %}a:{% endif %}"); /* another template, another file */
    assert_ok(clora_chat_load(&chat, scratch_path(""), scratch_path("t.jinja")));
    options.chat = chat;
    assert_same(&file, 1, &options);
    clora_chat_free(chat);
}

/* ---- The file ---- */

static clora_dataset *stream(const char *name) {
    clora_dataset_options options = options_of_length(9);
    clora_dataset *d = NULL;

    options.stream = 1;
    assert_ok(clora_dataset_load(&d, scratch_path(name), plain, &options));
    return d;
}

static void test_a_file_is_used_again_until_the_data_change(void **state) {
    char *folder = strdup(scratch_path("data")); /* beyond the eight */
    size_t size[2];
    char *bytes[2];
    clora_dataset *d;
    (void)state;

    scratch_text("d.jsonl", "{\"text\": \"-A\"}\n");
    d = stream("d.jsonl");
    bytes[0] = read_whole(&size[0], clora_dataset_file(d));
    clora_dataset_free(d);
    assert_int_equal(scratch_entries(folder), 1);
    for (size_t i = 0; i < size[0]; i += 97) { /* what is damaged is made anew */
        d = stream("d.jsonl");
        char *path = strdup(clora_dataset_file(d));
        clora_dataset_free(d);
        FILE *file = fopen(path, "r+b");
        assert_int_equal(fseek(file, (long)i, SEEK_SET), 0);
        assert_int_equal(fputc(bytes[0][i] ^ 1, file), bytes[0][i] ^ 1);
        fclose(file);
        d = stream("d.jsonl");
        bytes[1] = read_whole(&size[1], path);
        assert_int_equal(size[0], size[1]);
        assert_memory_equal(bytes[0], bytes[1], size[0]);
        assert_sequence(d, 0, "-A$", "-++");
        assert_int_equal(truncate(path, (off_t)(size[0] - 1 - i / 2)), 0);
        clora_dataset_free(d);
        free(bytes[1]);
        free(path);
    }
    scratch_text("d.jsonl", "{\"text\": \"-B\"}\n{\"text\": \"-C\"}\n");
    d = stream("d.jsonl");
    assert_sequence(d, 1, "-C$", "-++");
    clora_dataset_free(d);
    assert_int_equal(scratch_entries(folder), 1); /* in the old one's place */
    free(bytes[0]);
    free(folder);
}

static void test_what_fails_leaves_no_file(void **state) {
    clora_dataset_options options = options_of_length(9);
    clora_dataset *d = NULL;
    (void)state;

    options.stream = 1;
    scratch_text("d.jsonl", "{\"text\": \"-A\"}\n{\"text\": 1}\n");
    assert_refused(clora_dataset_load(&d, scratch_path("d.jsonl"), plain, &options), CLORA_ERROR_FORMAT, "line 2");
    assert_int_equal(scratch_entries(scratch_path("data")), 0);
    scratch_text("d.jsonl", "{\"text\": \"-A\"}\n");
    disk_full_after(100);
    assert_refused(clora_dataset_load(&d, scratch_path("d.jsonl"), plain, &options), CLORA_ERROR_IO, "cannot write");
    disk_is_free();
    assert_int_equal(scratch_entries(scratch_path("data")), 0);
    unsetenv("CLORA_CACHE_DIR");
    setenv("XDG_CACHE_HOME", "", 1);
    setenv("HOME", "", 1);
    assert_refused(clora_dataset_load(&d, scratch_path("d.jsonl"), plain, &options), CLORA_ERROR_IO,
                   "set CLORA_CACHE_DIR");
    assert_null(d);
}

/* ---- Data that change, and data that are large ---- */

static atomic_bool enough;

static void *append_lines(void *path) {
    while (!enough) {
        FILE *file = fopen(path, "a");
        fputc('\n', file);
        fclose(file);
    }
    return NULL;
}

static void write_many(const char *name, int rows) {
    FILE *file = fopen(scratch_path(name), "w");

    for (int i = 0; i < rows; i++)
        fprintf(file, "{\"text\": \"%0500d\"}\n", i);
    assert_int_equal(fclose(file), 0);
}

static void test_a_data_file_that_changes_while_it_is_read_is_named(void **state) {
    char *path = strdup(scratch_path("d.jsonl"));
    clora_dataset_options options = CLORA_DATASET_OPTIONS_INIT;
    enum { TRIES = 200 }; /* a busy machine may let no line come in between */
    pthread_t thread;
    (void)state;

    for (options.stream = 0; options.stream < 2; options.stream++) {
        clora_status status = CLORA_OK;
        write_many("d.jsonl", 500);
        enough = false;
        assert_int_equal(pthread_create(&thread, NULL, append_lines, path), 0);
        for (int i = 0; i < TRIES && status == CLORA_OK; i++) {
            clora_dataset *d = NULL;
            status = clora_dataset_load(&d, path, plain, &options);
            clora_dataset_free(d);
        }
        enough = true;
        pthread_join(thread, NULL);
        assert_refused(status, CLORA_ERROR_IO, "d.jsonl changed while it was read");
    }
    free(path);
}

/* Bytes of this process's memory that are its own. */
static size_t own_memory(void) {
    unsigned long pages[6] = {0};
    FILE *file = fopen("/proc/self/statm", "r");

    assert_int_equal(
        fscanf(file, "%lu %lu %lu %lu %lu %lu", &pages[0], &pages[1], &pages[2], &pages[3], &pages[4], &pages[5]), 6);
    fclose(file);
    return pages[5] * (size_t)sysconf(_SC_PAGESIZE);
}

/* Does loading and walking over the data fit into 4 MiB? In a process of its own. */
static bool fits(int streamed) {
    clora_dataset_options options = CLORA_DATASET_OPTIONS_INIT;
    const clora_loader_options walk = {.batch_size = 4, .shuffle = 1};
    clora_dataset *d = NULL;
    clora_loader *loader;
    int status = 1;

    options.stream = streamed;
    const pid_t child = fork();
    if (child == 0) {
        const struct rlimit limit = {own_memory() + (4 << 20), RLIM_INFINITY};
        setrlimit(RLIMIT_DATA, &limit);
        if (clora_dataset_load(&d, scratch_path("d.jsonl"), plain, &options) != CLORA_OK)
            _exit(1);
        const clora_batch *batch;
        if (clora_loader_create(&loader, d, &walk) != CLORA_OK)
            _exit(2);
        for (int i = 0; i < 600; i++)
            if (clora_loader_next(loader, &batch) != CLORA_OK)
                _exit(3);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) < 2);
    return status == 0;
}

static void test_memory_does_not_grow_with_the_data(void **state) {
    (void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    skip(); /* most of it would be the sanitizer's */
#endif
    write_many("d.jsonl", 2000); /* a million ids: 8 MB */
    assert_false(fits(0));
    assert_true(fits(1));
}

static int setup(void **state) {
    const int status = scratch_setup(state);

    setenv("CLORA_CACHE_DIR", scratch_path(""), 1);
    return status;
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, scratch_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        T(test_rows_of_every_kind_are_the_same),
        T(test_preferences_labels_and_conversations_are_the_same),
        T(test_a_file_is_used_again_until_the_data_change),
        T(test_what_fails_leaves_no_file),
        T(test_a_data_file_that_changes_while_it_is_read_is_named),
        T(test_memory_does_not_grow_with_the_data),
    };

    return cmocka_run_group_tests(tests, byte_tokenizers_make, byte_tokenizers_free);
}
