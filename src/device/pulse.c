#include "device/pulse.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#include <clora/context.h>

#include "base/clock.h"
#include "device/fork.h"

/* In one number, so that each change is one addition: how many calls are in the driver, and above these bits how often
 * one went, came back or was done. */
enum { CALLS = 0xffff };
#define SIGN ((unsigned long long)CALLS + 1)

struct pulse {
    atomic_ullong state;
    _Atomic(const char *) call; /* the last that went */
    unsigned long long seen;    /* the state when last asked, and since when it is so; of who holds the lock */
    double since;
    bool is_taken;
    pulse *next;
};

static pulse *all;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

pulse *pulse_take(void) {
    pthread_mutex_lock(&lock);
    pulse *p = all;
    while (p && p->is_taken)
        p = p->next;
    if (!p && (p = calloc(1, sizeof(*p)))) {
        p->next = all;
        all = p;
    }
    if (p)
        p->is_taken = true;
    pthread_mutex_unlock(&lock);
    return p;
}

void pulse_give(pulse *p) {
    if (!p)
        return;
    pthread_mutex_lock(&lock);
    p->is_taken = false;
    pthread_mutex_unlock(&lock);
}

void pulse_enter(pulse *p, const char *call) {
    if (!p)
        return;
    atomic_store_explicit(&p->call, call, memory_order_relaxed);
    atomic_fetch_add_explicit(&p->state, SIGN + 1, memory_order_relaxed);
}

void pulse_leave(pulse *p) {
    if (p)
        atomic_fetch_add_explicit(&p->state, SIGN - 1, memory_order_relaxed);
}

static void CL_CALLBACK is_done(cl_event event, cl_int status, void *user) {
    pulse *p = user;

    (void)event;
    (void)status;
    atomic_fetch_add_explicit(&p->state, SIGN, memory_order_relaxed);
}

void pulse_mark(pulse *p, cl_event event) {
    if (p && event)
        (void)clSetEventCallback(event, CL_COMPLETE, is_done, p);
}

static double stalled(pulse *p, double now) {
    const unsigned long long state = atomic_load_explicit(&p->state, memory_order_relaxed);

    if (state != p->seen || (state & CALLS) == 0) {
        p->seen = state;
        p->since = now;
    }
    return now - p->since;
}

double clora_devices_stalled(const char **call) {
    double longest = 0.0;

    if (call)
        *call = NULL;
    if (fork_is_child()) /* whose parent may have held the lock */
        return 0.0;
    pthread_mutex_lock(&lock);
    const double now = clock_seconds();
    for (pulse *p = all; p; p = p->next) {
        const double seconds = stalled(p, now);
        if (seconds <= longest)
            continue;
        longest = seconds;
        if (call)
            *call = atomic_load_explicit(&p->call, memory_order_relaxed);
    }
    pthread_mutex_unlock(&lock);
    return longest;
}
