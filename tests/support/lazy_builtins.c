/*
 * Part of share_cache.so: PoCL links each program with its library of built-in functions, 9 MB of bitcode, and decodes
 * all of them in every process that compiles anything: 0.7 s, as long as it takes to compile five small kernels. LLVM
 * can decode a function when it is asked for it. So the library is opened in that way, and PoCL's linker, which asks
 * for functions by their names before it looks into them, gets them decoded. What is linked is the same.
 *
 * These are calls between C++ libraries, with the names and the registers that they have on this processor. Under
 * LLVM 16 and later the first has another name, so that the library is decoded as a whole.
 */
#if defined(__x86_64__) && defined(__linux__)
#include <dlfcn.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* clang-format off */
#define PARSE_IR_FILE "_ZN4llvm11parseIRFileENS_9StringRefERNS_12SMDiagnosticERNS_11LLVMContextENS_12function_refIF" \
                      "NS_8OptionalINSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEEEES0_EEE"
#define GET_LAZY_IR_FILE "_ZN4llvm19getLazyIRFileModuleENS_9StringRefERNS_12SMDiagnosticERNS_11LLVMContextEb"
#define GET_FUNCTION "_ZNK4llvm6Module11getFunctionENS_9StringRefE"
#define IS_MATERIALIZABLE "_ZNK4llvm11GlobalValue16isMaterializableEv"
#define MATERIALIZE "_ZN4llvm11GlobalValue11materializeEv"
/* clang-format on */

/* llvm::function_ref */
typedef struct callback {
    void *function, *of;
} callback;

void *parse_ir_file(void *out, const char *path, size_t length, void *error, void *context,
                    callback layout) __asm__(PARSE_IR_FILE);
void *get_function(const void *module, const char *name, size_t length) __asm__(GET_FUNCTION);

/* What a caller would have called without us: in a library that it was linked with. */
static void *next_of(void *caller, const char *name) {
    Dl_info of;
    void *library = dladdr(caller, &of) ? dlopen(of.dli_fname, RTLD_LAZY | RTLD_NOLOAD) : NULL;

    return library ? dlsym(library, name) : NULL;
}

/* ".../kernel-x86_64-pc-linux-gnu-avx2.bc"; a program's file is program.bc. */
static bool is_library(const char *path, size_t length) {
    static const char begin[] = "/kernel-x86_64-";
    const char *name = memrchr(path, '/', length);

    return name && length - (size_t)(name - path) > strlen(begin) && memcmp(name, begin, strlen(begin)) == 0;
}

/* A unique_ptr is returned where the caller says. */
void *parse_ir_file(void *out, const char *path, size_t length, void *error, void *context, callback layout) {
    void *caller = __builtin_return_address(0);
    void *(*whole)(void *, const char *, size_t, void *, void *, callback);
    void *(*lazy)(void *, const char *, size_t, void *, void *, bool);

    *(void **)&whole = next_of(caller, PARSE_IR_FILE);
    *(void **)&lazy = next_of(caller, GET_LAZY_IR_FILE);
    return lazy && is_library(path, length) ? lazy(out, path, length, error, context, false)
                                            : whole(out, path, length, error, context, layout);
}

void *get_function(const void *module, const char *name, size_t length) {
    static void *(*next)(const void *, const char *, size_t);
    static bool (*is_encoded)(const void *);
    static void *(*decode)(void *, void *);
    void *error = NULL;

    if (!next) {
        void *caller = __builtin_return_address(0);
        *(void **)&is_encoded = next_of(caller, IS_MATERIALIZABLE);
        *(void **)&decode = next_of(caller, MATERIALIZE);
        *(void **)&next = next_of(caller, GET_FUNCTION);
    }
    void *function = next(module, name, length);
    if (function && is_encoded(function))
        (void)decode(&error, function); /* an llvm::Error: of a file that is broken */
    return function;
}
#endif
