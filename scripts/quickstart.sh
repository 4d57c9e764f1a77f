#!/usr/bin/env bash
# From a bare machine to a fine-tuned model: installs packages, builds clora, and lets it learn to put slots into
# sentences. Takes one to three minutes after the packages, the most with empty caches. All that it makes is in build/;
# safe to run again.
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
# texts KEY: that string of each line of JSON
texts() {
    python3 -c 'import json, sys
for line in sys.stdin:
    print("  ", json.loads(line)[sys.argv[1]].strip().replace("\n", " "))' "$1"
}

title "1. Packages and build"
scripts/install-deps.sh
log=$(mktemp)
trap 'rm -f "$log"' EXIT
build() {
    [ -f build/build.ninja ] || meson setup build -Dtests=false || return
    ninja -C build src/clora
}
echo "Building in build/: the command alone, without tests"
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

title "3. Measure the kernels here, for a moment; longer finds more"
run tune "$model" --batch-size 16 --budget 15s

title "4. The base model does not know the task"
texts context <"$out/few.jsonl"
run generate "$model" --jsonl "$out/few.jsonl" --max-tokens 24 --json >"$out/base.jsonl"
texts text <"$out/base.jsonl"

title "5. Train an adapter on data/train.jsonl; no name in the validation pairs is among its names"
run train "$model" --data data/train.jsonl --val "$validation" --out "$out/adapter" --log "$out/log.jsonl" \
    --lr 0.005 --schedule cosine --batch-size 16 --steps 150

title "6. The adapted model knows it"
run eval "$model" --adapter "$out/adapter" --data "$validation"
run generate "$model" --adapter "$out/adapter" --jsonl "$validation" --json >"$out/adapted.jsonl"
head -n "$shown" "$out/adapted.jsonl" | texts text

title "7. Merge: a model of the base's size that needs no adapter"
run merge "$model" "$out/adapter" --out "$out/merged"
run generate "$out/merged" --jsonl "$validation" --json >"$out/merged.jsonl"
head -n "$shown" "$out/merged.jsonl" | texts text

title "Result"
python3 - "$out/log.jsonl" <<'END'
import json, sys
losses = [line["val_loss"] for line in map(json.loads, open(sys.argv[1])) if "val_loss" in line]
print(f"validation loss {losses[0]:.3f} before training, {losses[-1]:.3f} after")
sys.exit("quickstart: the loss did not halve" if not losses[-1] <= losses[0] / 2 else 0)
END
scripts/slot_accuracy.py "$validation" "$out/adapted.jsonl" "$out/merged.jsonl" --least 90
echo "The adapter is in $out/adapter, the merged model in $out/merged."
