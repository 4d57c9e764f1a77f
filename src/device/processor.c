#include "device/processor.h"

bool processor_multiplies_pairs(void) {
#if defined(__x86_64__) || defined(__i386__)
    return __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512vl");
#else
    return false;
#endif
}

#if defined(__x86_64__) && defined(__linux__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool has_tiles(void) {
    enum { FEATURES = 7, BF16 = 1 << 22, TILE = 1 << 24 };
    unsigned a, b, c, d;

    return __get_cpuid_count(FEATURES, 0, &a, &b, &c, &d) && (d & BF16) && (d & TILE);
}

bool processor_gives_tiles(void) {
    enum { ASK_LEAVE = 0x1023, TILE_STATE = 18 }; /* ARCH_REQ_XCOMP_PERM and XFEATURE_XTILEDATA of Linux */

    return has_tiles() && syscall(SYS_arch_prctl, ASK_LEAVE, TILE_STATE) == 0;
}
#else
bool processor_gives_tiles(void) {
    return false;
}
#endif
