#!/usr/bin/env bash
# From a bare machine to a fine-tuned model: installs packages, builds clora, and lets it learn to put slots into
# sentences. Takes about a minute after the packages; everything it makes is in build/. Safe to run again.
set -euo pipefail
cd "$(dirname "$0")/.."

model=models/tiny
validation=data/validation.jsonl
out=build/quickstart
clora=build/src/clora
shown=3 # rows to look at

title() {
    if [ -t 1 ]; then printf '\n\033[1m%s\033[0m\n' "$*"; else printf '\n%s\n' "$*"; fi
}
# Show a command, then run it; its output may go to a file, the line does not.
exec 3>&1
run() {
    echo "\$ clora $*" >&3
    "$clora" "$@"
}
# The texts of a results file, one a line, for people.
texts() {
    python3 -c 'import json, sys
for line in sys.stdin: print("   " + json.loads(line)["text"].strip().replace("\n", " "))'
}
number() { # KEY: of the JSON on standard input
    python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"
}

title "1. Packages and build"
scripts/install-deps.sh
log=$(mktemp)
trap 'rm -f "$log"' EXIT
build() {
    [ -f build/build.ninja ] || meson setup build -Dtests=false || return
    ninja -C build src/clora
}
if ! build >"$log" 2>&1; then
    tail -n 40 "$log" >&2
    echo "quickstart: the build failed" >&2
    exit 1
fi
echo "Built $clora, $("$clora" --version)"
rm -rf "$out"
mkdir -p "$out"
head -n "$shown" "$validation" >"$out/few.jsonl"

title "2. What OpenCL sees here"
run devices

title "3. The base model has never seen this task"
python3 -c 'import json, sys
for line in sys.stdin: print("   " + json.loads(line)["context"])' <"$out/few.jsonl"
run generate "$model" --jsonl "$out/few.jsonl" --max-tokens 48 --json >"$out/base.jsonl"
echo "   becomes"
texts <"$out/base.jsonl"
before=$("$clora" eval "$model" --data "$validation" --json | number loss)

title "4. Fine-tune an adapter"
run train "$model" --data data/train.jsonl --val "$validation" --out "$out/adapter" \
    --batch-size 16 --lr 5e-3 --schedule cosine

title "5. The adapted model, on pairs it has not seen"
after=$("$clora" eval "$model" --adapter "$out/adapter" --data "$validation" --json | number loss)
"$clora" generate "$model" --adapter "$out/adapter" --jsonl "$validation" --json >"$out/adapted.jsonl"
head -n "$shown" "$out/adapted.jsonl" | texts

title "6. Merge: a plain model of the same size that needs no adapter"
run merge "$model" "$out/adapter" --out "$out/merged"
"$clora" generate "$out/merged" --jsonl "$validation" --json >"$out/merged.jsonl"
head -n "$shown" "$out/merged.jsonl" | texts

title "Result"
printf 'validation loss %.3f before, %.3f after\n' "$before" "$after"
scripts/slot_accuracy.py "$validation" "$out/adapted.jsonl" "$out/merged.jsonl" --least 90
python3 -c 'import sys; sys.exit(float(sys.argv[2]) > float(sys.argv[1]) / 2)' "$before" "$after" || {
    echo "quickstart: the loss did not halve" >&2
    exit 1
}
echo "The adapter is $out/adapter, the merged model $out/merged."
