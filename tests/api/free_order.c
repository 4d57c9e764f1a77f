/*
 * Every handle at once, freed in orders that are drawn: each but the last is used after others are gone. The program's
 * own OpenCL objects tell by their counts whether all of clora is gone at the end.
 *
 *     free_order [FIRST [COUNT]]      seeds; all of them by default
 */
#define CL_TARGET_OPENCL_VERSION 120
#include <clora/opencl.h>
#include <stdint.h>
#include <unistd.h>

#include "api/check.h"

enum { SEEDS = 200, MOST = 20 };

/* A handle of the program: how to free it, and to see that it works with what it was made from. */
typedef struct handle {
    void *object;
    void (*free)(void *object);
    void (*use)(void *object);
} handle;

typedef struct handles {
    handle all[MOST];
    int count;
} handles;

#define FREE(type)                              \
    static void free_##type(void *p) {          \
        clora_##type##_free((clora_##type *)p); \
    }
FREE(context)
FREE(tensor)
FREE(weight)
FREE(lowrank)
FREE(tune_plan)
FREE(model)
FREE(adapter)
FREE(adapter_cache)
FREE(dataset)
FREE(tokenizer)
FREE(decoder)
FREE(session)
FREE(trainer)
FREE(engine)
FREE(request)
FREE(launch_plan)
FREE(sampler)

/* ---- Use ---- */

static void use_context(void *p) {
    OK(clora_context_finish(p));
}

static void use_tensor(void *p) {
    const float in[4] = {1.0f, 2.0f, 3.0f, 4.0f};
    float out[4] = {0};

    OK(clora_tensor_write(p, in));
    OK(clora_tensor_read(p, out));
    CHECK(memcmp(in, out, sizeof(in)) == 0);
}

static void use_weight(void *p) {
    const float w0[8 * 16] = {1.0f};

    OK(clora_weight_write(p, w0, CLORA_DTYPE_F32));
}

static void use_lowrank(void *p) {
    float a[2 * 16], b[8 * 2] = {0};

    OK(clora_lowrank_read(p, a, NULL));
    OK(clora_lowrank_write(p, a, b));
}

static void use_tune_plan(void *p) {
    OK(clora_tune_plan_noted(p));
}

static void use_model(void *p) {
    CHECK(strcmp(clora_model_module(p, 0)->name, "model.layers.0.self_attn.q_proj") == 0);
    OK(clora_context_finish(clora_model_context(p)));
}

static void use_adapter(void *p) {
    CHECK(clora_adapter_method(p) != NULL);
    CHECK(clora_adapter_past(p) == 0);
}

static void use_adapter_cache(void *p) {
    clora_adapter *adapter;

    OK(clora_adapter_cache_get(&adapter, p, "tiny-llama-lora"));
    clora_adapter_free(adapter);
}

static void use_dataset(void *p) {
    const int32_t *ids;

    CHECK(clora_dataset_sequence(p, 0, &ids, NULL) == 3 && ids[1] == 2);
}

static void use_tokenizer(void *p) {
    CHECK(clora_tokenizer_vocab_size(p) > 0);
}

static void use_decoder(void *p) {
    const char *text;
    size_t size;

    OK(clora_decoder_push(p, 5, &text, &size));
}

static void use_session(void *p) {
    clora_session_reset(p);
    CHECK(clora_session_length(p) == 0);
}

static void use_trainer(void *p) {
    CHECK(clora_trainer_steps(p) == 1);
}

static void use_engine(void *p) {
    CHECK(clora_engine_free_slots(p) <= 2);
}

static void use_request(void *p) {
    size_t count;

    (void)clora_request_ids(p, &count);
    CHECK(count == 0);
}

static void use_launch_plan(void *p) {
    CHECK(strlen(clora_launch_plan_hash(p)) == 32);
}

static void use_sampler(void *p) {
    static const float logits[97] = {[5] = 1.0f};
    int32_t id;

    OK(clora_sampler_next(&id, p, logits));
    CHECK(id == 5);
}

/* ---- Make ---- */

#define ADD(all, type, made) add(all, (handle){made, free_##type, use_##type})

static void add(handles *h, handle one) {
    CHECK(h->count < MOST);
    h->all[h->count++] = one;
}

static void make_layer(handles *h, clora_context *context) {
    clora_tensor *tensor;
    clora_weight *weight;
    clora_lowrank *lowrank;
    clora_tune_plan *plan;

    OK(clora_tensor_create(&tensor, context, CLORA_DTYPE_F32, 1, (const int[]){4}));
    OK(clora_weight_create(&weight, context, CLORA_STORAGE_F32, 8, 16));
    OK(clora_lowrank_create(&lowrank, weight, 2, 1.0f, 0));
    OK(clora_tune_plan_create(&plan, context));
    ADD(h, tensor, tensor);
    ADD(h, weight, weight);
    ADD(h, lowrank, lowrank);
    ADD(h, tune_plan, plan);
}

/* The second is the first at another strength. */
static void make_adapters(handles *h, clora_adapter *adapter[2], clora_model *model) {
    clora_adapter_cache *cache;

    OK(clora_adapter_create(&adapter[0], model, NULL));
    OK(clora_adapter_scale(&adapter[1], adapter[0], 0.5f));
    OK(clora_adapter_cache_create(&cache, model, fixture(""), NULL));
    ADD(h, adapter, adapter[0]);
    ADD(h, adapter, adapter[1]);
    ADD(h, adapter_cache, cache);
}

static clora_tokenizer *make_text(handles *h) {
    static const int32_t ids[] = {3, 4};
    clora_tokenizer *tokenizer;
    clora_decoder *decoder;
    clora_sampler *sampler;

    OK(clora_tokenizer_load(&tokenizer, fixture("tokenizers/llama2")));
    OK(clora_decoder_create(&decoder, tokenizer, ids, 2));
    OK(clora_sampler_create(&sampler, 97, NULL));
    ADD(h, tokenizer, tokenizer);
    ADD(h, decoder, decoder);
    ADD(h, sampler, sampler);
    return tokenizer;
}

static void make_run(handles *h, clora_model *model, clora_adapter *const adapter[2]) {
    static const int32_t ids[] = {1, 2, 3};
    static const int length = 3;
    clora_dataset *dataset;
    clora_trainer *trainer;
    clora_session *session;

    OK(clora_dataset_from_ids(&dataset, ids, NULL, &length, 1));
    OK(clora_trainer_create(&trainer, model, adapter[0], dataset, NULL));
    OK(clora_session_create(&session, model, 1, 8));
    OK(clora_session_set_adapter(session, adapter[1]));
    ADD(h, dataset, dataset);
    ADD(h, trainer, trainer);
    ADD(h, session, session);
}

static void make_server(handles *h, clora_model *model, clora_tokenizer *tokenizer, clora_adapter *adapter) {
    clora_request_options what = CLORA_REQUEST_OPTIONS_INIT;
    clora_engine_options options = CLORA_ENGINE_OPTIONS_INIT;
    static const int32_t ids[] = {1, 2};
    clora_request *request;
    clora_engine *engine;

    options.slots = 2;
    options.capacity = 16;
    what.adapter = adapter;
    OK(clora_engine_create(&engine, model, tokenizer, &options));
    OK(clora_engine_admit(&request, engine, ids, 2, &what));
    ADD(h, engine, engine);
    ADD(h, request, request);
}

static void make_all(handles *h, cl_context cl, cl_command_queue queue) {
    clora_launch_plan *launches;
    clora_adapter *adapter[2];
    clora_context *context;
    clora_model *model;

    OK(clora_context_from_opencl(&context, cl, queue));
    ADD(h, context, context);
    make_layer(h, context);
    OK(clora_launch_plan_create(&launches, context));
    ADD(h, launch_plan, launches);
    model = open_model(context);
    ADD(h, model, model);
    make_adapters(h, adapter, model);
    make_run(h, model, adapter);
    make_server(h, model, make_text(h), adapter[1]);
}

/* ---- Orders ---- */

static uint32_t draw(uint64_t *seed, int below) {
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*seed >> 33) % (uint32_t)below;
}

static void try_order(uint64_t seed, cl_context cl, cl_command_queue queue) {
    handles h = {.count = 0};

    make_all(&h, cl, queue);
    while (h.count > 0) {
        const int i = (int)draw(&seed, h.count);
        const handle gone = h.all[i];
        h.all[i] = h.all[--h.count];
        gone.free(gone.object);
        if (h.count > 0) {
            const handle *left = &h.all[draw(&seed, h.count)];
            left->use(left->object);
        }
    }
}

static cl_uint holders(cl_context cl, cl_command_queue queue) {
    cl_uint of_context = 0, of_queue = 0;

    clGetContextInfo(cl, CL_CONTEXT_REFERENCE_COUNT, sizeof(of_context), &of_context, NULL);
    clGetCommandQueueInfo(queue, CL_QUEUE_REFERENCE_COUNT, sizeof(of_queue), &of_queue, NULL);
    return of_context + of_queue;
}

int main(int argc, char **argv) {
    const int first = argc > 1 ? atoi(argv[1]) : 0, count = argc > 2 ? atoi(argv[2]) : SEEDS;
    clora_context *own = open_context();
    cl_command_queue queue = clora_context_queue(own);
    cl_context cl;

    clRetainCommandQueue(queue);
    clGetCommandQueueInfo(queue, CL_QUEUE_CONTEXT, sizeof(cl), &cl, NULL);
    clRetainContext(cl);
    clora_context_free(own);
    const cl_uint before = holders(cl, queue);
    for (int i = 0; i < count; i++) {
        fprintf(stderr, "seed %d\n", first + i);
        try_order((uint64_t)(first + i), cl, queue);
    }
    for (int waits = 0; holders(cl, queue) != before && waits < 20000; waits++)
        usleep(1000); /* a driver may let go a little after its work is done */
    CHECK(holders(cl, queue) == before);
    clReleaseCommandQueue(queue);
    clReleaseContext(cl);
    return 0;
}
