#!/usr/bin/env bash
# Fuzz the readers of files with libFuzzer under address and undefined-behaviour sanitizers, in build-fuzz/.
#
#   scripts/fuzz.sh SECONDS [TARGET...]     each target, or all of tests/fuzz, for so long
#
# What is found lies in build-fuzz/findings; what was learnt stays in build-fuzz/corpus for the next time.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=$1
shift

options=(-Dtests=true -Dfuzz=true -Dbuildtype=debugoptimized -Db_sanitize=address,undefined -Db_lundef=false)
[ -f build-fuzz/build.ninja ] || CC=clang CXX=clang++ meson setup build-fuzz "${options[@]}" >/dev/null
ninja -C build-fuzz -t targets all | sed -n 's/^\(tests\/fuzz\/libfuzzer_[a-z]*\):.*/\1/p' |
    xargs ninja --quiet -C build-fuzz tests/fuzz/seeds

export CLORA_TEST_FIXTURES=$PWD/tests/fixtures POCL_CACHE_DIR=$PWD/build-fuzz/kernel-cache
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
export LSAN_OPTIONS=suppressions=$PWD/tests/support/leaks.txt:print_suppressions=0
cd build-fuzz/tests/fuzz
[ $# -gt 0 ] || set -- $(ls libfuzzer_* | sed -n 's/^libfuzzer_\([a-z]*\)$/\1/p')
failed=0
for target in "$@"; do
    mkdir -p ../../corpus/"$target" ../../findings
    log=../../findings/$target.log
    ./libfuzzer_"$target" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=2048 -malloc_limit_mb=256 \
        -print_final_stats=1 -artifact_prefix=../../findings/"$target"- ../../corpus/"$target" seeds/"$target" \
        >"$log" 2>&1 || { failed=1; echo "FOUND: $target, see build-fuzz/findings/$target.log"; }
    echo "$target: $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") executions in $seconds s"
done
exit $failed
