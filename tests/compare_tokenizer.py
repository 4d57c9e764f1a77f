#!/usr/bin/env python3
"""Compare `clora tokenize` with the `tokenizers` package: compare_tokenizer.py [MODEL ...] [options]

Each MODEL is a directory with a tokenizer.json, or a file .gguf, whose vocabulary is made one; the texts and ids that
lie beside it (.inp, .out) are compared too. Without one, the tokenizers of tests/fixtures are taken, and besides, where
they are there, $CLORA_TEST_MODELS/smollm2, $CLORA_TEST_DATA/models/stories260K-hf and what $CLORA_TEST_VOCABULARIES
holds: a directory of .gguf files, such as models/ of llama.cpp. The texts are those of
tests/fixtures/tokenizers/samples.py.
Exits 77 when something is not there, 1 when ids or texts differ.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

DECODED = 40  # texts that are decoded too: each costs a process
DECODED_LARGE = 6  # the same where loading takes its time
FOLDER = pathlib.Path(__file__).resolve().parent / "fixtures" / "tokenizers"

sys.dont_write_bytecode = True
sys.path[:0] = [str(FOLDER), str(pathlib.Path(__file__).resolve().parent)]

import samples  # noqa: E402
from support import gguf_tokenizer  # noqa: E402
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


def differences(options, model, texts, tokenizer, decoded):
    for special in (False, True):
        for text, ids in zip(texts, clora_ids(options, model, texts, special)):
            expected = tokenizer.encode(text, add_special_tokens=special).ids
            if ids != expected:
                yield f"special={special} {text!r}: {ids}, wanted {expected}"
    for text in texts[-decoded:]:
        ids = tokenizer.encode(text).ids
        if ids:
            back = json.loads(run(options, model, "--decode", json.dumps(ids), "--json"))["text"]
            expected = tokenizer.decode(ids, skip_special_tokens=True)
            if back != expected:
                yield f"{ids}: {back!r}, wanted {expected!r}"


def default_models():
    found = sorted(p.parent for p in FOLDER.glob("*/tokenizer.json"))
    for variable, path in (("CLORA_TEST_MODELS", "smollm2"), ("CLORA_TEST_DATA", "models/stories260K-hf")):
        model = pathlib.Path(os.environ.get(variable, "")) / path
        if os.environ.get(variable) and (model / "tokenizer.json").exists():
            found.append(model)
    if os.environ.get("CLORA_TEST_VOCABULARIES"):
        found += sorted(pathlib.Path(os.environ["CLORA_TEST_VOCABULARIES"]).glob("*.gguf"))
    return found


def compare(options, model, decoded, known=()):
    """How many differences; `known` are texts and the ids that others give them."""
    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    texts = samples.ALONE + samples.PHRASES
    texts += samples.mixtures(options.mixtures, options.seed, special_tokens(tokenizer))
    if options.all_characters:
        texts += samples.characters()
    found = list(differences(options, model, texts, tokenizer, decoded))
    got = clora_ids(options, model, [text for text, _ in known], False) if known else []
    for (text, wanted), ids in zip(known, got):
        if ids != wanted:
            found.append(f".out {text!r}: {ids}, wanted {wanted}")
    print(f"{model.name}: {len(texts)} texts, {len(known)} with ids, {len(found)} differences")
    print("".join(f"  {line[:300]}\n" for line in found[:5]), end="", flush=True)
    return len(found)


def compare_gguf(options, path):
    with tempfile.TemporaryDirectory() as folder:
        model = pathlib.Path(folder, path.stem)
        model.mkdir()
        if gguf_tokenizer.convert(path, model):
            return compare(options, model, DECODED_LARGE, gguf_tokenizer.expected(path))
    print(f"{path.name}: no tokenizer.json can be made of it")
    return 0


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
        different += compare_gguf(options, model) if model.suffix == ".gguf" else compare(options, model, DECODED)
    sys.exit(1 if different else 0)


if __name__ == "__main__":
    main()
