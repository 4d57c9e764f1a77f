#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <clora/inspect.h>

#include "methods/peft.h"
#include "support/fixture.h"
#include "support/scratch.h"
#include "support/tiny_llama.h"

static const peft_base base = {tiny_llama, TINY_MODULES, NULL, 0};
static const char TENSORS[] = "adapter_model.safetensors", SETTINGS[] = "adapter_config.json";

/* The fixture's adapter with other names: the form of A's and that of B's have "%s" for the module and "%c" for A or B;
 * extra is one more, or NULL. Where a module's name holds `from`, `to` stands instead. */
static void write_forms(const char *form_a, const char *form_b, const char *from, const char *to, const char *extra) {
    enum { MOST = 32, BEFORE = 17 /* base_model.model. */, AFTER = 14 /* .lora_A.weight */ };
    static char names[MOST][256];
    safetensors_entry entries[MOST];
    safetensors_writer writer;
    safetensors *file = NULL;

    scratch_copy(SETTINGS, fixture_path("tiny-llama-lora/adapter_config.json"));
    assert_ok(safetensors_open(&file, fixture_path("tiny-llama-lora/adapter_model.safetensors")));
    const size_t n = file->count;
    for (size_t i = 0; i <= n; i++) {
        const stored_tensor *t = &file->tensors[i < n ? i : 0];
        char module[128], changed[256];
        snprintf(module, sizeof(module), "%.*s", (int)strlen(t->name) - BEFORE - AFTER, t->name + BEFORE);
        char *at = strstr(module, from);
        snprintf(changed, sizeof(changed), "%.*s%s%s", (int)(at ? at - module : 0), module, at ? to : "",
                 at ? at + strlen(from) : module);
        const char factor = t->name[strlen(t->name) - strlen("A.weight")];
        snprintf(names[i], sizeof(names[i]), factor == 'A' ? form_a : form_b, changed, factor);
        entries[i] = (safetensors_entry){.name = i < n ? names[i] : extra, .dtype = t->dtype, .ndim = t->ndim};
        memcpy(entries[i].shape, t->shape, sizeof(t->shape));
    }
    assert_ok(safetensors_writer_begin(&writer, scratch_path(TENSORS), entries, n + (extra != NULL), NULL));
    while (writer.next < writer.count) {
        const size_t i = writer.order[writer.next];
        assert_ok(safetensors_writer_tensor(&writer, file->tensors[i < n ? i : 0].data, writer.bytes[writer.next]));
    }
    assert_ok(safetensors_writer_finish(&writer));
    safetensors_close(file);
}

static void write_renamed(const char *form, const char *from, const char *to, const char *extra) {
    write_forms(form, form, from, to, extra);
}

static clora_status from_file(void *user, float *out, int module, peft_part part) {
    const peft_adapter *p = user;

    return peft_read(out, p, p->part[part][module]);
}

/* Loaded and saved, the names are PEFT's and the bytes the fixture's. */
static void check_same_adapter(void) {
    clora_inspected_adapter *inspected;
    peft_adapter p;

    assert_ok(peft_open(&p, scratch_path(""), &base));
    const peft_contents contents = {p.config, tiny_llama, p.choice, TINY_MODULES, NULL, 0, from_file, &p};
    assert_ok(peft_write(scratch_path("saved"), &contents, &(clora_adapter_save_options){.overwrite = 1}));
    peft_close(&p);
    assert_same_file(scratch_path("saved/adapter_model.safetensors"),
                     fixture_path("tiny-llama-lora/adapter_model.safetensors"));
    assert_ok(clora_inspect_adapter(&inspected, scratch_path("")));
    assert_int_equal(inspected->modules, 6);
    clora_inspected_adapter_free(inspected);
}

static void test_names_from_memory_and_with_wrappers_are_understood(void **state) {
    (void)state;
    static const char *const forms[] = {
        "base_model.model.%s.lora_%c.weight",
        "base_model.model.%s.lora_%c.default.weight",
        "base_model.model.%s.lora_%c.weather.weight",
        "%s.lora_%c.weight",
        "%s.lora_%c.default.weight",
        "model.%s.lora_%c.weight",
        "base_model.%s.lora_%c.weight",
        "_orig_mod.base_model.model.%s.lora_%c.weight",
        "base_model._orig_mod.model.%s.lora_%c.weight",
        "base_model.model._orig_mod.%s.lora_%c.default.weight",
        "_orig_mod.%s.lora_%c.weight",
        "module.base_model.model.%s.lora_%c.weight",
        "module._orig_mod.base_model.model.%s.lora_%c.default.weight",
        "_orig_mod.module.base_model.model.module.%s.lora_%c.module.weight",
        "module.%s.lora_%c.weight",
        "_fsdp_wrapped_module.base_model.model.%s.lora_%c.weight",
        "base_model.model.%s._checkpoint_wrapped_module.lora_%c.default.weight",
        "base_model.model.%s._orig_mod.lora_%c.weight",
        "base_model.model.%s.module.lora_%c.default.weight",
    };

    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        write_renamed(forms[i], "", "", NULL);
        check_same_adapter();
    }
    write_renamed("base_model.model.%s.lora_%c.weight", "layers.1.", "layers.1._orig_mod.", NULL);
    check_same_adapter();
    write_renamed("%s.lora_%c.weight", "model.", "model._orig_mod.", NULL);
    check_same_adapter();
}

/* PEFT's "default" and no name are one adapter, whichever factor has it; another name is another adapter. */
static void test_factors_with_and_without_the_name_default_are_one_adapter(void **state) {
    (void)state;
    static const char plain[] = "base_model.model.%s.lora_%c.weight",
                      named[] = "base_model.model.%s.lora_%c.default.weight",
                      other[] = "base_model.model.%s.lora_%c.weather.weight";
    peft_adapter p;

    write_forms(named, plain, "", "", NULL);
    check_same_adapter();
    write_forms(plain, named, "", "", NULL);
    check_same_adapter();
    write_forms(named, other, "", "", NULL);
    assert_refused(peft_open(&p, scratch_path(""), &base), CLORA_ERROR_FORMAT, "of two adapters");
    write_forms(other, plain, "", "", NULL);
    assert_refused(peft_open(&p, scratch_path(""), &base), CLORA_ERROR_FORMAT, "of two adapters");
}

static void refuse(const char *form, const char *extra, const char *words) {
    peft_adapter p;

    write_renamed(form, "", "", extra);
    assert_refused(peft_open(&p, scratch_path(""), &base), CLORA_ERROR_FORMAT, words);
    assert_non_null(strstr(clora_last_error(), extra));
}

static void test_two_names_of_one_factor_are_refused_by_both(void **state) {
    (void)state;
    static const char first[] = "model.layers.0.mlp.down_proj.lora_A";
    static const char *const extras[] = {
        "base_model.model.model.layers.0.mlp.down_proj.lora_A.default.weight",
        "base_model.model.model.layers.0.mlp.down_proj.lora_A.other.weight",
        "model.layers.0.mlp.down_proj.lora_A.weight",
        "layers.0.mlp.down_proj.lora_A.weight",
        "_orig_mod.base_model.model.model.layers.0.mlp.down_proj.lora_A.weight",
        "base_model.model.model.layers.0._orig_mod.mlp.down_proj.lora_A.weight",
    };
    clora_inspected_adapter *inspected;

    for (size_t i = 0; i < sizeof(extras) / sizeof(extras[0]); i++) {
        refuse("base_model.model.%s.lora_%c.weight", extras[i], "are the same factor");
        assert_non_null(strstr(clora_last_error(), first));
        assert_refused(clora_inspect_adapter(&inspected, scratch_path("")), CLORA_ERROR_FORMAT, extras[i]);
    }
}

static void test_factors_of_two_adapters_are_refused(void **state) {
    (void)state;
    refuse("base_model.model.%s.lora_%c.one.weight",
           "base_model.model.model.layers.0.self_attn.k_proj.lora_A.two.weight", "of two adapters");
}

static void test_names_that_are_no_factor_are_left_over(void **state) {
    (void)state;
    static const char *const extras[] = {
        "base_model.model.model.layers.0.mlp.down_proj.lora_A.a.b.weight",
        "base_model.model.model.layers.0.mlp.down_proj.lora_A2.weight",
        "base_model.model.model.layers.0.mlp.down_proj.lora_A",
        "base_model.model.model.layers.0.mlp.down_proj.lora_A.bias",
        "base_model.model.model.layers.0.mlp.down_projected.lora_A.weight",
        "lora_A.weight",
        ".lora_A.weight",
        "module",
        "",
    };

    for (size_t i = 0; i < sizeof(extras) / sizeof(extras[0]); i++)
        refuse("base_model.model.%s.lora_%c.weight", extras[i], "is not part of the adapter");
}

/* Counting factors would find none left over. */
static void test_what_is_left_over_shows_where_two_modules_share_a_factor(void **state) {
    (void)state;
    enum { MODULES = 2 * TINY_MODULES };
    target_module modules[MODULES];
    peft_adapter p;

    for (int i = 0; i < TINY_MODULES; i++) {
        modules[2 * i] = modules[2 * i + 1] = tiny_llama[i];
        if (strncmp(tiny_llama[i].name, "model.", 6) == 0)
            modules[2 * i + 1].name += 6;
    }
    write_renamed("base_model.model.%s.lora_%c.weight", "none", "", "module");
    assert_refused(peft_open(&p, scratch_path(""), &(peft_base){modules, MODULES, NULL, 0}), CLORA_ERROR_FORMAT,
                   "module is not part of");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_names_from_memory_and_with_wrappers_are_understood, scratch_setup,
                                        scratch_teardown),
        cmocka_unit_test_setup_teardown(test_factors_with_and_without_the_name_default_are_one_adapter, scratch_setup,
                                        scratch_teardown),
        cmocka_unit_test_setup_teardown(test_two_names_of_one_factor_are_refused_by_both, scratch_setup,
                                        scratch_teardown),
        cmocka_unit_test_setup_teardown(test_factors_of_two_adapters_are_refused, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_names_that_are_no_factor_are_left_over, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_what_is_left_over_shows_where_two_modules_share_a_factor, scratch_setup,
                                        scratch_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
