#!/usr/bin/env python3
"""Write a Hugging Face llama directory of any shape with random weights, to measure with; it has no tokenizer.

    bench/random_model.py DIR [--layers 16 --hidden 2048 --ffn 8192 --heads 32 --kv-heads 8 --vocab 128256] [--dtype bf16]

The defaults are the shape of a model of 1.2 billion parameters. Needs numpy. DIR must not exist.
"""

import argparse
import json
import pathlib

import numpy as np


def tensors(o):
    """(name, shape) of every tensor of a model with a tied head."""
    head = o.hidden // o.heads
    yield "model.embed_tokens.weight", (o.vocab, o.hidden)
    for i in range(o.layers):
        layer = f"model.layers.{i}"
        for name, rows in (("q", o.heads * head), ("k", o.kv_heads * head), ("v", o.kv_heads * head)):
            yield f"{layer}.self_attn.{name}_proj.weight", (rows, o.hidden)
        yield f"{layer}.self_attn.o_proj.weight", (o.hidden, o.heads * head)
        yield f"{layer}.mlp.gate_proj.weight", (o.ffn, o.hidden)
        yield f"{layer}.mlp.up_proj.weight", (o.ffn, o.hidden)
        yield f"{layer}.mlp.down_proj.weight", (o.hidden, o.ffn)
        yield f"{layer}.input_layernorm.weight", (o.hidden,)
        yield f"{layer}.post_attention_layernorm.weight", (o.hidden,)
    yield "model.norm.weight", (o.hidden,)


def values(shape, dtype, random):
    """Norms are one, matrices normal with the spread that keeps a stream's size."""
    x = np.ones(shape, "<f4") if len(shape) == 1 else random.standard_normal(shape, np.float32) / shape[1] ** 0.5
    if dtype == "f32":
        return x
    return x.astype("<f2") if dtype == "f16" else (x.view("<u4") >> 16).astype("<u2")


def write_weights(path, o):
    size = 4 if o.dtype == "f32" else 2
    header, offset = {}, 0
    for name, shape in tensors(o):
        end = offset + int(np.prod(shape)) * size
        header[name] = {"dtype": o.dtype.upper(), "shape": shape, "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header).encode()
    random = np.random.default_rng(0)
    with open(path, "wb") as out:
        out.write(len(text).to_bytes(8, "little") + text)
        for _, shape in tensors(o):
            out.write(values(shape, o.dtype, random).tobytes())
    return offset // size


def config(o):
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_act": "silu",
        "hidden_size": o.hidden,
        "intermediate_size": o.ffn,
        "num_hidden_layers": o.layers,
        "num_attention_heads": o.heads,
        "num_key_value_heads": o.kv_heads,
        "head_dim": o.hidden // o.heads,
        "max_position_embeddings": 4096,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": True,
        "vocab_size": o.vocab,
        "bos_token_id": 0,
        "eos_token_id": 1,
        "torch_dtype": {"f32": "float32", "f16": "float16", "bf16": "bfloat16"}[o.dtype],
    }


def main():
    parser = argparse.ArgumentParser(description="Write a llama directory with random weights.")
    parser.add_argument("directory", metavar="DIR", type=pathlib.Path)
    sizes = {"layers": 16, "hidden": 2048, "ffn": 8192, "heads": 32, "kv-heads": 8, "vocab": 128256}
    for name, size in sizes.items():
        parser.add_argument(f"--{name}", type=int, default=size)
    parser.add_argument("--dtype", choices=["f32", "f16", "bf16"], default="bf16")
    o = parser.parse_args()
    if min(o.layers, o.hidden, o.ffn, o.heads, o.kv_heads, o.vocab) < 1 or o.hidden % o.heads or o.heads % o.kv_heads:
        parser.error("sizes start at 1, --heads divides --hidden, --kv-heads divides --heads")
    o.directory.mkdir(parents=True)
    (o.directory / "config.json").write_text(json.dumps(config(o), indent=2) + "\n", encoding="utf-8")
    print(f"{o.directory}: {write_weights(o.directory / 'model.safetensors', o):,} parameters in {o.dtype}")


if __name__ == "__main__":
    main()
