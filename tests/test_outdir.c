/* Output directories: one writer at a time, complete or as they were, free of what killed runs left. */

#include <clora/output.h>

#include <dirent.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/outdir.h"
#include "base/unfinished.h"
#include "support/scratch.h"

static char notes[4096];

static void keep_note(void *user, const char *line) {
    (void)user;
    strncat(notes, line, sizeof(notes) - strlen(notes) - 2);
    strcat(notes, "\n");
}

static int setup(void **state) {
    notes[0] = '\0';
    clora_set_note(keep_note, NULL);
    return scratch_setup(state);
}

/* Runs a function in another process, which is killed where it stands when the function has returned. */
static void killed_after(void (*work)(void)) {
    const pid_t child = fork();
    int how;

    if (child == 0) {
        work();
        kill(getpid(), SIGKILL);
    }
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_true(WIFSIGNALED(how));
}

static void write_named(outdir *out, const char *name, const char *text) {
    char *path;

    assert_ok(outdir_path(&path, out, name));
    assert_ok(file_write_text(path, text, strlen(text)));
    free(path);
}

static bool is_free(const char *name) {
    clora_output *output;
    const clora_status status = clora_output_open(&output, scratch_path(name));

    clora_output_close(output, 1);
    return status == CLORA_OK;
}

static bool is_there(const char *name) {
    return file_exists(scratch_path(name));
}

/* ---- claims ---- */

static void test_an_output_directory_is_made_or_must_be_empty(void **state) {
    clora_output *output;

    (void)state;
    assert_ok(clora_output_open(&output, scratch_path("out")));
    assert_true(clora_output_is_new(output) && is_there("out"));
    clora_output_close(output, 1);
    assert_ok(clora_output_open(&output, scratch_path("out/")));
    assert_false(clora_output_is_new(output));
    clora_output_close(output, 0);
    assert_true(is_there("out"));
    scratch_text("out/f", "");
    assert_refused(clora_output_open(&output, scratch_path("out")), CLORA_ERROR_ARGUMENT, "is not empty");
    assert_null(output);
    assert_refused(clora_output_open(&output, scratch_path("out/f")), CLORA_ERROR_IO, "Not a directory");
    assert_refused(clora_output_open(&output, scratch_path("out/f/g")), CLORA_ERROR_IO, "Not a directory");
    assert_refused(clora_output_open(&output, scratch_path("a/b")), CLORA_ERROR_IO, "No such file or directory");
    assert_refused(clora_output_open(&output, ""), CLORA_ERROR_IO, "cannot write");
    assert_refused(clora_output_open(&output, NULL), CLORA_ERROR_ARGUMENT, "directory is NULL");
    clora_output_close(NULL, 0);
    assert_int_equal(clora_output_is_new(NULL), 0);
}

static void test_a_directory_that_stays_empty_goes_if_it_was_made(void **state) {
    clora_output *output;

    (void)state;
    assert_ok(clora_output_open(&output, scratch_path("out")));
    clora_output_close(output, 0);
    assert_false(is_there("out"));
    assert_ok(clora_output_open(&output, scratch_path("out")));
    scratch_text("out/log", "");
    clora_output_close(output, 0);
    assert_true(is_there("out/log"));
}

static void claim_and_wait(void) {
    clora_output *output;

    if (clora_output_open(&output, scratch_path("out")) == CLORA_OK)
        scratch_text("held", "");
    pause();
}

static void test_a_claim_of_another_process_holds_under_every_name_and_ends_with_it(void **state) {
    clora_output *output;
    outdir out;
    int how;

    (void)state;
    const pid_t child = fork();
    if (child == 0)
        claim_and_wait();
    while (!is_there("held") && waitpid(child, &how, WNOHANG) == 0)
        usleep(1000);
    assert_int_equal(symlink("out", scratch_path("link")), 0);
    scratch_mkdir("side");
    for (const char *const *name = (const char *const[]){"out", "out/", "./out/.", "link", "side/../out", NULL}; *name;
         name++)
        assert_refused(clora_output_open(&output, scratch_path(*name)), CLORA_ERROR_ARGUMENT,
                       "is being written by another run");
    assert_refused(outdir_open(&out, scratch_path("out"), "last"), CLORA_ERROR_ARGUMENT, "by another run");
    outdir_close(&out, false);
    assert_int_equal(scratch_entries(scratch_path("out")), 0); /* the lock is no file */
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_true(is_free("out"));
}

static void test_a_claim_lets_one_call_of_its_process_write_at_a_time(void **state) {
    clora_output *output, *second;
    outdir one, two;

    (void)state;
    assert_ok(clora_output_open(&output, scratch_path("out")));
    assert_refused(clora_output_open(&second, scratch_path("out")), CLORA_ERROR_ARGUMENT, "by another run");
    assert_ok(outdir_open(&one, scratch_path("out"), "last"));
    assert_refused(outdir_open(&two, scratch_path("out"), "last"), CLORA_ERROR_ARGUMENT, "by another run");
    outdir_close(&two, false);
    outdir_close(&one, false);
    assert_true(is_there("out")); /* the claim goes on */
    assert_ok(outdir_open(&two, scratch_path("out"), "last"));
    write_named(&two, "last", "x");
    outdir_close(&two, true);
    clora_output_close(output, 0);
    assert_true(is_there("out/last"));
}

enum { THREADS = 8, ROUNDS = 200 };

static char contested[1024];

static void *open_and_close(void *count) {
    for (int i = 0; i < ROUNDS; i++) {
        clora_output *output;
        if (clora_output_open(&output, contested) != CLORA_OK)
            continue;
        *(int *)count += 1;
        if (!file_exists(contested)) /* it was taken away under the claim */
            *(int *)count = -ROUNDS;
        clora_output_close(output, 0);
    }
    return NULL;
}

static void test_a_directory_that_its_maker_takes_away_is_never_another_ones_claim(void **state) {
    int counts[THREADS] = {0};
    pthread_t threads[THREADS];
    int how, total = 0;

    (void)state;
    snprintf(contested, sizeof(contested), "%s", scratch_path("out"));
    const pid_t child = fork(); /* and a process beside */
    if (child == 0) {
        open_and_close(&counts[0]);
        _exit(counts[0] < 0);
    }
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, open_and_close, &counts[i]), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < THREADS; i++) {
        assert_true(counts[i] >= 0);
        total += counts[i];
    }
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_true(WIFEXITED(how) && WEXITSTATUS(how) == 0);
    assert_true(total > 0);
}

/* ---- complete, or as it was ---- */

static void test_files_of_a_call_that_fails_disappear_but_what_they_replaced_stays(void **state) {
    outdir out;

    (void)state;
    scratch_mkdir("out");
    scratch_text("out/old", "old");
    assert_ok(outdir_open(&out, scratch_path("out"), "last"));
    write_named(&out, "old", "newer");
    write_named(&out, "new", "new");
    write_named(&out, "name\nwith a newline", "new");
    assert_int_equal(scratch_entries(scratch_path("out")), 4); /* and the journal */
    outdir_close(&out, false);
    assert_int_equal(scratch_entries(scratch_path("out")), 1);
    assert_true(is_there("out/old"));
    assert_ok(outdir_open(&out, scratch_path("other"), "last"));
    write_named(&out, "new", "new");
    outdir_close(&out, false);
    assert_false(is_there("other"));
    outdir_close(&out, false); /* once more is harmless */
}

static void test_a_complete_directory_holds_its_files_alone(void **state) {
    outdir out;

    (void)state;
    assert_ok(outdir_open(&out, scratch_path("out"), "last"));
    write_named(&out, "first", "1");
    write_named(&out, "last", "2");
    outdir_close(&out, true);
    assert_int_equal(scratch_entries(scratch_path("out")), 2);
    assert_string_equal(notes, "");
}

/* ---- killed runs ---- */

static void write_without_the_last(void) {
    outdir out;
    file_writer writer;

    assert_ok(outdir_open(&out, scratch_path("out"), "last"));
    write_named(&out, "first", "1");
    write_named(&out, "second", "2");
    assert_ok(file_writer_open(&writer, scratch_path("out/last")));
    assert_ok(file_writer_write(&writer, "3", 1));
}

static void write_with_the_last(void) {
    outdir out;

    assert_ok(outdir_open(&out, scratch_path("out"), "last"));
    write_named(&out, "first", "1");
    write_named(&out, "last", "2");
}

static void test_what_a_killed_run_left_goes_with_a_note_when_the_next_writes_there(void **state) {
    (void)state;
    killed_after(write_without_the_last);
    assert_int_equal(scratch_entries(scratch_path("out")), 4);
    scratch_text("out/mine", "not a part of it");
    assert_false(is_free("out"));
    assert_int_equal(scratch_entries(scratch_path("out")), 1);
    assert_non_null(strstr(notes, "out/first, a part of what a run left unfinished"));
    assert_non_null(strstr(notes, "out/second, a part of"));
    assert_non_null(strstr(notes, "out/.clora-unfinished-"));
    unlink(scratch_path("out/mine"));
    assert_true(is_free("out"));
}

static void test_a_run_killed_when_all_was_written_loses_nothing(void **state) {
    (void)state;
    killed_after(write_with_the_last);
    assert_int_equal(scratch_entries(scratch_path("out")), 3);
    assert_false(is_free("out"));
    assert_int_equal(scratch_entries(scratch_path("out")), 2);
    assert_true(is_there("out/first") && is_there("out/last"));
}

static file_writer begun;

static void begin_a_file(void) {
    assert_ok(file_writer_open(&begun, scratch_path("file")));
    assert_ok(file_writer_write(&begun, "half", 4));
    fflush(begun.stream);
}

static void test_an_unfinished_file_goes_when_its_writer_is_dead_and_stays_while_it_lives(void **state) {
    file_writer writer;

    (void)state;
    killed_after(begin_a_file);
    assert_int_equal(scratch_entries(scratch_path("")), 1);
    begin_a_file(); /* and goes on living: this process */
    assert_int_equal(scratch_entries(scratch_path("")), 1);
    assert_non_null(strstr(notes, "which a run left unfinished"));
    notes[0] = '\0';
    assert_ok(file_writer_open(&writer, scratch_path("file")));
    assert_int_equal(scratch_entries(scratch_path("")), 2);
    assert_ok(file_writer_commit(&writer));
    assert_int_equal(scratch_entries(scratch_path("")), 2);
    assert_string_equal(notes, "");
    file_writer_abandon(&begun);
}

/* A journal of this directory's own that asks for `victim`. */
static void write_journal(const char *name) {
    char text[256];
    struct stat info;

    scratch_text(name, "");
    assert_int_equal(stat(scratch_path(name), &info), 0);
    const int size = snprintf(text, sizeof(text), "%ju%clast%cvictim%c", (uintmax_t)info.st_ino, 0, 0, 0);
    scratch_write(name, text, (size_t)size);
}

static void test_what_another_user_left_is_left_alone(void **state) {
    (void)state;
    if (geteuid() != 0) {
        print_message("skipped: only the superuser can give files away\n");
        skip();
    }
    scratch_text("victim", "");
    scratch_text(".clora-unfinished-1-1", "");
    write_journal(".clora-unfinished-1-2.list");
    assert_int_equal(chown(scratch_path(".clora-unfinished-1-1"), 1, 1), 0);
    assert_int_equal(chown(scratch_path(".clora-unfinished-1-2.list"), 1, 1), 0);
    unfinished_sweep(scratch_path(""));
    assert_int_equal(scratch_entries(scratch_path("")), 3);
    assert_int_equal(chown(scratch_path(".clora-unfinished-1-2.list"), 0, 0), 0);
    scratch_mkdir("below");
    assert_int_equal(link(scratch_path(".clora-unfinished-1-2.list"), scratch_path("below/.clora-unfinished-1-2.list")),
                     0);
    scratch_text("below/victim", "");
    unfinished_sweep(scratch_path("below"));
    assert_true(is_there("below/victim"));
    assert_int_equal(unlink(scratch_path("below/.clora-unfinished-1-2.list")), 0);
    unfinished_sweep(scratch_path("")); /* and so that the test is not in vain: */
    assert_false(is_there("victim"));
}

static void test_what_only_looks_like_a_leftover_is_left_alone(void **state) {
    char text[256];
    struct stat info;

    (void)state;
    scratch_text("out", "");
    assert_int_equal(symlink("out", scratch_path(".clora-unfinished-1-1")), 0);
    assert_int_equal(mkfifo(scratch_path(".clora-unfinished-1-2"), 0666), 0);
    scratch_mkdir(".clora-unfinished-1-3");
    /* journals that no run of this directory wrote: copied, made up, cut off, or with ways out of it */
    scratch_text("victim", "");
    scratch_write(".clora-unfinished-2-1.list", "1\0last\0victim", sizeof("1\0last\0victim"));
    scratch_write(".clora-unfinished-2-2.list", "", 0);
    scratch_write(".clora-unfinished-2-3.list", "123", 3);
    scratch_mkdir("below");
    scratch_text("below/.clora-unfinished-2-4.list", "");
    assert_int_equal(stat(scratch_path("below/.clora-unfinished-2-4.list"), &info), 0);
    const int size =
        snprintf(text, sizeof(text), "%ju%clast%c../victim%cbelow%c..%c", (uintmax_t)info.st_ino, 0, 0, 0, 0, 0);
    scratch_write("below/.clora-unfinished-2-4.list", text, (size_t)size);
    unfinished_sweep(scratch_path(""));
    unfinished_sweep(scratch_path("below"));
    assert_true(is_there("victim") && is_there("out") && is_there("below"));
    assert_int_equal(lstat(scratch_path(".clora-unfinished-1-1"), &info), 0);
    assert_true(is_there(".clora-unfinished-1-2") && is_there(".clora-unfinished-1-3"));
    assert_string_equal(notes, "");
}

#define D(name) cmocka_unit_test_setup_teardown(name, setup, scratch_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        D(test_an_output_directory_is_made_or_must_be_empty),
        D(test_a_directory_that_stays_empty_goes_if_it_was_made),
        D(test_a_claim_of_another_process_holds_under_every_name_and_ends_with_it),
        D(test_a_claim_lets_one_call_of_its_process_write_at_a_time),
        D(test_a_directory_that_its_maker_takes_away_is_never_another_ones_claim),
        D(test_files_of_a_call_that_fails_disappear_but_what_they_replaced_stays),
        D(test_a_complete_directory_holds_its_files_alone),
        D(test_what_a_killed_run_left_goes_with_a_note_when_the_next_writes_there),
        D(test_a_run_killed_when_all_was_written_loses_nothing),
        D(test_an_unfinished_file_goes_when_its_writer_is_dead_and_stays_while_it_lives),
        D(test_what_another_user_left_is_left_alone),
        D(test_what_only_looks_like_a_leftover_is_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
