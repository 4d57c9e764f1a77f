/* As a C++17 program uses the library: handles that free themselves, failures as exceptions, lambdas as callbacks. */
#include <cstdio>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "api/check.h"

static void check(clora_status status) {
    if (status != CLORA_OK)
        throw std::runtime_error(std::string(clora_status_name(status)) + ": " + clora_last_error());
}

template <class T, void (*Free)(T *)> struct freeing {
    void operator()(T *object) const { Free(object); }
};
template <class T, void (*Free)(T *)> using owned = std::unique_ptr<T, freeing<T, Free>>;

using context_ptr = owned<clora_context, clora_context_free>;
using model_ptr = owned<clora_model, clora_model_free>;
using tokenizer_ptr = owned<clora_tokenizer, clora_tokenizer_free>;
using dataset_ptr = owned<clora_dataset, clora_dataset_free>;
using adapter_ptr = owned<clora_adapter, clora_adapter_free>;
using session_ptr = owned<clora_session, clora_session_free>;
using sampler_ptr = owned<clora_sampler, clora_sampler_free>;
using generation_ptr = owned<clora_generation, clora_generation_free>;

/* clora_x_create(&raw, ...) as the owner of what it made. */
template <class Owned, class Make> Owned make(Make call) {
    typename Owned::pointer raw = nullptr;

    check(call(&raw));
    return Owned(raw);
}

static model_ptr load(clora_context *context, const std::string &path) {
    return make<model_ptr>([&](clora_model **out) { return clora_model_load(out, context, path.c_str(), nullptr); });
}

static void train(clora_model *model, clora_adapter *adapter) {
    const std::vector<int32_t> ids{1, 5, 9, 13, 17, 21};
    const int length = static_cast<int>(ids.size());
    const auto dataset = make<dataset_ptr>(
        [&](clora_dataset **out) { return clora_dataset_from_ids(out, ids.data(), nullptr, &length, 1); });
    clora_train_options options = CLORA_TRAIN_OPTIONS_INIT;
    std::vector<float> losses;

    options.steps = 5;
    options.lr = 0.01f;
    check(clora_train(
        model, adapter, dataset.get(), &options,
        [](void *user, const clora_train_step *step) {
            static_cast<std::vector<float> *>(user)->push_back(step->loss);
            return 0;
        },
        &losses));
    CHECK(losses.size() == 5 && losses.back() < losses.front());
}

/* The ids that clora_generate() chooses are those of a loop of one's own with a sampler. */
static void generate(clora_model *model, clora_adapter *adapter, const clora_tokenizer *tokenizer) {
    const int vocab = clora_model_get_info(model)->vocab, count = 12;
    const std::vector<int32_t> prompt{1, 5, 9};
    std::vector<float> logits(static_cast<size_t>(vocab));
    clora_sample_options sample = CLORA_SAMPLE_OPTIONS_INIT;
    clora_generate_options options = CLORA_GENERATE_OPTIONS_INIT;

    sample.temperature = 0.8f;
    sample.repetition_penalty = 1.2f;
    sample.seed = 3;
    options.sample = &sample;
    options.max_tokens = count;
    const auto session =
        make<session_ptr>([&](clora_session **out) { return clora_session_create(out, model, 1, count + 3); });
    check(clora_session_set_adapter(session.get(), adapter));
    const auto text = make<generation_ptr>([&](clora_generation **out) {
        return clora_generate(out, session.get(), tokenizer, prompt.data(), prompt.size(), &options);
    });
    const auto sampler =
        make<sampler_ptr>([&](clora_sampler **out) { return clora_sampler_create(out, vocab, &sample); });
    clora_session_reset(session.get());
    check(clora_sampler_see(sampler.get(), prompt.data(), prompt.size()));
    check(clora_session_forward(session.get(), logits.data(), prompt.data(), 3, 0));
    for (size_t i = 0; i < text->count; i++) {
        int32_t id;
        check(clora_sampler_next(&id, sampler.get(), logits.data()));
        CHECK(id == text->ids[i]);
        check(clora_sampler_see(sampler.get(), &id, 1));
        if (i + 1 < text->count)
            check(clora_session_forward(session.get(), logits.data(), &id, 1, 0));
    }
    CHECK(text->count > 0);
}

static void a_failure_is_an_exception(clora_context *context) {
    try {
        load(context, "no/such/model");
    } catch (const std::runtime_error &e) {
        CHECK(std::string(e.what()).find("no/such/model: no such directory") != std::string::npos);
        return;
    }
    CHECK(!"a model that is not there was loaded");
}

int main() try {
    const context_ptr context(open_context());
    const auto tokenizer = make<tokenizer_ptr>(
        [](clora_tokenizer **out) { return clora_tokenizer_load(out, fixture("tokenizers/smollm")); });
    const auto model = load(context.get(), fixture("tiny-llama"));
    const auto adapter =
        make<adapter_ptr>([&](clora_adapter **out) { return clora_adapter_create(out, model.get(), nullptr); });

    train(model.get(), adapter.get());
    generate(model.get(), adapter.get(), tokenizer.get());
    a_failure_is_an_exception(context.get());
    return 0;
} catch (const std::exception &e) {
    std::fprintf(stderr, "%s\n", e.what());
    return EXIT_FAILURE;
}
