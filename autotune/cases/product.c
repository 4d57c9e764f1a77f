#include "cases/product.h"

#include "base/dtype.h"
#include "ref/ref.h"

/* Rows of module i when `used` are taken: the last has what is left. */
static int rows_of(const op_shape *s, int modules, int i, int used) {
    if (i == modules - 1)
        return s->N - used;
    if (s->first)
        return i == 0 ? s->first : (s->N - s->first) / (modules - 1);
    return s->N / (modules + i);
}

static int rank_of(const op_shape *s, int i) {
    if (s->first || s->R == 0)
        return s->R;
    return i == 0 ? s->R : i == 1 ? 0 : s->R / 2 + 1;
}

static void describe(product *p, const op_shape *s) {
    p->modules = s->modules ? s->modules : 1;
    for (int i = 0, used = 0; i < p->modules; i++) {
        p->N[i] = rows_of(s, p->modules, i, used);
        p->col[i] = used;
        used += p->N[i];
        p->rank[i] = rank_of(s, i);
        p->row[i] = p->R;
        p->R += p->rank[i];
        p->scale[i] = 0.5f + (float)i;
    }
}

/* Rows are whole blocks of the storage type. */
static int whole_blocks(const op_shape *s) {
    const int block = storage_of(s->dtype)->block;
    return (s->K + block - 1) / block * block;
}

/* What the type keeps of the values, so that host and device hold the same. */
static void round_to(const storage *type, float *values, size_t n) {
    unsigned char block[256];

    for (size_t i = 0; i < n; i += (size_t)type->block) {
        (void)storage_pack(type, block, values + i, CLORA_DTYPE_F32, (size_t)type->block);
        storage_unpack(type, values + i, block, (size_t)type->block);
    }
}

static void make_weight(case_run *run, product *p) {
    const op_shape *s = &run->shape;
    const size_t n = (size_t)s->N * (size_t)s->K;

    run->w0 = case_memory(run, n, sizeof(float));
    if (run->status == CLORA_OK) /* the layout is no part of what a product launches: nothing is noted */
        run->status = weight_create_as(&run->w, run->context, weight_layout_of(run->context, s->dtype, s->N, s->K),
                                       s->dtype, s->K, p->modules, p->N);
    if (run->status != CLORA_OK)
        return;
    case_fill(run->w0, n, case_seed(run, 1000));
    for (size_t i = 5; i < n && s->dtype == CLORA_STORAGE_F16; i += 97)
        run->w0[i] *= 1e-5f; /* subnormal */
    round_to(storage_of(s->dtype), run->w0, n);
    for (int i = 0; i < p->modules && run->status == CLORA_OK; i++)
        run->status = weight_pack(run->w, i, run->w0 + (size_t)p->col[i] * (size_t)s->K, CLORA_DTYPE_F32, false);
    if (!(s->option & PRODUCT_BIAS))
        return;
    p->bias = case_memory(run, (size_t)s->N, sizeof(float));
    case_fill(p->bias, run->status == CLORA_OK ? (size_t)s->N : 0, case_seed(run, 1001));
    for (int i = 0; i < p->modules && run->status == CLORA_OK; i++)
        run->status = weight_set_bias(run->w, i, p->bias + p->col[i]);
}

static void make_factors(case_run *run, product *p, case_role a_role, case_role b_role) {
    const int K = run->shape.K;

    if (run->status == CLORA_OK)
        run->status = lowrank_create(&run->lr, run->w, p->rank, p->scale);
    if (run->status != CLORA_OK)
        return;
    p->fa = case_dense(run, "a", a_role, CLORA_DTYPE_F32, 1, (int)run->lr->a_count);
    p->fb = case_dense(run, "b", b_role, CLORA_DTYPE_F32, 1, (int)run->lr->b_count);
    for (int i = 0; i < p->modules && run->status == CLORA_OK; i++) {
        const size_t a = (size_t)p->rank[i] * (size_t)K, b = (size_t)p->rank[i] * (size_t)p->N[i];
        p->a[i] = case_memory(run, a, sizeof(float));
        p->b[i] = case_memory(run, b, sizeof(float));
        if (run->status != CLORA_OK)
            return;
        case_fill(p->a[i], a, case_seed(run, 1100 + (unsigned)i));
        case_fill(p->b[i], b, case_seed(run, 1200 + (unsigned)i));
        lowrank_pack_a(run->lr, i, p->fa->host, p->a[i]);
        lowrank_pack_b(run->lr, i, p->fb->host, p->b[i]);
    }
    run->lr->a = p->fa->tensor;
    run->lr->b = p->fb->tensor;
}

product *product_setup(case_run *run, case_role a_role, case_role b_role) {
    product *p = case_memory(run, 1, sizeof(*p));

    run->data = p;
    run->shape.K = whole_blocks(&run->shape);
    describe(p, &run->shape);
    make_weight(run, p);
    if (p->R > 0)
        make_factors(run, p, a_role, b_role);
    return p;
}

void product_fill_u(case_run *run, product *p) {
    const op_shape *s = &run->shape;

    for (int i = 0; i < p->modules && p->u && run->guards && run->status == CLORA_OK; i++)
        ref_lowrank_down(p->u->host + p->row[i], p->R, p->x->host, p->a[i], p->scale[i], s->M, s->K, p->rank[i]);
}

void product_round_input(case_run *run, case_buffer *input) {
    const size_t n = (size_t)input->rows * (size_t)input->cols;

    for (size_t i = 0; i < n && run->shape.dtype == CLORA_STORAGE_BF16 && run->status == CLORA_OK; i++)
        input->host[i] = dtype_bf16_to_f32(dtype_f32_to_bf16(input->host[i]));
}

int product_ranks(const op_shape *s) {
    product p = {.modules = 0};

    describe(&p, s);
    return p.R;
}

double product_weight_bytes(const op_shape *s) {
    const storage *type = storage_of(s->dtype);
    return (double)s->N * s->K / type->block * (double)storage_block_bytes(type);
}

double product_b_elements(const op_shape *s) {
    product p = {.modules = 0};
    double sum = 0.0;

    describe(&p, s);
    for (int i = 0; i < p.modules; i++)
        sum += (double)p.rank[i] * p.N[i];
    return sum;
}

void product_expect_a(case_run *run, float *const *a) {
    const product *p = run->data;

    for (int i = 0; i < p->modules; i++)
        lowrank_pack_a(run->lr, i, p->fa->expected, a[i]);
}

void product_expect_b(case_run *run, float *const *b) {
    const product *p = run->data;

    for (int i = 0; i < p->modules; i++)
        lowrank_pack_b(run->lr, i, p->fb->expected, b[i]);
}
