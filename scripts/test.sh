#!/usr/bin/env bash
# Build clora in three ways and run all tests: about a quarter of an hour on two cores.
#
#   build/        gcc, all suites: host, device, model, cli, api, headers, style, kernels under oclgrind and as on
#                 GPUs, install
#   build-asan/   gcc with address and undefined-behaviour sanitizers: suites host, api and failures
#   build-clang/  clang: compiles without a warning
#
# scripts/test.sh --long takes hours: no test is content with a sample, training and generation run whole on every
# device that looks like a GPU, suites device and model run under the sanitizers too, suites host and threads under the
# thread sanitizer (build-tsan/), every allocation, OpenCL call and operation on a file of the commands fails once, and
# every fuzz target runs for a minute (build-fuzz/).
#
# The last line says "N passed, N failed, N skipped"; the exit status is 0 when none failed.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

scripts/install-deps.sh --tests || exit 1

passed=0
failed=0
logs=()

# step NAME COMMAND...: one check that is not a program of `meson test`
step() {
    local name=$1
    shift
    echo "== $name"
    if "$@"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED: $name"
        return 1
    fi
}

# configure FOLDER OPTION...: make a build folder, or set the options of the one that is there
configure() {
    if [ ! -f "$1/build.ninja" ]; then
        meson setup "$@"
    else
        meson setup --reconfigure "$@" || meson setup --wipe "$@"
    fi
}

# prepare FOLDER OPTION...: configure, silent when that goes well
prepare() {
    local output
    output=$(configure "$@" 2>&1) || {
        tail -n 12 <<<"$output"
        return 1
    }
}

# build FOLDER TARGET OPTION...: configure, compile and link
build() {
    local folder=$1 target=$2
    shift 2
    prepare "$folder" "$@" && ninja --quiet -C "$folder" "$target"
}

# compile FOLDER OPTION...: configure and compile every file; a compiler has nothing to warn of in linking
compile() {
    prepare "$@" && ninja -C "$1" -t targets all | sed -n 's/: c[p]*_COMPILER$//p' | xargs ninja --quiet -C "$1"
}

# run FOLDER OPTION...: `meson test`, remembered for the sum; its own exit status is in the log
run() {
    local folder=$1 log
    shift
    echo "== tests in $folder"
    rm -f "$folder"/meson-logs/testlog*.json
    meson test -C "$folder" --no-rebuild --print-errorlogs "$@"
    local status=$?
    log=$(echo "$folder"/meson-logs/testlog*.json) # its name has the setup's in it
    if [ -s "$log" ]; then
        logs+=("$log")
    else
        failed=$((failed + 1))
        echo "FAILED: meson test in $folder (exit status $status)"
    fi
}

long=
setup=usual
programs=host-tests
[ "${1:-}" = --long ] && long=yes setup=long programs=all-tests
kernel_cache=$PWD/build/kernel-cache
export ASAN_OPTIONS=detect_leaks=1:allocator_may_return_null=1 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
export LSAN_OPTIONS=suppressions=$PWD/tests/support/leaks.txt:print_suppressions=0
export TSAN_OPTIONS=halt_on_error=1:allocator_may_return_null=1:suppressions=$PWD/tests/support/races.txt

step "gcc, no warnings" build build all -Dtests=true -Dwerror=true && run build --setup "$setup"

step "gcc with sanitizers" build build-asan "$programs" \
    -Dwerror=true -Dkernel_cache="$kernel_cache" -Ddebug=true -Doptimization=1 -Dc_args=-g1 \
    -Db_sanitize=address,undefined &&
    run build-asan --suite host --suite api --suite failures ${long:+--suite device --suite model}

if [ "$long" ]; then
    step "gcc with the thread sanitizer" build build-tsan thread-tests \
        -Dwerror=true -Dkernel_cache="$kernel_cache" -Dbuildtype=debugoptimized -Db_sanitize=thread &&
        run build-tsan --suite host --suite threads
    step "every failure" env POCL_CACHE_DIR="$kernel_cache" \
        python3 tests/run_failures.py build-asan/tests/clora_failing --long
    step "every fuzz target" scripts/fuzz.sh 60
fi

CC=clang CXX=clang++ step "clang, no warnings" compile build-clang -Dwerror=true -Dbuildtype=debug

echo
printf '%d min %d s\n' $((SECONDS / 60)) $((SECONDS % 60))
python3 tests/count_tests.py --passed "$passed" --failed "$failed" "${logs[@]}"
