#!/usr/bin/env python3
"""Compare `clora tokenize` with the `tokenizers` package: compare_tokenizer.py [MODEL ...] [options]

Each MODEL is a directory with a tokenizer.json. Without one, the tokenizers of tests/fixtures are taken, and besides,
where they are there, $CLORA_TEST_MODELS/smollm2 and $CLORA_TEST_DATA/models/stories260K-hf. The texts are those
of tests/fixtures/tokenizers/samples.py. Exits 77 when something is not there, 1 when ids or texts differ.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

DECODED = 40  # texts that are decoded too: each costs a process
FOLDER = pathlib.Path(__file__).resolve().parent / "fixtures" / "tokenizers"

sys.dont_write_bytecode = True
sys.path[:0] = [str(FOLDER), str(pathlib.Path(__file__).resolve().parent)]

import samples  # noqa: E402
from support.packages import SKIPPED, need  # noqa: E402

need("tokenizers")
from tokenizers import Tokenizer  # noqa: E402


def run(options, *arguments):
    result = subprocess.run([options.clora, "tokenize", *map(str, arguments)], capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(f"{options.clora} tokenize {' '.join(map(str, arguments))}\n{result.stderr}")
    return result.stdout


def clora_ids(options, model, texts, special):
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
        for text in texts:
            file.write(json.dumps({"text": text}) + "\n")
        file.flush()
        lines = run(options, model, "--jsonl", file.name, *(["--special"] if special else [])).splitlines()
    if len(lines) != len(texts):
        sys.exit(f"{model}: {len(lines)} lines for {len(texts)} texts")
    return [json.loads(line)["ids"] for line in lines]


def special_tokens(tokenizer):
    added = sorted(tokenizer.get_added_tokens_decoder().items())
    return [token.content for _, token in added[:40]]


def differences(options, model, texts, tokenizer):
    for special in (False, True):
        for text, ids in zip(texts, clora_ids(options, model, texts, special)):
            expected = tokenizer.encode(text, add_special_tokens=special).ids
            if ids != expected:
                yield f"special={special} {text!r}: {ids}, wanted {expected}"
    for text in texts[:DECODED]:
        ids = tokenizer.encode(text).ids
        if ids:
            decoded = json.loads(run(options, model, "--decode", json.dumps(ids), "--json"))["text"]
            expected = tokenizer.decode(ids, skip_special_tokens=True)
            if decoded != expected:
                yield f"{ids}: {decoded!r}, wanted {expected!r}"


def default_models():
    found = sorted(p.parent for p in FOLDER.glob("*/tokenizer.json"))
    for variable, path in (("CLORA_TEST_MODELS", "smollm2"), ("CLORA_TEST_DATA", "models/stories260K-hf")):
        model = pathlib.Path(os.environ.get(variable, "")) / path
        if os.environ.get(variable) and (model / "tokenizer.json").exists():
            found.append(model)
    return found


def main():
    parser = argparse.ArgumentParser(description="Compare clora tokenize with the tokenizers package.")
    parser.add_argument("models", metavar="MODEL", nargs="*", type=pathlib.Path)
    parser.add_argument("--clora", default="build/src/clora", help="the program (build/src/clora)")
    parser.add_argument("--mixtures", type=int, default=400, help="random texts (400)")
    parser.add_argument("--seed", type=int, default=1, help="of the random texts (1)")
    parser.add_argument("--all-characters", action="store_true", help="every character of Unicode too: minutes")
    options = parser.parse_args()
    if not pathlib.Path(options.clora).exists():
        print(f"skipped: no program {options.clora}")
        sys.exit(SKIPPED)
    different = 0
    for model in options.models or default_models():
        tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        texts = samples.ALONE + samples.PHRASES
        texts += samples.mixtures(options.mixtures, options.seed, special_tokens(tokenizer))
        if options.all_characters:
            texts += samples.characters()
        found = list(differences(options, model, texts, tokenizer))
        print(f"{model}: {len(texts)} texts, {len(found)} differences")
        print("".join(f"  {line[:300]}\n" for line in found[:5]), end="")
        different += len(found)
    sys.exit(1 if different else 0)


if __name__ == "__main__":
    main()
