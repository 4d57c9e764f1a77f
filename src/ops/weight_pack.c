#include "ops/weight_pack.h"

#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "base/dtype.h"
#include "base/ints.h"

/* A panel is packed in stretches of columns: NR rows of one, brought to the weight's type, then laid side by side. */
enum { COLUMNS = 64 /* whole units */, LANES = 32, LANE_BYTES = COLUMNS * sizeof(float), THREADS = 32 };

typedef struct stretch {
    int k, count; /* columns k to k + count */
    unsigned char lane[LANES][LANE_BYTES];
} stretch;

/* count <= COLUMNS values of row n from column k on: where they lie, or gathered. */
static const void *row_at(const weight_image *image, float gathered[COLUMNS], int n, int k, int count) {
    const size_t size = dtype_size(image->source_dtype), K = (size_t)image->K, N = (size_t)image->N;
    const char *source = image->source;

    if (!image->transposed)
        return source + ((size_t)(n - image->first_row) * K + (size_t)k) * size;
    for (size_t i = 0; i < (size_t)count; i++)
        memcpy((char *)gathered + i * size, source + (((size_t)k + i) * N + (size_t)n) * size, size);
    return gathered;
}

/* The same in the weight's type. Whether all are finite there. */
static bool read_row(const weight_image *image, void *out, int n, int k, int count) {
    float gathered[COLUMNS];

    return storage_pack(image->storage, out, row_at(image, gathered, n, k, count), image->source_dtype, (size_t)count);
}

/* One piece of `units` units of all lanes. Inlined for each usual size and width, which unrolls the loop over lanes. */
static inline __attribute__((always_inline)) void spread(unsigned char *to, const unsigned char *from, size_t unit,
                                                         int units, size_t piece, int NR) {
    for (int u = 0; u < units; u++, to += unit * (size_t)NR, from += unit)
        for (int lane = 0; lane < NR; lane++)
            memcpy(to + (size_t)lane * piece, from + (size_t)lane * LANE_BYTES, piece);
}

static void spread_piece(unsigned char *to, const unsigned char *from, size_t unit, int units, size_t piece, int NR) {
    if (piece == 4 && NR == 32)
        spread(to, from, unit, units, 4, 32);
    else if (piece == 4 && NR == 16)
        spread(to, from, unit, units, 4, 16);
    else if (piece == 2 && NR == 32)
        spread(to, from, unit, units, 2, 32);
    else if (piece == 2 && NR == 16)
        spread(to, from, unit, units, 2, 16);
    else
        spread(to, from, unit, units, piece, NR);
}

static void panel_store(const weight_image *image, unsigned char *panel, const stretch *b) {
    const storage *s = image->storage;
    const size_t unit = storage_unit_bytes(s), NR = (size_t)image->NR;
    const int units = divide_up(b->count, s->unit);
    unsigned char *to = panel + (size_t)(b->k / s->unit) * unit * NR;
    size_t at = 0;

    for (const storage_piece *p = s->piece; p->bytes; p++)
        for (int i = 0; i < p->count; i++, at += (size_t)p->bytes)
            spread_piece(to + at * NR, b->lane[0] + at, unit, units, (size_t)p->bytes, image->NR);
}

static bool panel_pack(const weight_image *image, unsigned char *panel, int unit) {
    const storage *s = image->storage;
    const size_t bytes = storage_block_bytes(s);
    bool finite = true;
    stretch b;

    for (b.k = 0; b.k < image->K; b.k += COLUMNS) {
        b.count = image->K - b.k < COLUMNS ? image->K - b.k : COLUMNS;
        for (int lane = 0; lane < image->NR; lane++) {
            const int n = unit * image->NR + lane, count = n < image->N ? b.count : 0;
            const size_t used = (size_t)(count / s->block) * bytes;
            if (count)
                finite &= read_row(image, b.lane[lane], n, b.k, count);
            memset(b.lane[lane] + used, 0, COLUMNS / (size_t)s->block * bytes - used);
        }
        panel_store(image, panel, &b);
    }
    return finite;
}

/* Row `lane` of a panel, unit by unit. The last may reach past the row. */
static void lane_unpack(const weight_image *image, unsigned char *row, const unsigned char *panel, int lane) {
    const storage *s = image->storage;
    const size_t NR = (size_t)image->NR, end = (size_t)(image->K / s->block) * storage_block_bytes(s);
    size_t at = 0;

    while (at < end)
        for (const storage_piece *p = s->piece; p->bytes; p++)
            for (int i = 0; i < p->count; i++) {
                const size_t piece = (size_t)p->bytes, left = at < end ? end - at : 0;
                memcpy(row + at, panel + at * NR + (size_t)lane * piece, piece < left ? piece : left);
                at += piece;
            }
}

static void panel_unpack(const weight_image *image, const unsigned char *panel, int unit) {
    const storage *s = image->storage;
    const size_t row = storage_row_elements(s, image->K) * dtype_size(s->element);

    for (int lane = 0; lane < image->NR && unit * image->NR + lane < image->N; lane++)
        lane_unpack(image, (unsigned char *)image->rows + (size_t)(unit * image->NR + lane - image->first_row) * row,
                    panel, lane);
}

static bool row_pack(const weight_image *image, unsigned char *row, int unit) {
    const storage *s = image->storage;
    bool finite = true;

    for (int k = 0; k < image->K; k += COLUMNS) {
        const int count = image->K - k < COLUMNS ? image->K - k : COLUMNS;
        finite &= read_row(image, row + (size_t)(k / s->block) * storage_block_bytes(s), unit, k, count);
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
    const storage *type = image->storage;
    const size_t row = storage_row_elements(type, image->K) * dtype_size(type->element);
    const size_t panel = storage_panel_elements(type, image->K, image->NR) * dtype_size(type->element);

    s->finite = true;
    for (int i = s->start; i < image->count; i += s->step) {
        unsigned char *unit = (unsigned char *)image->units + (size_t)i * (image->plain ? row : panel);
        const int index = image->first + i;
        if (image->pack)
            s->finite &= image->plain ? row_pack(image, unit, index) : panel_pack(image, unit, index);
        else if (image->plain)
            memcpy((char *)image->rows + (size_t)(index - image->first_row) * row, unit, row);
        else
            panel_unpack(image, unit, index);
    }
    return NULL;
}

/* The first value of a block that is not finite; where the block overflows in the weight's type, its largest. */
static clora_status find_in_block(const weight_image *image, int n, int k) {
    const storage *s = image->storage;
    float gathered[COLUMNS], value[COLUMNS], largest = 0.0f;
    unsigned char own[LANE_BYTES];
    int at = 0;

    dtype_to_f32(value, row_at(image, gathered, n, k, s->block), image->source_dtype, (size_t)s->block);
    for (int i = 0; i < s->block; i++) {
        if (!isfinite(value[i]))
            return clora_fail(CLORA_ERROR_FORMAT, "the value at row %d, column %d is not finite", n, k + i);
        if (fabsf(value[i]) > largest) {
            largest = fabsf(value[i]);
            at = i;
        }
    }
    if (storage_pack(s, own, value, CLORA_DTYPE_F32, (size_t)s->block))
        return CLORA_OK;
    return clora_fail(CLORA_ERROR_FORMAT, "the value %g at row %d, column %d is too large for %s", (double)value[at], n,
                      k + at, s->name);
}

/* Name the place: only after a failure, so it may be slow. */
static clora_status fail_not_finite(const weight_image *image) {
    const int width = image->plain ? 1 : image->NR, end = (image->first + image->count) * width;

    for (int n = image->first * width; n < end && n < image->N; n++)
        for (int k = 0; k < image->K; k += image->storage->block) {
            const clora_status status = find_in_block(image, n, k);
            if (status != CLORA_OK)
                return status;
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
