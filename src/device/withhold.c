#include "device/withhold.h"

static _Thread_local bool withholds, seen;

bool withhold(bool on) {
    const bool any = seen;

    withholds = on;
    seen = false;
    return any;
}

bool withhold_sees(void) {
    seen = seen || withholds;
    return withholds;
}
