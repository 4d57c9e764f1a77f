#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "files/safetensors.h"
#include "support/scratch.h"

/* ---- Files made by hand ---- */

/* A file with this header and so many bytes of data (0, 1, 2, ...); says that its header has `length` bytes. */
static const char *make_lying(const char *name, const char *header, uint64_t length, size_t bytes) {
    const size_t n = strlen(header);
    unsigned char *file = malloc(8 + n + bytes);

    assert_non_null(file);
    for (int i = 0; i < 8; i++)
        file[i] = (unsigned char)(length >> 8 * i);
    memcpy(file + 8, header, n);
    for (size_t i = 0; i < bytes; i++)
        file[8 + n + i] = (unsigned char)i;
    scratch_write(name, file, 8 + n + bytes);
    free(file);
    return scratch_path(name);
}

static const char *make(const char *name, const char *header, size_t bytes) {
    return make_lying(name, header, strlen(header), bytes);
}

static void assert_not_opened(const char *path, clora_status expected, const char *words) {
    safetensors *file = (safetensors *)1;

    assert_refused(safetensors_open(&file, path), expected, words);
    assert_null(file);
    assert_non_null(strstr(clora_last_error(), path));
}

/* ---- Reading ---- */

static void test_tensors_are_found_by_name_with_type_shape_and_bytes(void **state) {
    (void)state;
    safetensors *file;

    /* an odd header length: the data lies at odd addresses, which the format allows */
    assert_ok(safetensors_open(&file, make("f",
                                           "{\"__metadata__\":{\"format\":\"pt\",\"k\":\"v\"},"
                                           "\"w\":{\"dtype\":\"F32\",\"shape\":[2,1],\"data_offsets\":[0,8]},"
                                           "\"h\":{\"dtype\":\"BF16\",\"shape\":[3],\"data_offsets\":[8,14]},"
                                           "\"empty\":{\"dtype\":\"F16\",\"shape\":[0,5],\"data_offsets\":[14,14]},"
                                           "\"s\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[14,22]}}   ",
                                           22)));
    assert_int_equal(file->count, 4);
    assert_string_equal(file->tensors[0].name, "empty");
    assert_string_equal(file->tensors[3].name, "w");
    const stored_tensor *h = safetensors_find(file, "h");
    assert_non_null(h);
    assert_true(h->supported && h->dtype == CLORA_DTYPE_BF16);
    assert_int_equal(h->ndim, 1);
    assert_int_equal(h->shape[0], 3);
    assert_int_equal(h->size, 6);
    assert_int_equal(*(const unsigned char *)h->data, 8);
    assert_ptr_equal(h->data, file->map.data + h->offset);
    assert_int_equal(stored_elements(safetensors_find(file, "w")), 2);
    const stored_tensor *s = safetensors_find(file, "s");
    assert_false(s->supported);
    assert_string_equal(s->dtype_text, "I64");
    assert_int_equal(s->ndim, 0);
    assert_int_equal(stored_elements(s), 1);
    assert_int_equal(stored_elements(safetensors_find(file, "empty")), 0);
    assert_null(safetensors_find(file, "empty")->data);
    assert_null(safetensors_find(file, "absent"));
    assert_string_equal(safetensors_metadata(file, "k"), "v");
    assert_null(safetensors_metadata(file, "absent"));
    safetensors_close(file);
    safetensors_close(NULL);
}

static void test_a_file_without_tensors_or_metadata_is_valid(void **state) {
    (void)state;
    safetensors *file;

    assert_ok(safetensors_open(&file, make("f", "{}", 0)));
    assert_int_equal(file->count, 0);
    assert_null(safetensors_find(file, "x"));
    assert_null(safetensors_metadata(file, "format"));
    safetensors_close(file);
}

static void test_shapes_are_written_for_messages(void **state) {
    (void)state;
    char text[STORED_SHAPE_TEXT];
    int64_t shape[STORED_DIMS];

    assert_string_equal(stored_shape_text(text, 2, (const int64_t[]){4, 16}), "(4, 16)");
    assert_string_equal(stored_shape_text(text, 0, NULL), "()");
    for (int i = 0; i < STORED_DIMS; i++)
        shape[i] = INT64_MAX;
    assert_true(strlen(stored_shape_text(text, STORED_DIMS, shape)) == 8 * 19 + 7 * 2 + 2);
}

static void test_headers_that_lie_about_the_file_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *header, *words;
    } cases[] = {
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", "truncated"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}}", "truncated"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,9223372036854775807]}}", "truncated"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,0]}}", "impossible offsets"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[-4,0]}}", "impossible offsets"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,99999999999999999999]}}", "data_offsets"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]}}", "data_offsets"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4.0]}}", "data_offsets"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", "data_offsets"},
        {"{\"a\":{\"dtype\":\"F16\",\"shape\":[1],\"data_offsets\":[0,4]}}",
         "4 bytes where its dtype and shape want 2"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,4]}}",
         "4 bytes where its dtype and shape want 0"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,4]}}", "overflows"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904],\"data_offsets\":[0,4]}}", "overflows"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}}", "not made of sizes"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1.0],\"data_offsets\":[0,4]}}", "not made of sizes"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,4]}}", "more than 8 dimensions"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":1,\"data_offsets\":[0,4]}}", "no \"shape\""},
        {"{\"a\":{\"dtype\":\"F33\",\"shape\":[1],\"data_offsets\":[0,4]}}", "unknown dtype \"F33\""},
        {"{\"a\":{\"dtype\":32,\"shape\":[1],\"data_offsets\":[0,4]}}", "no \"dtype\""},
        {"{\"a\":{\"dtype\":\"F4\",\"shape\":[3],\"data_offsets\":[0,4]}}", "whole byte"},
        {"{\"a\":[1]}", "not described by an object"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[0,3]}}", "1 bytes after the last tensor"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[1,4]}}", "a gap"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},"
         "\"b\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[3,4]}}",
         "tensor b has a gap"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[0,3]},"
         "\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[2,4]}}",
         "tensor b overlaps"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},"
         "\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}}",
         "overlaps"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
         "\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}",
         "duplicate"},
        {"{\"__metadata__\":[],\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", "__metadata__"},
        {"{\"__metadata__\":{\"k\":1},\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", "__metadata__"},
        {"{\"__metadata__\":{\"k\":\"\\u0000\"},\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}",
         "NUL"},
        {"{\"a\\u0000b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", "NUL"},
        {"{\"\xff\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", "byte 0xff"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}", "not valid JSON"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}x", "not valid JSON"},
        {" {\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", "does not start with '{'"},
        {"[]", "does not start with '{'"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_not_opened(make("f", cases[i].header, 4), CLORA_ERROR_FORMAT, cases[i].words);
}

static void test_a_file_cut_at_any_byte_is_refused(void **state) {
    (void)state;
    static const char header[] = "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}";
    const size_t whole = 8 + strlen(header) + 8;
    safetensors *file;

    for (size_t n = 0; n < whole; n++) {
        make("f", header, 8);
        assert_int_equal(truncate(scratch_path("f"), (off_t)n), 0);
        assert_int_equal(safetensors_open(&file, scratch_path("f")), CLORA_ERROR_FORMAT);
        assert_null(file);
    }
    assert_ok(safetensors_open(&file, make("f", header, 8)));
    safetensors_close(file);
}

static void test_a_header_length_is_checked_before_it_is_used(void **state) {
    (void)state;
    assert_not_opened(make_lying("f", "{}", 3, 0), CLORA_ERROR_FORMAT, "a header of 3 bytes in a file of 10");
    assert_not_opened(make_lying("f", "{}", 0, 0), CLORA_ERROR_FORMAT, "does not start");
    assert_not_opened(make_lying("f", "{}", UINT64_MAX, 0), CLORA_ERROR_FORMAT, "limit");
    assert_not_opened(make_lying("f", "{}", (uint64_t)1 << 63, 0), CLORA_ERROR_FORMAT, "limit");
    /* the bytes are there (a file with a hole), but a header may not be that long */
    make_lying("f", "{}", SAFETENSORS_MAX_HEADER + 1, 0);
    assert_int_equal(truncate(scratch_path("f"), 8 + SAFETENSORS_MAX_HEADER + 1), 0);
    assert_not_opened(scratch_path("f"), CLORA_ERROR_FORMAT, "above the format's limit of 100000000");
    make_lying("f", "{}", SAFETENSORS_MAX_HEADER, 0);
    assert_int_equal(truncate(scratch_path("f"), 8 + SAFETENSORS_MAX_HEADER), 0);
    assert_not_opened(scratch_path("f"), CLORA_ERROR_FORMAT, "not valid JSON"); /* zeros instead of spaces */
}

static void test_a_deep_header_is_refused(void **state) {
    (void)state;
    enum { DEPTH = 200000 };
    char *header = malloc(5 * DEPTH + 1);

    for (int i = 0; i < DEPTH; i++)
        memcpy(header + 5 * i, "{\"a\":", 5);
    header[5 * DEPTH] = '\0';
    assert_not_opened(make("f", header, 0), CLORA_ERROR_FORMAT, "depth");
    free(header);
}

static void test_what_is_no_safetensors_file_is_refused(void **state) {
    (void)state;
    assert_not_opened(scratch_path("none"), CLORA_ERROR_NOT_FOUND, "No such file");
    assert_not_opened(scratch_path(""), CLORA_ERROR_IO, "directory");
    scratch_text("f", "");
    assert_not_opened(scratch_path("f"), CLORA_ERROR_FORMAT, "too short");
    scratch_text("f", "version https://git-lfs.github.com/spec/v1\n");
    assert_not_opened(scratch_path("f"), CLORA_ERROR_FORMAT, "limit");
}

static void test_a_hundred_thousand_tensors_are_read(void **state) {
    (void)state;
    enum { N = 100000 };
    char *header = malloc((size_t)N * 80), name[32];
    size_t used = 0;
    safetensors *file;

    for (int i = 0; i < N; i++)
        used += (size_t)sprintf(header + used, "%c\"t%07d\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[%d,%d]}",
                                i ? ',' : '{', (i * 7) % N, i, i + 1);
    strcpy(header + used, "}");
    assert_ok(safetensors_open(&file, make("f", header, N)));
    assert_int_equal(file->count, N);
    for (int i = 0; i < N; i += 1000) {
        snprintf(name, sizeof(name), "t%07d", (int)((int64_t)i * 7 % N));
        assert_int_equal(*(const unsigned char *)safetensors_find(file, name)->data, (unsigned char)i);
    }
    safetensors_close(file);
    free(header);
}

/* ---- The files of a model ---- */

static void one_tensor(const char *file, const char *name) {
    char header[256];

    snprintf(header, sizeof(header), "{\"%s\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", name);
    make(file, header, 4);
}

static void assert_no_set(clora_status expected, const char *words) {
    model_files *set = (model_files *)1;

    assert_refused(model_files_open(&set, scratch_path("")), expected, words);
    assert_null(set);
}

static void write_index(const char *weight_map) {
    char text[1024];

    snprintf(text, sizeof(text), "{\"metadata\":{\"total_size\":8},\"weight_map\":%s}", weight_map);
    scratch_text("model.safetensors.index.json", text);
}

static void test_a_model_is_one_file_or_its_shards(void **state) {
    (void)state;
    model_files *set;

    one_tensor("s2", "b");
    one_tensor("s1", "a");
    write_index("{\"b\":\"s2\",\"a\":\"s1\"}");
    assert_ok(model_files_open(&set, scratch_path("")));
    assert_int_equal(model_files_file_count(set), 2);
    assert_int_equal(model_files_count(set), 2);
    assert_string_equal(model_files_tensor(set, 0)->name, "a");
    const stored_tensor *b = model_files_find(set, "b");
    assert_ptr_equal(b, model_files_tensor(set, 1));
    assert_string_equal(model_files_path(set, b->file), scratch_path("s2"));
    assert_int_equal(((const unsigned char *)b->data)[3], 3);
    assert_null(model_files_find(set, "c"));
    model_files_close(set);

    one_tensor("model.safetensors", "whole");
    assert_ok(model_files_open(&set, scratch_path("")));
    assert_int_equal(model_files_count(set), 1);
    assert_non_null(model_files_find(set, "whole"));
    model_files_close(set);
    model_files_close(NULL);
}

static void test_a_missing_shard_is_named(void **state) {
    (void)state;
    one_tensor("s1", "a");
    write_index("{\"a\":\"s1\",\"b\":\"model-00002-of-00002.safetensors\"}");
    assert_no_set(CLORA_ERROR_NOT_FOUND, "names the file model-00002-of-00002.safetensors, which is missing");
}

static void test_shards_outside_of_the_directory_are_refused(void **state) {
    (void)state;
    static const char *const maps[] = {"{\"a\":\"../s1\"}", "{\"a\":\"/etc/passwd\"}", "{\"a\":\"..\"}",
                                       "{\"a\":\".\"}",     "{\"a\":\"x\\\\s1\"}",     "{\"a\":\"\"}",
                                       "{\"a\":1}",         "{\"a\":\"s1\\u0000\"}"};

    one_tensor("s1", "a");
    for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]); i++) {
        write_index(maps[i]);
        assert_no_set(CLORA_ERROR_FORMAT, "tensor a must lie in a file of the same directory");
    }
}

static void test_an_index_that_does_not_fit_its_shards_is_refused(void **state) {
    (void)state;
    one_tensor("s1", "a");
    one_tensor("s2", "a");
    write_index("{\"a\":\"s1\",\"b\":\"s1\"}");
    assert_no_set(CLORA_ERROR_FORMAT, "says that tensor b is in");
    one_tensor("s2", "b");
    write_index("{\"a\":\"s2\",\"b\":\"s1\"}");
    assert_no_set(CLORA_ERROR_FORMAT, "does not hold it");
    make("s2",
         "{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},"
         "\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[2,4]}}",
         4);
    write_index("{\"a\":\"s1\",\"b\":\"s2\"}");
    assert_no_set(CLORA_ERROR_FORMAT, "tensor a is in two files");
    write_index("{}");
    assert_no_set(CLORA_ERROR_FORMAT, "weight_map");
    write_index("[\"s1\"]");
    assert_no_set(CLORA_ERROR_FORMAT, "weight_map");
    scratch_text("model.safetensors.index.json", "[]");
    assert_no_set(CLORA_ERROR_FORMAT, "weight_map");
    scratch_text("model.safetensors.index.json", "{");
    assert_no_set(CLORA_ERROR_FORMAT, "not valid JSON");
}

static void test_a_broken_shard_is_named(void **state) {
    (void)state;
    one_tensor("s1", "a");
    scratch_text("s2", "short");
    write_index("{\"a\":\"s1\",\"b\":\"s2\"}");
    assert_no_set(CLORA_ERROR_FORMAT, "s2: only 5 bytes");
}

static void test_a_directory_without_weights_is_refused(void **state) {
    (void)state;
    assert_no_set(CLORA_ERROR_NOT_FOUND, "holds neither model.safetensors nor");
}

/* ---- Writing ---- */

/* An adapter's file as clora writes it: A (r, in) and B (out, r) of modules on layers, zero everywhere. */
typedef struct module_shape {
    const char *path;
    int in, out;
} module_shape;

static void write_adapter(const char *path, const char *prefix, const module_shape *modules, int count, int layers,
                          int rank) {
    const size_t n = (size_t)(2 * count * layers);
    safetensors_entry *entries = alloc_array(n, sizeof(*entries));
    safetensors_writer writer;
    float *zeros = alloc_array((size_t)rank * 4096, sizeof(float));

    for (size_t i = 0; i < n; i++) {
        const module_shape *m = &modules[i / 2 % (size_t)count];
        const bool b = i % 2;
        entries[i] = (safetensors_entry){.name = alloc_format("base_model.model.%s.%zu.%s.lora_%c.weight", prefix,
                                                              i / 2 / (size_t)count, m->path, b ? 'B' : 'A'),
                                         .ndim = 2,
                                         .shape = {b ? m->out : rank, b ? rank : m->in}};
    }
    assert_ok(safetensors_writer_begin(&writer, path, entries, n, NULL));
    while (writer.next < writer.count)
        assert_ok(safetensors_writer_tensor(&writer, zeros, writer.remaining));
    assert_ok(safetensors_writer_finish(&writer));
    for (size_t i = 0; i < n; i++)
        free((void *)(uintptr_t)entries[i].name);
    free(entries);
    free(zeros);
}

static void test_adapter_files_have_the_sizes_that_peft_publishes(void **state) {
    (void)state;
    static const module_shape gpt2[] = {
        {"attn.c_attn", 768, 2304}, {"attn.c_proj", 768, 768}, {"mlp.c_fc", 768, 3072}, {"mlp.c_proj", 3072, 768}};
    static const module_shape medium[] = {{"attn.c_attn", 1024, 3072}};
    static const module_shape llama[] = {{"self_attn.q_proj", 3072, 3072}, {"self_attn.v_proj", 3072, 1024}};
    static const struct {
        const char *prefix;
        const module_shape *modules;
        int count, layers, rank;
        size_t size;
    } cases[] = {
        {"transformer.h", gpt2, 1, 12, 4, 592848},    {"transformer.h", gpt2, 1, 12, 8, 1182680},
        {"transformer.h", gpt2, 4, 12, 8, 4730632},   {"transformer.h", medium, 1, 24, 4, 1578960},
        {"model.layers", llama, 2, 28, 32, 36715216},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *path = scratch_path("adapter_model.safetensors");
        safetensors *file;
        write_adapter(path, cases[i].prefix, cases[i].modules, cases[i].count, cases[i].layers, cases[i].rank);
        assert_ok(safetensors_open(&file, path));
        assert_int_equal(file->map.size, cases[i].size);
        assert_string_equal(safetensors_metadata(file, "format"), "pt");
        safetensors_close(file);
    }
}

static void test_tensors_lie_wide_types_first_then_by_name(void **state) {
    (void)state;
    static const safetensors_entry entries[] = {
        {.name = "b", .dtype = CLORA_DTYPE_F16, .ndim = 1, .shape = {1}},
        {.name = "a", .dtype = CLORA_DTYPE_BF16, .ndim = 1, .shape = {1}},
        {.name = "z", .dtype = CLORA_DTYPE_F32, .ndim = 0},
        {.name = "long", .dtype_text = "I64", .ndim = 1, .shape = {1}},
        {.name = "c", .dtype = CLORA_DTYPE_F16, .ndim = 2, .shape = {0, 7}},
        {.name = "d", .dtype = CLORA_DTYPE_F32, .ndim = 1, .shape = {1}},
    };
    static const size_t order[] = {3, 5, 2, 1, 0, 4};
    static const unsigned char data[20] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20};
    static const char header[] = "{\"__metadata__\":{\"who\":\"us\"},"
                                 "\"long\":{\"dtype\":\"I64\",\"shape\":[1],\"data_offsets\":[0,8]},"
                                 "\"d\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[8,12]},"
                                 "\"z\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[12,16]},"
                                 "\"a\":{\"dtype\":\"BF16\",\"shape\":[1],\"data_offsets\":[16,18]},"
                                 "\"b\":{\"dtype\":\"F16\",\"shape\":[1],\"data_offsets\":[18,20]},"
                                 "\"c\":{\"dtype\":\"F16\",\"shape\":[0,7],\"data_offsets\":[20,20]}}";
    safetensors_writer writer;
    json_t *metadata = json_pack("{s:s}", "who", "us");
    size_t size, at = 0;

    assert_ok(safetensors_writer_begin(&writer, scratch_path("f"), entries, 6, metadata));
    assert_memory_equal(writer.order, order, sizeof(order));
    while (writer.next < writer.count) { /* in pieces of at most 3 bytes */
        const size_t piece = writer.remaining < 3 ? writer.remaining : 3;
        assert_ok(safetensors_writer_tensor(&writer, data + at, piece));
        at += piece;
    }
    assert_int_equal(at, sizeof(data));
    assert_ok(safetensors_writer_finish(&writer));
    char *file = read_whole(&size, scratch_path("f"));
    const size_t padded = (strlen(header) + 7) / 8 * 8;
    assert_int_equal(size, 8 + padded + sizeof(data));
    assert_int_equal((unsigned char)file[0] + 256 * (unsigned char)file[1], padded);
    assert_memory_equal(file + 8, header, strlen(header));
    for (size_t i = strlen(header); i < padded; i++)
        assert_int_equal(file[8 + i], ' ');
    assert_memory_equal(file + 8 + padded, data, sizeof(data));
    free(file);
    json_decref(metadata);
}

static void test_a_file_of_the_reference_writer_is_written_back_byte_for_byte(void **state) {
    (void)state;
    const char *fixtures = getenv("CLORA_TEST_FIXTURES");
    char path[1024];
    safetensors *file;
    safetensors_writer writer;

    snprintf(path, sizeof(path), "%s/tiny-llama-patterns/adapter_model.safetensors",
             fixtures ? fixtures : "tests/fixtures");
    assert_ok(safetensors_open(&file, path));
    safetensors_entry *entries = alloc_array(file->count, sizeof(*entries));
    for (size_t i = 0; i < file->count; i++) {
        const stored_tensor *t = &file->tensors[i];
        entries[i] = (safetensors_entry){.name = t->name, .dtype = t->dtype, .ndim = t->ndim};
        memcpy(entries[i].shape, t->shape, sizeof(t->shape));
    }
    assert_ok(safetensors_writer_begin(&writer, scratch_path("copy"), entries, file->count, file->metadata));
    while (writer.next < writer.count) {
        const stored_tensor *t = &file->tensors[writer.order[writer.next]];
        assert_ok(safetensors_writer_tensor(&writer, t->data, t->size));
    }
    assert_ok(safetensors_writer_finish(&writer));
    assert_same_file(scratch_path("copy"), path);
    free(entries);
    safetensors_close(file);
}

static const safetensors_entry two[] = {{.name = "a", .ndim = 1, .shape = {2}}, {.name = "b", .ndim = 1, .shape = {2}}};

static void test_a_file_with_missing_or_surplus_bytes_never_appears(void **state) {
    (void)state;
    static const float values[4] = {1, 2, 3, 4};
    safetensors_writer writer = {0};

    safetensors_writer_abandon(&writer);
    assert_ok(safetensors_writer_begin(&writer, scratch_path("f"), two, 2, NULL));
    assert_refused(safetensors_writer_tensor(&writer, values, 16), CLORA_ERROR_ARGUMENT, "8 bytes too many");
    assert_ok(safetensors_writer_tensor(&writer, values, 8));
    assert_ok(safetensors_writer_tensor(&writer, values, 4));
    assert_refused(safetensors_writer_finish(&writer), CLORA_ERROR_ARGUMENT, "1 of 2 tensors");
    safetensors_writer_abandon(&writer);
    assert_int_equal(scratch_entries(scratch_path("")), 0);
    assert_ok(safetensors_writer_begin(&writer, scratch_path("f"), two, 2, NULL));
    assert_ok(safetensors_writer_tensor(&writer, values, 8));
    safetensors_writer_abandon(&writer);
    assert_int_equal(scratch_entries(scratch_path("")), 0);
}

static void test_entries_that_make_no_file_are_refused(void **state) {
    (void)state;
    static const struct {
        safetensors_entry entry;
        const char *words;
    } cases[] = {
        {{.name = "a", .ndim = 1, .shape = {1}}, "name a is taken"},
        {{.name = "__metadata__", .ndim = 1, .shape = {1}}, "__metadata__ is taken"},
        {{.name = "\xff", .ndim = 1, .shape = {1}}, "not UTF-8"},
        {{.name = "x", .ndim = 1, .shape = {-1}}, "impossible shape"},
        {{.name = "x", .ndim = 2, .shape = {INT64_MAX, INT64_MAX}}, "impossible shape"},
        {{.name = "x", .ndim = 9}, "9 dimensions"},
        {{.name = "x", .dtype_text = "F33"}, "unknown dtype F33"},
        {{.name = "x", .dtype_text = "F4", .ndim = 1, .shape = {1}}, "whole byte"},
    };
    safetensors_writer writer;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const safetensors_entry entries[] = {two[0], cases[i].entry};
        assert_refused(safetensors_writer_begin(&writer, scratch_path("f"), entries, 2, NULL), CLORA_ERROR_ARGUMENT,
                       cases[i].words);
    }
    assert_int_equal(scratch_entries(scratch_path("")), 0);
}

static void test_a_full_disk_leaves_no_half_of_a_file(void **state) {
    (void)state;
    enum { N = 1 << 20 };
    static const safetensors_entry big = {.name = "a", .dtype = CLORA_DTYPE_F16, .ndim = 1, .shape = {N / 2}};
    char *data = calloc(N, 1);
    safetensors_writer writer;

    scratch_text("f", "old");
    assert_ok(safetensors_writer_begin(&writer, scratch_path("f"), &big, 1, NULL));
    disk_full_after(100000);
    clora_status status = safetensors_writer_tensor(&writer, data, N);
    disk_is_free();
    assert_refused(status, CLORA_ERROR_IO, "cannot write");
    safetensors_writer_abandon(&writer);
    assert_ok(safetensors_writer_begin(&writer, scratch_path("f"), two, 2, NULL)); /* small: fails when it is flushed */
    assert_ok(safetensors_writer_tensor(&writer, data, 8));
    assert_ok(safetensors_writer_tensor(&writer, data, 8));
    disk_full_after(10);
    status = safetensors_writer_finish(&writer);
    disk_is_free();
    assert_refused(status, CLORA_ERROR_IO, "f: File too large");
    assert_int_equal(scratch_entries(scratch_path("")), 1);
    assert_refused(safetensors_writer_begin(&writer, scratch_path("f/below"), two, 2, NULL), CLORA_ERROR_IO,
                   "Not a directory");
    free(data);
}

#define T(name) cmocka_unit_test(name)
#define D(name) cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        D(test_tensors_are_found_by_name_with_type_shape_and_bytes),
        D(test_a_file_without_tensors_or_metadata_is_valid),
        T(test_shapes_are_written_for_messages),
        D(test_headers_that_lie_about_the_file_are_refused),
        D(test_a_file_cut_at_any_byte_is_refused),
        D(test_a_header_length_is_checked_before_it_is_used),
        D(test_a_deep_header_is_refused),
        D(test_what_is_no_safetensors_file_is_refused),
        D(test_a_hundred_thousand_tensors_are_read),
        D(test_a_model_is_one_file_or_its_shards),
        D(test_a_missing_shard_is_named),
        D(test_shards_outside_of_the_directory_are_refused),
        D(test_an_index_that_does_not_fit_its_shards_is_refused),
        D(test_a_broken_shard_is_named),
        D(test_a_directory_without_weights_is_refused),
        D(test_adapter_files_have_the_sizes_that_peft_publishes),
        D(test_tensors_lie_wide_types_first_then_by_name),
        D(test_a_file_of_the_reference_writer_is_written_back_byte_for_byte),
        D(test_a_file_with_missing_or_surplus_bytes_never_appears),
        D(test_entries_that_make_no_file_are_refused),
        D(test_a_full_disk_leaves_no_half_of_a_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
