#include "device/fork.h"

#include <pthread.h>
#include <stdatomic.h>

static atomic_bool is_used, is_child;

static void enter_child(void) {
    is_child = is_used;
}

static void watch(void) {
    pthread_atfork(NULL, NULL, enter_child);
}

bool fork_is_child(void) {
    return is_child;
}

clora_status fork_check(void) {
    if (!is_child)
        return CLORA_OK;
    return clora_fail(CLORA_ERROR_UNSUPPORTED,
                      "this process was forked from one that had used OpenCL, which does not survive fork(): use clora "
                      "after the fork only, or exec a program");
}

clora_status fork_use_opencl(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, watch);
    is_used = true;
    return fork_check();
}
