#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <clora/clora.h>

#include "support/fixture.h"
#include "support/scratch.h"

static clora_context *context;
static clora_tensor *tensor, *other;
static clora_weight *weight;
static clora_lowrank *lowrank;
static clora_model *model;
static clora_session *session;
static float room[1024];

enum { WORKS = 40, HAS_NO_DEVICE, REFUSED, WRONG };

/* What a child process answers; a call that waits for ever ends it by a signal. */
static int in_a_child(int (*work)(void)) {
    int status = 0;
    const pid_t child = fork();

    if (child == 0) {
        alarm(60);
        _exit(work());
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static int open_all(void) {
    if (clora_context_create(&context, NULL) != CLORA_OK)
        return HAS_NO_DEVICE;
    return clora_tensor_create(&tensor, context, CLORA_DTYPE_F32, 1, (const int[]){4}) == CLORA_OK &&
                   clora_tensor_write(tensor, room) == CLORA_OK && clora_context_finish(context) == CLORA_OK
               ? WORKS
               : WRONG;
}

static void test_a_child_may_be_the_first_to_use_opencl(void **state) {
    (void)state;
    const int answer = in_a_child(open_all);

    if (answer == HAS_NO_DEVICE)
        skip();
    assert_int_equal(answer, WORKS);
}

static bool is_refused(clora_status status) {
    return status == CLORA_ERROR_UNSUPPORTED && strstr(clora_last_error(), "fork");
}

/* With what the parent made, and anew. */
static int use_all(void) {
    const int32_t id = 1;
    clora_context *own = NULL;
    const clora_device_info **devices = NULL;
    clora_adapter *adapter = NULL;
    size_t count;

    return is_refused(clora_tensor_read(tensor, room)) && is_refused(clora_tensor_write(tensor, room)) &&
                   is_refused(clora_context_finish(context)) && is_refused(clora_context_profile(context, 1)) &&
                   is_refused(clora_lowrank_forward(tensor, NULL, other, weight, NULL)) &&
                   is_refused(clora_weight_write(weight, room, CLORA_DTYPE_F32)) &&
                   is_refused(clora_session_forward(session, room, &id, 1, 0)) &&
                   is_refused(clora_adapter_create(&adapter, model, NULL)) &&
                   is_refused(clora_devices_list(&devices, &count)) && is_refused(clora_context_create(&own, NULL))
               ? REFUSED
               : WRONG;
}

static int free_all(void) {
    clora_session_free(session);
    clora_model_free(model);
    clora_lowrank_free(lowrank);
    clora_weight_free(weight);
    clora_tensor_free(other);
    clora_tensor_free(tensor);
    clora_context_free(context);
    return WORKS;
}

/* What needs no device goes on. */
static int use_tokenizer(void) {
    clora_tokenizer *tokenizer = NULL;

    return clora_tokenizer_load(&tokenizer, fixture_path("tokenizers/llama2")) == CLORA_OK ? WORKS : WRONG;
}

static void test_a_child_of_a_user_of_opencl_is_refused(void **state) {
    (void)state;
    const int opened = open_all();

    if (opened == HAS_NO_DEVICE)
        skip();
    assert_int_equal(opened, WORKS);
    assert_ok(clora_tensor_create(&other, context, CLORA_DTYPE_F32, 1, (const int[]){4}));
    assert_ok(clora_weight_create(&weight, context, CLORA_STORAGE_F32, 4, 4));
    assert_ok(clora_weight_write(weight, room, CLORA_DTYPE_F32));
    assert_ok(clora_lowrank_create(&lowrank, weight, 1, 1.0f, 0));
    assert_ok(clora_model_load(&model, context, fixture_path("tiny-llama"), NULL));
    assert_ok(clora_session_create(&session, model, 1, 8));
    assert_int_equal(in_a_child(use_all), REFUSED);
    assert_int_equal(in_a_child(free_all), WORKS);
    assert_int_equal(in_a_child(use_tokenizer), WORKS);
    assert_ok(clora_tensor_read(tensor, room)); /* the parent goes on */
    assert_ok(clora_context_finish(context));
    free_all();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_child_may_be_the_first_to_use_opencl),
        cmocka_unit_test(test_a_child_of_a_user_of_opencl_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
