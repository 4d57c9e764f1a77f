#include "ops/weight_pack.h"

#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "base/dtype.h"

/* A panel is packed in blocks of columns: NR rows of a block, brought to the weight's type, then interleaved. */
enum { BLOCK = 64, LANES = 32, THREADS = 32 };

typedef struct block {
    int k, count; /* columns k to k + count */
    union {
        uint32_t wide[LANES][BLOCK];
        uint16_t narrow[LANES][BLOCK];
    } lane;
} block;

/* count values of row n from column k on, in the weight's type. count <= BLOCK */
static void read_row(const weight_image *image, void *out, int n, int k, int count) {
    const size_t size = dtype_size(image->source_dtype), own = dtype_size(image->dtype);
    const bool same = image->source_dtype == image->dtype;
    const char *source = image->source;
    uint32_t gathered[BLOCK];
    float widened[BLOCK];
    const void *row = source + ((size_t)(n - image->source_row) * (size_t)image->K + (size_t)k) * size;

    if (image->transposed) {
        source += ((size_t)k * (size_t)image->N + (size_t)n) * size;
        for (int i = 0; i < count; i++)
            memcpy((char *)gathered + (size_t)i * size, source + (size_t)i * (size_t)image->N * size, size);
        row = gathered;
    }
    if (same) {
        memcpy(out, row, (size_t)count * own);
        return;
    }
    dtype_to_f32(widened, row, image->source_dtype, (size_t)count);
    dtype_from_f32(out, image->dtype, widened, (size_t)count);
}

/* Inlined for each usual width, which unrolls the loop over lanes. */
static inline __attribute__((always_inline)) void store_wide(uint32_t *to, const block *b, int end, int NR) {
    for (int k = 0; k < end; k++, to += NR)
        for (int lane = 0; lane < NR; lane++)
            to[lane] = b->lane.wide[lane][k];
}

static void panel_store(const weight_image *image, char *panel, const block *b) {
    const int NR = image->NR, KI = image->KI, end = (b->count + KI - 1) / KI * KI;

    if (image->dtype == CLORA_DTYPE_F32) {
        uint32_t *to = (uint32_t *)(void *)panel + (size_t)b->k * (size_t)NR;
        if (NR == 16)
            store_wide(to, b, end, 16);
        else if (NR == 32)
            store_wide(to, b, end, 32);
        else
            store_wide(to, b, end, NR);
    } else if (KI == 1) {
        uint16_t *to = (uint16_t *)(void *)panel + (size_t)b->k * (size_t)NR;
        for (int k = 0; k < end; k++, to += NR)
            for (int lane = 0; lane < NR; lane++)
                to[lane] = b->lane.narrow[lane][k];
    } else {
        uint16_t *to = (uint16_t *)(void *)panel + (size_t)b->k * (size_t)NR;
        for (int k = 0; k < end; k += 2, to += 2 * NR)
            for (int lane = 0; lane < NR; lane++) {
                to[2 * lane] = b->lane.narrow[lane][k];
                to[2 * lane + 1] = b->lane.narrow[lane][k + 1];
            }
    }
}

static bool panel_pack(const weight_image *image, char *panel, int unit) {
    const size_t size = dtype_size(image->dtype);
    bool finite = true;
    block b;

    for (b.k = 0; b.k < image->K; b.k += BLOCK) {
        b.count = image->K - b.k < BLOCK ? image->K - b.k : BLOCK;
        for (int lane = 0; lane < image->NR; lane++) {
            const int n = unit * image->NR + lane;
            char *to = size == 4 ? (char *)b.lane.wide[lane] : (char *)b.lane.narrow[lane];
            const int used = n < image->N ? b.count : 0;
            if (used)
                read_row(image, to, n, b.k, used);
            finite &= dtype_all_finite(to, image->dtype, (size_t)used);
            memset(to + (size_t)used * size, 0, (size_t)(BLOCK - used) * size);
        }
        panel_store(image, panel, &b);
    }
    return finite;
}

static void panel_unpack(const weight_image *image, const char *panel, int unit) {
    const size_t size = dtype_size(image->dtype);

    for (int lane = 0; lane < image->NR && unit * image->NR + lane < image->N; lane++) {
        char *row = (char *)image->rows + (size_t)(unit * image->NR + lane) * (size_t)image->K * size;
        for (int k = 0; k < image->K; k++) {
            const size_t at = ((size_t)(k / image->KI) * (size_t)image->NR + (size_t)lane) * (size_t)image->KI +
                              (size_t)(k % image->KI);
            memcpy(row + (size_t)k * size, panel + at * size, size);
        }
    }
}

static bool row_pack(const weight_image *image, char *row, int unit) {
    bool finite = true;

    for (int k = 0; k < image->K; k += BLOCK) {
        const int count = image->K - k < BLOCK ? image->K - k : BLOCK;
        char *to = row + (size_t)k * dtype_size(image->dtype);
        read_row(image, to, unit, k, count);
        finite &= dtype_all_finite(to, image->dtype, (size_t)count);
    }
    return finite;
}

/* Every count-th unit from start on. */
typedef struct share {
    const weight_image *image;
    int start, step;
    bool finite;
} share;

static void *work(void *argument) {
    share *s = argument;
    const weight_image *image = s->image;
    const size_t size = dtype_size(image->dtype), K = (size_t)image->K;
    const size_t KI = (size_t)image->KI, padded = (K + KI - 1) / KI * KI;
    const size_t unit_bytes = (image->plain ? K : padded * (size_t)image->NR) * size;

    s->finite = true;
    for (int i = s->start; i < image->count; i += s->step) {
        char *unit = (char *)image->units + (size_t)i * unit_bytes;
        const int index = image->first + i;
        if (image->pack)
            s->finite &= image->plain ? row_pack(image, unit, index) : panel_pack(image, unit, index);
        else if (image->plain)
            memcpy((char *)image->rows + (size_t)index * K * size, unit, K * size);
        else
            panel_unpack(image, unit, index);
    }
    return NULL;
}

/* Name the place: only after a failure, so it may be slow. */
static clora_status fail_not_finite(const weight_image *image) {
    const int width = image->plain ? 1 : image->NR, end = (image->first + image->count) * width;

    for (int n = image->first * width; n < end && n < image->N; n++)
        for (int k = 0; k < image->K; k++) {
            const size_t at = image->transposed ? (size_t)k * (size_t)image->N + (size_t)n
                                                : (size_t)(n - image->source_row) * (size_t)image->K + (size_t)k;
            const char *source = (const char *)image->source + at * dtype_size(image->source_dtype);
            char own[4];
            float value;
            dtype_to_f32(&value, source, image->source_dtype, 1);
            dtype_from_f32(own, image->dtype, &value, 1);
            if (!isfinite(value))
                return clora_fail(CLORA_ERROR_FORMAT, "the value at row %d, column %d is not finite", n, k);
            if (!dtype_all_finite(own, image->dtype, 1))
                return clora_fail(CLORA_ERROR_FORMAT, "the value %g at row %d, column %d is too large for %s",
                                  (double)value, n, k, dtype_name(image->dtype));
        }
    return clora_fail(CLORA_ERROR_FORMAT, "a value is not finite");
}

static int thread_count(const weight_image *image) {
    const size_t elements = (size_t)image->count * (size_t)image->K * (size_t)(image->plain ? 1 : image->NR);
    cpu_set_t cpus;
    int count = sched_getaffinity(0, sizeof(cpus), &cpus) == 0 ? CPU_COUNT(&cpus) : 1;

    if (count > THREADS)
        count = THREADS;
    if (count > image->count)
        count = image->count;
    return elements < (1 << 16) ? 1 : count; /* a thread costs what this many elements do */
}

clora_status weight_image_run(const weight_image *image) {
    share shares[THREADS];
    pthread_t thread[THREADS];
    bool started[THREADS] = {false}, finite = true;
    const int threads = thread_count(image);

    for (int i = 0; i < threads; i++)
        shares[i] = (share){.image = image, .start = i, .step = threads};
    for (int i = 1; i < threads; i++)
        started[i] = pthread_create(&thread[i], NULL, work, &shares[i]) == 0;
    for (int i = 0; i < threads; i++)
        if (!started[i])
            work(&shares[i]); /* the first share, and those whose thread could not start */
    for (int i = 0; i < threads; i++) {
        if (started[i])
            pthread_join(thread[i], NULL);
        finite &= shares[i].finite;
    }
    return finite ? CLORA_OK : fail_not_finite(image);
}
