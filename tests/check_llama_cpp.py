"""GGUF adapters that clora writes, read by llama.cpp: check_llama_cpp.py CLORA [MODEL]

Adapters of random factors on a llama model (models/tiny), plain, rank-stabilised and with patterns: greedy ids of
`clora generate` with the PEFT directory must be those of llama.cpp with what `clora convert` makes of it. Needs
llama_cpp (llama-cpp-python), gguf and numpy: exits with 77 (skipped) without them.
"""

import ctypes
import json
import pathlib
import random
import struct
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "bench/sides")]
from support import checkpoint
from support.packages import need

PROMPTS = ["name: The Old Mill | food: Italian =>", "The", "1 + 1 is"]
TOKENS = 24
SETTINGS = {
    "plain": {"r": 4, "lora_alpha": 8},
    "rslora": {"r": 6, "lora_alpha": 5, "use_rslora": True},
    "ranks": {"r": 4, "lora_alpha": 8, "rank_pattern": {"q_proj": 2, "k_proj": 7}},
    "patterns": {"r": 4, "lora_alpha": 8, "rank_pattern": {"k_proj": 2},
                 "alpha_pattern": {"q_proj": 3, "down_proj": 1}},
}
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def tensors(model, settings, source):
    """Factors for every targeted matrix of the model's file, large enough to change what it says."""
    for name, (_, shape, _) in checkpoint.read(model / "model.safetensors").items():
        module = name.removesuffix(".weight")
        kind = module.rsplit(".", 1)[-1]
        if kind not in TARGETS:
            continue
        rank = settings.get("rank_pattern", {}).get(kind, settings["r"])
        for factor, (rows, cols) in {"A": (rank, shape[1]), "B": (shape[0], rank)}.items():
            values = [source.gauss(0, 1) * (cols ** -0.5 if factor == "A" else 0.02) for _ in range(rows * cols)]
            yield f"base_model.model.{module}.lora_{factor}.weight", ("F32", [rows, cols],
                                                                     struct.pack(f"<{len(values)}f", *values))


def run(*arguments):
    """Its lines of JSON."""
    done = subprocess.run([*map(str, arguments)], check=True, stdout=subprocess.PIPE, text=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def generate(clora, model, prompts, *arguments):
    return run(clora, "generate", model, "--jsonl", prompts, "--dtype", "f32", "--max-tokens", TOKENS, "--json",
               "--quiet", *arguments)


class Llama:
    """Greedy ids of a GGUF model without a tokenizer."""

    def __init__(self, path):
        import llama_cpp
        from llama_side import load

        self.api = llama_cpp
        options = type("Options", (), {"file": str(path), "sequences": 1, "length": 256, "threads": 2})
        self.model, self.context = load(options)
        self.words = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(self.model))

    def adapt(self, path):
        adapter = self.api.llama_adapter_lora_init(self.model, str(path).encode())
        if not adapter:
            raise SystemExit(f"llama.cpp cannot load {path}")
        adapters, scales = (self.api.llama_adapter_lora_p_ctypes * 1)(adapter), (ctypes.c_float * 1)(1.0)
        if self.api.llama_set_adapters_lora(self.context, adapters, 1, scales) != 0:
            raise SystemExit(f"llama.cpp cannot use {path}")

    def greedy(self, ids, count):
        from llama_side import Batch, forget

        batch, made = Batch(len(ids)), []
        forget(self.context)
        batch.fill([(token, i, 0, i == len(ids) - 1) for i, token in enumerate(ids)])
        while True:
            batch.decode(self.context)
            logits = self.api.llama_get_logits_ith(self.context, -1)
            made.append(max(range(self.words), key=lambda i: logits[i]))
            if len(made) == count:
                return made
            batch.fill([(made[-1], len(ids) + len(made) - 1, 0, True)])


def main():
    need("llama_cpp", "gguf", "numpy")
    import gguf_file

    clora = pathlib.Path(sys.argv[1]).resolve()
    model = pathlib.Path(sys.argv[2] if len(sys.argv) > 2 else ROOT / "models/tiny").resolve()
    failed = 0
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        prompts = folder / "prompts.jsonl"
        prompts.write_text("".join(json.dumps({"text": text}) + "\n" for text in PROMPTS))
        untouched = [row["ids"] for row in generate(clora, model, prompts)]
        gguf_file.write(model, folder / "model.gguf", "f32")
        llama = Llama(folder / "model.gguf")
        for name, settings in SETTINGS.items():
            (folder / name).mkdir()
            (folder / name / "adapter_config.json").write_text(json.dumps(
                {"peft_type": "LORA", "target_modules": TARGETS, **settings}))
            checkpoint.write(folder / name / "adapter_model.safetensors",
                             dict(tensors(model, settings, random.Random(name))))
            run(clora, "convert", folder / name, "--to", "gguf", "--model", model, "--out", folder / f"{name}.gguf",
                "--json")
            wanted = generate(clora, model, prompts, "--adapter", folder / name)
            llama.adapt(folder / f"{name}.gguf")
            found = [llama.greedy(row["prompt_ids"], len(row["ids"])) for row in wanted]
            same = found == [row["ids"] for row in wanted]
            changed = untouched != found
            failed += not (same and changed)
            print(f"{name:10} {sum(map(len, found))} ids are {'the same' if same else f'{found}, not {wanted}'}"
                  f"{'' if changed else ', and those of the model alone'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
