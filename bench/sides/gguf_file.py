"""Write a GGUF file of a Hugging Face directory for llama.cpp: matrices in f32 or f16, no tokenizer.

    bench/sides/gguf_file.py MODEL OUT --dtype f32|f16

Takes what random_model.py writes: llama, qwen2, qwen3 and gemma3_text.
"""

import argparse
import json
import pathlib

import gguf
import numpy as np

# Hugging Face name of a layer's tensor -> GGUF name
LAYER = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
# what differs where norms stand after the sublayers too
GEMMA = {
    "post_attention_layernorm": "post_attention_norm",
    "pre_feedforward_layernorm": "ffn_norm",
    "post_feedforward_layernorm": "post_ffw_norm",
}
OTHERS = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
ARCHITECTURES = {"llama": "llama", "qwen2": "qwen2", "qwen3": "qwen3", "gemma3_text": "gemma3"}
# whose rows llama.cpp wants interleaved in llama's files -> the key of their heads
INTERLEAVED = {"attn_q": "num_attention_heads", "attn_k": "num_key_value_heads"}


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


def gguf_name(name, family):
    """The GGUF name, and its part of a layer where it is in one."""
    stem, ending = name.rsplit(".", 1)
    if stem in OTHERS:
        return f"{OTHERS[stem]}.{ending}", None
    index, part = stem.removeprefix("model.layers.").split(".", 1)
    names = LAYER | GEMMA if family == "gemma3_text" else LAYER
    return f"blk.{index}.{names[part]}.{ending}", names[part]


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
    if config["model_type"] == "gemma3_text":
        writer.add_sliding_window(config["sliding_window"])
    writer.add_tokenizer_model("no_vocab")


def converted(values, part, config):
    """As llama.cpp reads them: llama's q and k interleaved, Gemma's norms as what multiplies."""
    if config["model_type"] == "llama" and part in INTERLEAVED:
        return interleave(values, config[INTERLEAVED[part]])
    if config["model_type"] == "gemma3_text" and values.ndim == 1:
        return values + 1
    return values


def write(folder, out, dtype):
    config = json.loads(pathlib.Path(folder, "config.json").read_text(encoding="utf-8"))
    writer = gguf.GGUFWriter(str(out), ARCHITECTURES[config["model_type"]])
    write_metadata(writer, config)
    for name, values in tensors(folder):
        target, part = gguf_name(name, config["model_type"])
        half = dtype == "f16" and values.ndim == 2
        values = converted(values, part, config).astype(np.float16 if half else np.float32)
        writer.add_tensor(target, np.ascontiguousarray(values))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write a GGUF file of a Hugging Face directory.")
    parser.add_argument("model", metavar="MODEL")
    parser.add_argument("out", metavar="OUT")
    parser.add_argument("--dtype", choices=["f32", "f16"], required=True)
    arguments = parser.parse_args()
    write(arguments.model, arguments.out, arguments.dtype)
