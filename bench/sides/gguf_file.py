"""Write a GGUF file of a Hugging Face llama directory for llama.cpp: matrices in f32 or f16, no tokenizer.

    bench/sides/gguf_file.py MODEL OUT --dtype f32|f16
"""

import argparse
import json
import pathlib

import gguf
import numpy as np

# Hugging Face name of a layer's tensor -> (GGUF name, key of the heads whose rows it interleaves)
LAYER = {
    "input_layernorm": ("attn_norm", None),
    "self_attn.q_proj": ("attn_q", "num_attention_heads"),
    "self_attn.k_proj": ("attn_k", "num_key_value_heads"),
    "self_attn.v_proj": ("attn_v", None),
    "self_attn.o_proj": ("attn_output", None),
    "post_attention_layernorm": ("ffn_norm", None),
    "mlp.gate_proj": ("ffn_gate", None),
    "mlp.up_proj": ("ffn_up", None),
    "mlp.down_proj": ("ffn_down", None),
}
OTHERS = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}


def tensors(folder):
    """(name, float32 array) of every tensor of the directory's safetensors files."""
    for path in sorted(pathlib.Path(folder).glob("*.safetensors")):
        with open(path, "rb") as stream:
            header = json.loads(stream.read(int.from_bytes(stream.read(8), "little")))
            begin = stream.tell()
        header.pop("__metadata__", None)
        for name, entry in header.items():
            kind = {"F32": "<f4", "F16": "<f2", "BF16": "<u2"}[entry["dtype"]]
            first, last = entry["data_offsets"]
            count = (last - first) // np.dtype(kind).itemsize
            raw = np.fromfile(path, kind, count, offset=begin + first).reshape(entry["shape"])
            if entry["dtype"] == "BF16":
                yield name, (raw.astype("<u4") << 16).view("<f4")
            else:
                yield name, raw.astype("<f4")


def gguf_name(name):
    """The GGUF name, and the key of the heads whose rows it interleaves."""
    stem = name.removesuffix(".weight")
    if stem in OTHERS:
        return f"{OTHERS[stem]}.weight", None
    index, part = stem.removeprefix("model.layers.").split(".", 1)
    target, heads = LAYER[part]
    return f"blk.{index}.{target}.weight", heads


def interleave(w, heads):
    """What RoPE rotates together: rows of the two halves in Hugging Face's files, neighbouring rows in GGUF's."""
    rows, columns = w.shape
    return w.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)


def write_metadata(writer, config):
    heads = config["num_attention_heads"]
    head = config.get("head_dim") or config["hidden_size"] // heads
    rope = config.get("rope_theta") or config.get("rope_parameters", {}).get("rope_theta", 10000.0)
    writer.add_vocab_size(config["vocab_size"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_key_length(head)
    writer.add_value_length(head)
    writer.add_rope_dimension_count(head)
    writer.add_rope_freq_base(float(rope))
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_tokenizer_model("no_vocab")


def write(folder, out, dtype):
    config = json.loads(pathlib.Path(folder, "config.json").read_text(encoding="utf-8"))
    writer = gguf.GGUFWriter(str(out), "llama")
    write_metadata(writer, config)
    for name, values in tensors(folder):
        target, heads = gguf_name(name)
        if heads:
            values = interleave(values, config[heads])
        half = dtype == "f16" and values.ndim == 2
        writer.add_tensor(target, np.ascontiguousarray(values.astype(np.float16 if half else np.float32)))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write a GGUF file of a Hugging Face llama directory.")
    parser.add_argument("model", metavar="MODEL")
    parser.add_argument("out", metavar="OUT")
    parser.add_argument("--dtype", choices=["f32", "f16"], required=True)
    arguments = parser.parse_args()
    write(arguments.model, arguments.out, arguments.dtype)
