#!/usr/bin/env python3
"""Compare `clora tokenize` with the `sentencepiece` package: compare_sentencepiece.py [MODEL ...] [options]

Each MODEL is a directory with a tokenizer.model, or a file .gguf with a vocabulary of SentencePiece's BPE, of which one
is made; the texts and ids that lie beside it (.inp, .out) are compared too. Without one, those of tests/fixtures are
taken, and the .gguf files in $CLORA_TEST_VOCABULARIES. Exits 77 when something is not there, 1 when ids differ.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.dont_write_bytecode = True
sys.path[:0] = [str(HERE / "fixtures" / "tokenizers"), str(HERE)]

import samples  # noqa: E402
from support import gguf_tokenizer  # noqa: E402
from support.packages import SKIPPED, need  # noqa: E402

need("sentencepiece")
import sentencepiece  # noqa: E402


def clora_ids(options, model, texts):
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
        file.writelines(json.dumps({"text": text}) + "\n" for text in texts)
        file.flush()
        done = subprocess.run([options.clora, "tokenize", model, "--jsonl", file.name], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{model}: {done.stderr}")
    return [json.loads(line)["ids"] for line in done.stdout.splitlines()]


def compare(options, model, known=()):
    """How many differences; `known` are texts and the ids that others give them."""
    package = sentencepiece.SentencePieceProcessor(model_file=str(model / "tokenizer.model"))
    special = [package.id_to_piece(i) for i in range(package.get_piece_size())
               if package.is_control(i) or package.is_unknown(i)]
    texts = samples.ALONE + samples.PHRASES + samples.mixtures(options.mixtures, options.seed, [])
    texts = [text for text in texts if not any(token in text for token in special)]  # these have ids of their own
    wanted = [(text, package.encode(text)) for text in texts] + list(known)
    found = [f"{text!r}: {ids}, wanted {expected}" for (text, expected), ids in
             zip(wanted, clora_ids(options, model, [text for text, _ in wanted])) if ids != expected]
    print(f"{model.name}: {len(texts)} texts, {len(known)} with ids, {len(found)} differences")
    print("".join(f"  {line[:300]}\n" for line in found[:5]), end="", flush=True)
    return len(found)


def compare_gguf(options, path):
    with tempfile.TemporaryDirectory() as folder:
        model = pathlib.Path(folder, path.stem)
        model.mkdir()
        if gguf_tokenizer.write_scored(path, model):
            return compare(options, model, gguf_tokenizer.expected(path))
    return 0


def main():
    parser = argparse.ArgumentParser(description="Compare clora tokenize with the sentencepiece package.")
    parser.add_argument("models", metavar="MODEL", nargs="*", type=pathlib.Path)
    parser.add_argument("--clora", default="build/src/clora", help="the program (build/src/clora)")
    parser.add_argument("--mixtures", type=int, default=400, help="random texts (400)")
    parser.add_argument("--seed", type=int, default=1, help="of the random texts (1)")
    options = parser.parse_args()
    if not pathlib.Path(options.clora).exists():
        print(f"skipped: no program {options.clora}")
        sys.exit(SKIPPED)
    vocabularies = os.environ.get("CLORA_TEST_VOCABULARIES")
    standard = sorted((HERE / "fixtures" / "spm").iterdir())
    standard += sorted(pathlib.Path(vocabularies).glob("*.gguf")) if vocabularies else []
    different = sum(compare_gguf(options, model) if model.suffix == ".gguf" else compare(options, model)
                    for model in options.models or standard)
    sys.exit(1 if different else 0)


if __name__ == "__main__":
    main()
