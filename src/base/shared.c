#include "base/shared.h"

#include <stddef.h>
#include <stdint.h>

void shared_init(shared *object, void (*destroy)(shared *object)) {
    atomic_init(&object->holders, 1);
    object->destroy = destroy;
}

static shared *variable(const shared *object) {
    return (shared *)(uintptr_t)object;
}

shared *shared_hold(const shared *object) {
    atomic_fetch_add(&variable(object)->holders, 1);
    return variable(object);
}

int shared_holders(const shared *object) {
    return atomic_load(&variable(object)->holders);
}

void shared_let_go(const shared *object) {
    if (object && atomic_fetch_sub(&variable(object)->holders, 1) == 1)
        object->destroy(variable(object));
}
