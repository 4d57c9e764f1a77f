#!/usr/bin/env python3
"""Compare greedy text with transformers: compare_smollm2.py [MODEL] [--clora PROGRAM]

MODEL is a directory that scripts/get-smollm2.py made (or any other of the Llama family); without one
$CLORA_TEST_MODELS/smollm2 is taken. Needs the packages torch and transformers. Exits 77 when something is not there, 1
when a text differs.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys

TOKENS = 32
PROMPTS = [
    "The capital of France is",
    "Once upon a time",
    "def fibonacci(n):\n",
    "name[The Vaults], eatType[pub], priceRange[more than £30], customer rating[5 out of 5], near[Café Adriatic]\n",
    "1, 2, 3, 4, 5,",
    "<|im_start|>user\nWhat is gravity?<|im_end|>\n<|im_start|>assistant\n",
    "Die Hauptstadt von Österreich heißt",
    "The three most important ideas in linear algebra are:\n\n1.",
]

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from support.packages import SKIPPED, need  # noqa: E402

need("torch", "transformers")
import torch  # noqa: E402
import transformers  # noqa: E402


def clora_ids(options, prompt):
    command = [options.clora, "generate", options.model, "--prompt", prompt, "--max-tokens", str(TOKENS), "--json"]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{result.stderr}")
    return json.loads(result.stdout)["ids"]


def transformers_ids(model, ids):
    """The new ids, and how far the chosen logit was above the second at each."""
    out = model.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=TOKENS,
        do_sample=False,
        return_dict_in_generate=True,
        output_logits=True,
    )
    margins = [float(a - b) for a, b in (torch.topk(step[0], 2).values for step in out.logits)]
    return out.sequences[0, ids.shape[1] :].tolist(), margins


def main():
    parser = argparse.ArgumentParser(description="Compare clora's greedy text with that of transformers.")
    parser.add_argument("model", nargs="?", default=pathlib.Path(os.environ.get("CLORA_TEST_MODELS", ""), "smollm2"))
    parser.add_argument("--clora", default="build/src/clora", help="(default build/src/clora)")
    options = parser.parse_args()
    if not pathlib.Path(options.model, "config.json").exists() or not pathlib.Path(options.clora).exists():
        print(f"skipped: {options.model} or {options.clora} is not there")
        sys.exit(SKIPPED)
    transformers.logging.set_verbosity_error()
    tokenizer = transformers.AutoTokenizer.from_pretrained(options.model)
    model = transformers.AutoModelForCausalLM.from_pretrained(options.model, dtype=torch.float32)
    failed = 0
    for prompt in PROMPTS:
        ids = tokenizer(prompt, return_tensors="pt")["input_ids"]
        expected, margins = transformers_ids(model, ids)
        actual = clora_ids(options, prompt)
        if actual == expected:
            print(f"same  {len(actual):2} ids, narrowest choice {min(margins):.4f}: {tokenizer.decode(actual)!r}")
            continue
        failed += 1
        at = next((i for i, (a, b) in enumerate(zip(actual, expected)) if a != b), min(len(actual), len(expected)))
        margin = f"{margins[at]:.4f}" if at < len(margins) else "none"
        print(f"DIFFERS at new id {at} (transformers chose by {margin}) after {prompt!r}")
        print(f"  clora        {actual}\n  transformers {expected}")
    print(f"{len(PROMPTS) - failed} of {len(PROMPTS)} texts are the same")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
