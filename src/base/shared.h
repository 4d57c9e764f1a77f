#ifndef CLORA_BASE_SHARED_H
#define CLORA_BASE_SHARED_H

#include <stdatomic.h>

/*
 * What an object begins with that others are made from (a context, a model). It lives until the program and all that
 * was made from it have let go of it, in any order and from any thread.
 */
typedef struct shared {
    atomic_int holders;
    void (*destroy)(struct shared *object); /* called by the last */
} shared;

/* One holder: who makes it. */
void shared_init(shared *object, void (*destroy)(shared *object));

/* One more, or one less (NULL is allowed): also of an object that is constant to its holder. Holding returns it. */
shared *shared_hold(const shared *object);
void shared_let_go(const shared *object);

/* How many hold it now. Others may change that at once, but for a sole holder. */
int shared_holders(const shared *object);

#endif
