#!/usr/bin/env python3
"""Write a Hugging Face directory of a family and any shape with random weights, to measure with; it has no tokenizer.

    bench/random_model.py DIR [--family llama|qwen2|qwen3|gemma3_text] [--layers N] [--hidden N] [--ffn N] [--heads N]
                              [--kv-heads N] [--head-dim N] [--vocab N] [--dtype f32|f16|bf16]

The defaults are the shape of a published model of the family: 1.2 billion parameters of llama, 0.5 of qwen2, 0.6 of
qwen3, 0.27 of gemma3_text. Needs numpy. DIR must not exist.
"""

import argparse
import json
import pathlib
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Family:
    architecture: str
    sizes: dict
    settings: dict  # of config.json, beside those that all have
    norms: tuple = ("input_layernorm", "post_attention_layernorm")  # of a layer, as long as the hidden state
    head_norms: bool = False  # of queries and keys, as long as a head
    biases: bool = False  # of q, k and v
    norm: float = 1.0  # what multiplies by one


FAMILIES = {
    "llama": Family("LlamaForCausalLM",
                    {"layers": 16, "hidden": 2048, "ffn": 8192, "heads": 32, "kv_heads": 8, "head_dim": 64,
                     "vocab": 128256},
                    {"hidden_act": "silu", "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "mlp_bias": False}),
    "qwen2": Family("Qwen2ForCausalLM",
                    {"layers": 24, "hidden": 896, "ffn": 4864, "heads": 14, "kv_heads": 2, "head_dim": 64,
                     "vocab": 151936},
                    {"hidden_act": "silu", "rms_norm_eps": 1e-6, "rope_theta": 1e6}, biases=True),
    "qwen3": Family("Qwen3ForCausalLM",
                    {"layers": 28, "hidden": 1024, "ffn": 3072, "heads": 16, "kv_heads": 8, "head_dim": 128,
                     "vocab": 151936},
                    {"hidden_act": "silu", "rms_norm_eps": 1e-6, "rope_theta": 1e6}, head_norms=True),
    "gemma3_text": Family("Gemma3ForCausalLM",
                          {"layers": 18, "hidden": 640, "ffn": 2048, "heads": 4, "kv_heads": 1, "head_dim": 256,
                           "vocab": 262144},
                          {"hidden_activation": "gelu_pytorch_tanh", "rms_norm_eps": 1e-6, "rope_theta": 1e6,
                           "rope_local_base_freq": 1e4, "query_pre_attn_scalar": 256, "sliding_window": 512,
                           "sliding_window_pattern": 6},
                          ("input_layernorm", "post_attention_layernorm", "pre_feedforward_layernorm",
                           "post_feedforward_layernorm"), head_norms=True, norm=0.0),
}


def tensors(o, family):
    """(name, shape) of every tensor of a model with a tied head."""
    yield "model.embed_tokens.weight", (o.vocab, o.hidden)
    for i in range(o.layers):
        layer = f"model.layers.{i}"
        for name, rows in (("q", o.heads * o.head_dim), ("k", o.kv_heads * o.head_dim), ("v", o.kv_heads * o.head_dim)):
            yield f"{layer}.self_attn.{name}_proj.weight", (rows, o.hidden)
            if family.biases:
                yield f"{layer}.self_attn.{name}_proj.bias", (rows,)
            if family.head_norms and name != "v":
                yield f"{layer}.self_attn.{name}_norm.weight", (o.head_dim,)
        yield f"{layer}.self_attn.o_proj.weight", (o.hidden, o.heads * o.head_dim)
        yield f"{layer}.mlp.gate_proj.weight", (o.ffn, o.hidden)
        yield f"{layer}.mlp.up_proj.weight", (o.ffn, o.hidden)
        yield f"{layer}.mlp.down_proj.weight", (o.hidden, o.ffn)
        for name in family.norms:
            yield f"{layer}.{name}.weight", (o.hidden,)
    yield "model.norm.weight", (o.hidden,)


def values(name, shape, dtype, norm, random):
    """Norms multiply by one, biases are zero, matrices normal with the spread that keeps a stream's size."""
    if len(shape) == 1:
        x = np.full(shape, 0 if name.endswith("bias") else norm, "<f4")
    else:
        x = random.standard_normal(shape, np.float32) / shape[1] ** 0.5
    if dtype == "f32":
        return x
    return x.astype("<f2") if dtype == "f16" else (x.view("<u4") >> 16).astype("<u2")


def write_weights(path, o, family):
    size = 4 if o.dtype == "f32" else 2
    header, offset = {}, 0
    for name, shape in tensors(o, family):
        end = offset + int(np.prod(shape)) * size
        header[name] = {"dtype": o.dtype.upper(), "shape": shape, "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header).encode()
    random = np.random.default_rng(0)
    with open(path, "wb") as out:
        out.write(len(text).to_bytes(8, "little") + text)
        for name, shape in tensors(o, family):
            out.write(values(name, shape, o.dtype, family.norm, random).tobytes())
    return offset // size


def config(o, family):
    return {
        "architectures": [family.architecture],
        "model_type": o.family,
        "hidden_size": o.hidden,
        "intermediate_size": o.ffn,
        "num_hidden_layers": o.layers,
        "num_attention_heads": o.heads,
        "num_key_value_heads": o.kv_heads,
        "head_dim": o.head_dim,
        "max_position_embeddings": 4096,
        "attention_bias": False,
        "tie_word_embeddings": True,
        "vocab_size": o.vocab,
        "bos_token_id": 0,
        "eos_token_id": 1,
        "torch_dtype": {"f32": "float32", "f16": "float16", "bf16": "bfloat16"}[o.dtype],
    } | family.settings


def main():
    parser = argparse.ArgumentParser(description="Write a model directory with random weights.")
    parser.add_argument("directory", metavar="DIR", type=pathlib.Path)
    parser.add_argument("--family", choices=FAMILIES, default="llama")
    for name in FAMILIES["llama"].sizes:
        parser.add_argument(f"--{name.replace('_', '-')}", type=int)
    parser.add_argument("--dtype", choices=["f32", "f16", "bf16"], default="bf16")
    o = parser.parse_args()
    family = FAMILIES[o.family]
    for name, size in family.sizes.items():
        if getattr(o, name) is None:
            setattr(o, name, size)
        if getattr(o, name) < 1:
            parser.error("sizes start at 1")
    if o.heads % o.kv_heads or o.head_dim % 2:
        parser.error("--kv-heads divides --heads, --head-dim is even")
    o.directory.mkdir(parents=True)
    (o.directory / "config.json").write_text(json.dumps(config(o, family), indent=2) + "\n", encoding="utf-8")
    count = write_weights(o.directory / "model.safetensors", o, family)
    print(f"{o.directory}: {count:,} parameters in {o.dtype}")


if __name__ == "__main__":
    main()
