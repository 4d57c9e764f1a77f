"""Write the inputs that the fuzz targets start from: seeds.py OUTPUT. One directory a target.

Small files of every kind that the readers know, made here or taken from tests/fixtures; and those that once took memory
or time out of proportion.
"""

import gzip
import json
import math
import pathlib
import shutil
import struct
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from support import gguf

FIXTURES = pathlib.Path(__file__).resolve().parents[1] / "fixtures"
TEXT = "Hello  world's 12,345 caf\u00e9s\n\n\tna\u00efve \u65e5\u672c\u8a9e \U0001f600 <s> a</s>  end "


def packed(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def joined(*parts):
    return b"\n8<\n".join(p.encode() if isinstance(p, str) else p for p in parts)


def safetensors(tensors, metadata=None, raw=False):
    """{"name": (dtype, shape, bytes)} as fuzz_write_safetensors() takes it."""
    header, data = {"__metadata__": metadata} if metadata else {}, b""
    for name, (dtype, shape, content) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    text = packed(header).encode()
    return b"R" + struct.pack("<Q", len(text)) + text + data if raw else b"B" + text + b"\n::\n" + data


def floats(count):
    return struct.pack(f"<{count}f", *(i / 7 - 1 for i in range(count)))


# ---- tokenizers ----


def tokenizer(**changes):
    whole = {"version": "1.0", "added_tokens": [], "normalizer": None, "pre_tokenizer": None, "post_processor": None,
             "decoder": None, "model": {"type": "BPE", "vocab": {"a": 0, "aa": 1}, "merges": [["a", "a"]]}}
    return whole | changes


def added(number, content, **flags):
    usual = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": False}
    return {"id": number, "content": content} | usual | flags


def sequence(kind, members):
    return {"type": "Sequence", kind: members}


def replace(what, by):
    return {"type": "Replace", "pattern": {"String": what}, "content": by}


def template(*pieces):
    tokens = {p: {"id": p, "ids": [i], "tokens": [p]} for i, p in enumerate(sorted(set(pieces) - {"A"}))}
    single = [{"Sequence": {"id": "A", "type_id": 0}} if p == "A" else {"SpecialToken": {"id": p, "type_id": 0}}
              for p in pieces]
    return {"type": "TemplateProcessing", "single": single, "pair": [], "special_tokens": tokens}


BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
DOUBLE = replace("a", "aa")
GROW = replace("a", "a" * 200)

TOKENIZERS = {
    "plain": (tokenizer(), "aaa"),
    "forms": (tokenizer(normalizer=sequence("normalizers", [{"type": f} for f in ("NFD", "NFKC", "Lowercase")])), TEXT),
    "strip": (tokenizer(normalizer=sequence("normalizers", [
        {"type": "Strip", "strip_left": True, "strip_right": True}, {"type": "Prepend", "prepend": "\u2581"},
        replace(" ", "\u2581")])), "  a a "),
    "bytes": (tokenizer(pre_tokenizer=BYTE_LEVEL, decoder=BYTE_LEVEL), "\u00e9a a"),
    "split": (tokenizer(pre_tokenizer=sequence("pretokenizers", [
        {"type": "Split", "pattern": {"Regex": r"(?i:'s)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|\s+(?!\S)|\s+"},
         "behavior": "Isolated", "invert": False}, {"type": "Digits", "individual_digits": True}])), TEXT),
    "words": (tokenizer(pre_tokenizer=sequence("pretokenizers", [
        {"type": "WhitespaceSplit"}, {"type": "Punctuation", "behavior": "Contiguous"}])), TEXT),
    "template": (tokenizer(post_processor=template("<s>", "A", "</s>"),
                           added_tokens=[added(2, "<s>", special=True), added(3, "</s>", special=True)]), "a<s>a"),
    "added": (tokenizer(added_tokens=[
        added(2, "ab", single_word=True), added(3, " c", lstrip=True), added(4, "d ", rstrip=True),
        added(5, "A", normalized=True)], normalizer={"type": "Lowercase"}), "ab abab  c d  A a"),
    "decoders": (tokenizer(decoder=sequence("decoders", [
        replace("\u2581", " "), {"type": "ByteFallback"}, {"type": "Fuse"},
        {"type": "Strip", "content": " ", "start": 1, "stop": 0}])), "a a"),
    "prefix": (tokenizer(pre_tokenizer=sequence("pretokenizers", [
        {"type": "Metaspace", "replacement": "a", "prepend_scheme": "always", "split": True},
        BYTE_LEVEL | {"add_prefix_space": True}])), "b aa"),
    "unigram": (tokenizer(model={"type": "Unigram", "unk_id": 0, "byte_fallback": True, "vocab": [
        ["<unk>", 0], ["a", -1.5], ["aa", -3.0], ["\u00e9", -2.25], ["<0xC3>", -9], ["<0xA9>", -9], ["\u2581a", -2]]},
        normalizer=sequence("normalizers", [{"type": "Nmt"}, {"type": "StripAccents"}])), "aaaaa \u00e9\u0301 a"),
    "bad regex": (tokenizer(pre_tokenizer={"type": "Split", "pattern": {"Regex": "(a|b"}, "behavior": "Removed",
                                           "invert": True}), "ab"),
}
CONFIG = packed({"bos_token": "<s>", "eos_token": {"content": "</s>"}, "add_bos_token": True, "add_eos_token": False,
                 "added_tokens_decoder": {"2": {"content": "<s>", "special": True}}})

# What grows by repetition.
GROWING_TOKENIZERS = {
    "normalizers that grow, at load": (tokenizer(
        normalizer=sequence("normalizers", [GROW] * 5), added_tokens=[added(2, "a<", normalized=True)]), "b"),
    "normalizers that grow": (tokenizer(normalizer=sequence("normalizers", [GROW] * 5)), "a"),
    "byte levels that grow": (tokenizer(pre_tokenizer=sequence("pretokenizers", [BYTE_LEVEL] * 30)), "\u00e9"),
    "decoders that grow": (tokenizer(decoder=sequence("decoders", [GROW] * 5)), "a"),
    "normalizers that double, at load": (tokenizer(
        normalizer=sequence("normalizers", [DOUBLE] * 40), added_tokens=[added(2, "a<", normalized=True)]), "b"),
    "normalizers that double": (tokenizer(normalizer=sequence("normalizers", [DOUBLE] * 40)), "a"),
    "byte levels that double": (tokenizer(pre_tokenizer=sequence("pretokenizers", [BYTE_LEVEL] * 40)), "\u00e9"),
    "decoders that double": (tokenizer(decoder=sequence("decoders", [DOUBLE] * 40)), "a"),
    "blanks before a blank": (tokenizer(added_tokens=[added(2, " ", lstrip=True)]), " " * 200000),
    "blanks after a blank": (tokenizer(added_tokens=[added(2, " ", rstrip=True)]), " " * 200000),
    "a long added token": (tokenizer(added_tokens=[added(2, "a" * 20000 + "c")]), "a" * 400000),
    "many added tokens": (tokenizer(added_tokens=[added(2 + i, f"<t{i}>", special=True) for i in range(100000)]), "a"),
    "a template that multiplies": (tokenizer(post_processor=template(*["x"] * 20000, "A") | {
        "special_tokens": {"x": {"id": "x", "ids": [0] * 20000, "tokens": ["a"]}}}), "a"),
    "a long way": (tokenizer(model={"type": "Unigram", "unk_id": 0, "vocab": [
        ["a" * size, -size] for size in range(1, 2049)]}), "a" * 20000),
    "a long token": (tokenizer(model={"type": "Unigram", "unk_id": 0, "vocab": [["a" * 3000, -1]]}), "a"),
    "brackets": ({"x": [[]] * 300000}, "a"),
}


def tokenizers():
    for directory in sorted((FIXTURES / "tokenizers").iterdir()):
        if directory.is_dir():
            parts = [(directory / "tokenizer.json").read_bytes(), TEXT]
            config = directory / "tokenizer_config.json"
            yield directory.name, joined(*parts, *([config.read_bytes()] if config.exists() else []))
    for name, (whole, text) in TOKENIZERS.items():
        yield name, joined(packed(whole), text, CONFIG if "<s>" in packed(whole) else "{}")
    for name, (whole, text) in GROWING_TOKENIZERS.items():
        yield name, joined(packed(whole), text)


def field(number, content):
    """Of a protocol buffer: a number, or bytes with their size (below 16384)."""
    size = len(content) if isinstance(content, bytes) else content
    varint = bytes([size]) if size < 128 else bytes([size & 127 | 128, size >> 7])
    return bytes([number << 3 | 2]) + varint + content if isinstance(content, bytes) else bytes([number << 3]) + varint


def piece(text, kind=1):
    return field(1, field(1, text) + field(3, kind))


def sentence_pieces():
    for directory in sorted((FIXTURES / "spm").iterdir()):
        yield directory.name, joined((directory / "tokenizer.model").read_bytes(), TEXT)
    unknown, bpe = piece(b"<unk>", 2), field(2, field(3, 2))
    yield "long tokens", joined(unknown + bpe + b"".join(piece(b"a" * n) for n in range(1, 513)), "a" * 20000)
    yield "too long a token", joined(unknown + bpe + piece(b"a") + piece(b"a" * 600), "a")
    yield "own tokens", joined(unknown + bpe + b"".join(piece(b"(" * n, 4) for n in range(1, 100)), "(" * 5000)
    yield "blanks", joined(unknown + piece("\u2581".encode()), " a" * 20000 + "\u2581" * 100000 + "a" + " " * 100000)
    ends = {"bos_token": "a", "add_eos_token": True, "eos_token": "<unk>"}
    yield "ends", joined(unknown + piece(b"a"), "a", packed(ends))


# ---- models and adapters ----


def configs():
    usual = json.loads((FIXTURES / "tiny-llama/config.json").read_text())
    yield "tiny", joined(packed(usual), (FIXTURES / "tiny-llama/generation_config.json").read_bytes())
    scaling = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
               "original_max_position_embeddings": 32, "rope_theta": 500000.0}
    old = {k: v for k, v in usual.items() if k != "rope_parameters"}
    changes = {
        "llama3": usual | {"rope_parameters": scaling},
        "linear": old | {"rope_scaling": {"type": "linear", "factor": 2.0}, "rope_theta": 1e4},
        "eos list": usual | {"eos_token_id": [2, 3, 96]},
        "qwen2": usual | {"model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"], "sliding_window": None},
        "large": usual | {"hidden_size": 65536, "intermediate_size": 1 << 30, "vocab_size": 1 << 24},
        "no heads": usual | {"num_key_value_heads": 0},
    }
    for name, config in changes.items():
        yield name, joined(packed(config))


def safetensors_files():
    two = {"a": ("F32", [2, 3], floats(6)), "b": ("BF16", [4], b"\x80\x3f" * 4)}
    yield "two", safetensors(two, {"format": "pt"})
    yield "raw", safetensors(two, raw=True)
    yield "types", safetensors({d: (d, [n], bytes(n * size)) for d, n, size in
                                [("F16", 3, 2), ("I64", 1, 8), ("U8", 5, 1), ("BOOL", 2, 1), ("F8_E4M3", 4, 1)]})
    yield "scalar and empty", safetensors({"s": ("F32", [], floats(1)), "e": ("F32", [0, 5], b"")})
    yield "huge shape", b'B{"a":{"dtype":"F32","shape":[0,4611686018427387904,16],"data_offsets":[0,0]}}'
    yield "overlap", b'B{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},' \
                     b'"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}\n::\nxyz'
    yield "brackets", b'B{"a":' + b"[" * 3000


def shards():
    index = {"metadata": {"total_size": 32}, "weight_map": {"x": "a", "y": "b", "z": "b"}}
    parts = [safetensors({"x": ("F32", [2], floats(2))}),
             safetensors({"y": ("F32", [4], floats(4)), "z": ("F16", [2, 2], bytes(8))})]
    yield "two", joined(packed(index), *parts)
    yield "one is missing", joined(packed(index), parts[0])
    yield "a path", joined(packed({"weight_map": {"x": "../a"}}), parts[0])
    yield "in both", joined(packed({"weight_map": {"x": "a", "y": "b"}}), parts[0], parts[0])


MODULES = {"model.layers.0.self_attn.q_proj": (4, 4), "model.layers.0.self_attn.v_proj": (2, 4),
           "model.layers.0.mlp.down_proj": (4, 6), "model.layers.1.self_attn.q_proj": (4, 4),
           "model.layers.1.self_attn.v_proj": (2, 4), "model.layers.1.mlp.down_proj": (4, 6)}


def adapter(rank, ending, **changes):
    config = {"peft_type": "LORA", "r": rank, "lora_alpha": 16, "target_modules": ["q_proj"], "bias": "none"}
    tensors = {}
    for name, (n, k) in MODULES.items():
        if name.endswith(ending):
            tensors[f"base_model.model.{name}.lora_A.weight"] = ("F32", [rank, k], floats(rank * k))
            tensors[f"base_model.model.{name}.lora_B.weight"] = ("F32", [n, rank], floats(rank * n))
    return joined(packed(config | changes), safetensors(tensors))


def bottleneck(columns, places, **changes):
    """Of a width of 6 and two layers."""
    config = {"mh_adapter": "attention_adapters" in places, "output_adapter": "output_adapters" in places,
              "non_linearity": "swish", "reduction_factor": 6 / (columns + 0.5), "original_ln_before": False,
              "residual_before_ln": True, "scaling": 1.0, "leave_out": []}
    tensors = {}
    for layer in range(2):
        for place in places:
            name = f"model.layers.{layer}.{place}.adapters.a.adapter_"
            for end, shape in (("down.0.weight", [columns, 6]), ("down.0.bias", [columns]), ("up.weight", [6, columns]),
                               ("up.bias", [6])):
                tensors[name + end] = ("F32", shape, floats(math.prod(shape)))
    whole = {"config": config | changes, "hidden_size": 6, "name": "a", "model_name": "m"}
    return joined(packed(whole), safetensors(tensors))


def bottlenecks():
    both = ("attention_adapters", "output_adapters")
    yield "two", bottleneck(2, both)
    yield "one", bottleneck(3, both[1:], original_ln_before=True, non_linearity="relu")
    yield "for each layer", bottleneck(2, both, reduction_factor={"1": 3, "default": 2.5})
    yield "left out", bottleneck(2, both, leave_out=[1])
    yield "all left out", bottleneck(2, both, leave_out=[0, 1])
    yield "many columns", bottleneck(2, both, reduction_factor=1e-4)
    yield "no columns", bottleneck(2, both, reduction_factor=1e300)
    yield "parallel", bottleneck(2, both, is_parallel=True)


def adapters():
    yield "q", adapter(2, "q_proj")
    yield "list", adapter(1, ("q_proj", "v_proj"), target_modules=["v_proj", "q_proj"], lora_dropout=0.1)
    yield "expression", adapter(2, "down_proj", target_modules=r".*\.mlp\.down_proj", use_rslora=True)
    yield "patterns", adapter(2, "q_proj", rank_pattern={r"layers\.[01]\.self_attn\.q_proj": 2},
                              alpha_pattern={"q_proj": 4})
    yield "dora", adapter(2, "q_proj", use_dora=True)
    yield "all", adapter(3, "_proj", target_modules="all-linear")
    yield "many patterns", adapter(2, "q_proj", rank_pattern={f"zz{i}": 2 for i in range(100000)})
    yield "many groups", adapter(2, "q_proj", target_modules="()" * 7000 + "(?:.|.)*(?:.|.)*[!?]")
    yield "nested repeats", adapter(2, "q_proj", target_modules="(?:a|a|a){14}[cd]")


def ggufs():
    kind = {"general.architecture": "llama", "general.type": "adapter", "adapter.type": "lora",
            "adapter.lora.alpha": 4.0}
    pair = {"blk.0.attn_q.weight.lora_a": ("F32", [2, 4], floats(8)),
            "blk.0.attn_q.weight.lora_b": ("F32", [8, 2], floats(16))}
    yield "adapter", gguf.packed(kind, pair)
    yield "head", gguf.packed(kind | {"general.alignment": 32}, {n.replace("blk.0.attn_q", "output"): t
                                                                  for n, t in pair.items()})
    yield "half", gguf.packed(kind, {n: ("BF16", shape, data[:len(data) // 2]) for n, (_, shape, data) in pair.items()})
    yield "types", gguf.packed({"general.type": "model"}, {
        "a": (2, [3, 32], bytes(54)), "b": (12, [256], bytes(144)), "c": (8, [1, 2, 3, 32], bytes(6 * 34)),
        "d": (24, [5], bytes(5))})
    words = gguf.string("tokens") + struct.pack("<IIQ", 9, 8, 3) + b"".join(gguf.string(w) for w in ("a", "", "b c"))
    numbers = gguf.string("scores") + struct.pack("<IIQ3f", 9, 6, 3, 0, 1, 2) + gguf.string("yes") + b"\7\0\0\0\1"
    yield "arrays", struct.pack("<4sIQQ", b"GGUF", 3, 0, 3) + words + numbers
    nested = gguf.string("x") + struct.pack("<IIQIQ", 9, 9, 1, 4, 0)
    yield "nested", struct.pack("<4sIQQ", b"GGUF", 3, 0, 1) + nested
    for name, counts in (("many tensors", (1 << 60, 0)), ("many settings", (0, 1 << 60))):
        yield name, struct.pack("<4sIQQ", b"GGUF", 3, *counts) + bytes(64)
    yield "a long text", struct.pack("<4sIQQQ", b"GGUF", 3, 0, 1, (1 << 64) - 1) + bytes(64)
    yield "a long array", struct.pack("<4sIQQ", b"GGUF", 3, 0, 1) + gguf.string("x") + struct.pack(
        "<IIQ", 9, 8, 1 << 62) + bytes(64)


# ---- data ----

PAIRS = [{"context": "a", "target": "b"}, {"prompt": "ab", "completion": " b"},
         {"instruction": "a", "input": "b", "output": "ab"}, {"question": "b", "answer": "a"}, {"text": "abab ab"}]


def jsonl():
    for pair in PAIRS:
        yield next(iter(pair)), b"\x03" + (packed(pair) + "\n").encode() * 3
    yield "packed", b"\x8f" + b"\n".join(packed(PAIRS[0] | {"id": i, "x": [1e30]}).encode() for i in range(9))
    yield "chat", b" " + packed({"messages": [{"role": "user", "content": "a"}]}).encode()
    yield "one object", b"\x10[" + packed(PAIRS[0]).encode() + b"]"
    yield "alpaca", b"\x1f" + packed(PAIRS[2]).encode()
    yield "own keys", b" " + packed({"a": "ab", "b": " a", "text": "b"}).encode()
    yield "one key", b"@" + packed({"a": "ab", "b": " a"}).encode()
    yield "two forms", b"\x03" + packed(PAIRS[0]).encode() + b"\n" + packed(PAIRS[1]).encode()
    messages = [{"role": "user", "content": "a"}]
    yield "lists", b"\x03" + packed({"prompt": messages, "completion": messages}).encode()
    yield "gzip", b"\x03" + gzip.compress(packed(PAIRS[0]).encode() + b"\n", mtime=0)
    yield "gzip twice", b"\x03" + gzip.compress(gzip.compress(b"{}", mtime=0), mtime=0)
    yield "cut off", b"\x03" + gzip.compress(packed(PAIRS[0]).encode() * 9, mtime=0)[:-9]


def csv():
    yield "columns", b" a,b\r\na,ab\r\nb,\"a\"\"b\"\r\n"
    yield "named", b"\x93context,target\na,b\n\"a\nb\",ab\n"
    yield "one column", b"Oc,b\n1,ab\n2,a\n"
    yield "open quote", b" a,b\n\"a,b\n"
    yield "gzip", b" " + gzip.compress(b"a,b\na,ab\n", mtime=0)


def txt():
    yield "letters", b"\x04" + b"ab a b" * 40
    yield "lines", b"\x8f" + b"a\r\nb\n\n" * 9
    yield "bad", b"\x02ab\xff\xc3"
    yield "gzip", b"\x04" + gzip.compress(b"ab a b" * 40, mtime=0)


# ---- tuning ----


def entry(kernel, parameters, **key):
    sizes = {"dtype": "f32", "M": 256, "N": 576, "K": 1536, "R": 16} | key
    return {"format": 1, "kernel": kernel, "key": sizes, "parameters": parameters, "date": "2026-01-01T00:00:00Z",
            "measured": {"median_s": 0.0031, "default_s": 0.0042, "spread": 0.02, "count": 6}}


ENTRIES = [entry("matmul_panel", {"VW": 8, "MOST_ROWS": 6, "KC": 640, "MB": 120, "PB": 2, "WIDEN": 1}),
           entry("matmul_panel_dx", {"VW": 8, "MOST_ROWS": 6, "NB": 384, "MB": 240, "PB": 2}, N=1536, K=576),
           entry("weight_layout", {"LAYOUT": 0}, M=0, R=0), entry("no_such_kernel", {})]


def tuning():
    for i, one in enumerate(ENTRIES):
        yield f"entry {i}", packed(one).encode()
    yield "table", packed({"device": "fuzz", "vector_width": 8, "entries": ENTRIES}).encode()


def exchange():
    results = [{"configuration": e["parameters"], "times": {"runtimes": [3.1]}, "invalidity": "correct",
                "clora": e | {"is_entry": True}} for e in ENTRIES]
    for i, one in enumerate(results):
        yield f"entry {i}", packed({"schema_version": "1.0.0", "results": [one]}).encode()
    yield "all", packed({"schema_version": "1.0.0", "results": results}).encode()


# ---- checkpoints ----


def checkpoints():
    """place, run, note, file: of a run of 3 steps, 3 batches an epoch, after its first."""
    yield "as it was", joined("", "", "")
    places = {"the end": {"step": 3, "batches": 3, "index": 3}, "the beginning": {"step": 0, "batches": 0, "index": 0},
              "another epoch": {"epoch": 7, "index": 1}, "the last epoch": {"epoch": (1 << 32) - 1},
              "no such epoch": {"epoch": 1 << 32}, "no such batch": {"index": 4},
              "a batch far away": {"index": 1 << 62}, "many batches": {"batches": (1 << 63) - 1},
              "most batches": {"batches": 1 << 61}, "no batches": {"batches": 0},
              "all skipped": {"skipped": 1}, "more skipped": {"skipped": 2}, "more steps": {"steps": 4},
              "many steps": {"steps": 1 << 40}, "below": {"step": -1}, "a text": {"step": "1"}, "a half": {"step": 0.5}}
    for name, place in places.items():
        yield name, joined(packed(place), "", "")
    for name, terms in {"rate": {"lr": 0.5}, "data": {"data": "0" * 32}, "base": {"base": None}, "more": {"x": [1]},
                        "nested": {"lr": {"a": [[]] * 9}}}.items():
        yield name, joined("", packed(terms), "")
    yield "no object", joined("[1]", "[" * 5000, "")
    plan = "products panel\nmatmul_panel f32 M=8: VW=8\n"
    yield "a plan", joined("", "", packed({"plan": plan}))
    yield "lines", joined("", "", plan + ",:\n\n:" * 9)
    head = {"clora_checkpoint": "1", "place": packed({"step": 1, "steps": 3, "batches": 1, "epoch": 0, "index": 1}),
            "run": "{}", "note": "x"}
    yield "a file", joined("", "", "", safetensors({"parameters.0": ("F32", [2], floats(2))}, head))
    yield "another version", joined("", "", "", safetensors({}, head | {"clora_checkpoint": "2"}))
    yield "no head", joined("", "", "", safetensors({}, {"format": "pt"}))


TEMPLATES = {
    "chatml": "{% for m in messages %}{{ '<|' + m.role + '|>' + m['content'] | trim }}"
              "{% if not loop.last %}\n{% endif %}"
              "{% endfor %}{% if add_generation_prompt %}<|a|>{% endif %}",
    "tools": "{%- set ns = namespace(n=0, t='') -%}"
             "{% macro f(x, y=1) %}[{{ x | tojson(indent=y) }}]{% endmacro %}{%- for k, v in tools.items() %}"
             "{% set ns.n = ns.n + 1 %}{{ f(v) }}{% else %}-{% endfor %}",
    "text": "{{ s[::-1] ~ s.split(',', 1)[-1] }}{{ s.replace('a', 'b', 1) | upper | replace('B', '') | indent(2) }}"
            "{% generation %}{{ s[1:] }}{% endgeneration %}{{ 'x{}'.format(s) if s is string else s }}",
    "lists": "{{ l | sort | join('-') }}{{ l | map('string') | list }}{{ l | select('>', 1) | list | length }}"
             "{{ d | dictsort }}{{ l[1:] == l[:-1] }}{{ range(3) | list }}{% raw %}{{ {% endraw %}{# c #}",
    "blanks": "a\n  {%- if true -%}\n b {%+ endif +%}\n{% set x %}y{{ 1 }}{% endset %}{{- x -}}  \n",
    "long": "{% for a in range(99999) %}{% for b in range(99999) %}{{ a * b }}{% endfor %}{% endfor %}",
    "deep": "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "large": "{% set n = namespace(t='x') %}{% for a in range(99) %}{% set n.t = n.t + n.t %}{% endfor %}",
    "shared": "{% set n = namespace(a=[]) %}{% for i in range(60) %}{% set n.a = [n.a, n.a] %}{% endfor %}{{ n.a }}",
    "nested": "{{ " + "(" * 500,
    "nul": "{% macro %\0f() %}{% endmacro %}{{ \0 }}",
}
TEMPLATE_VALUES = {"messages": [{"role": "u", "content": " a\u00e9 "}, {"role": "a", "content": ""}],
                   "s": "ab,c\u65e5",
                   "l": [3, 1.5, 2], "d": {"b": None, "A": True}, "tools": {"x": {"y": [1]}}, "bos_token": "<s>"}


def templates():
    for name, source in TEMPLATES.items():
        yield name, joined(source, packed(TEMPLATE_VALUES))


TARGETS = {"template": templates,
           "tokenizer": tokenizers, "spm": sentence_pieces, "config": configs, "safetensors": safetensors_files,
           "shards": shards, "adapter": adapters, "checkpoint": checkpoints, "gguf": ggufs, "bottleneck": bottlenecks,
           "jsonl": jsonl, "csv": csv, "txt": txt, "tuning": tuning, "exchange": exchange}


def main():
    output = pathlib.Path(sys.argv[1])
    shutil.rmtree(output, ignore_errors=True)
    for target, seeds in TARGETS.items():
        (output / target).mkdir(parents=True)
        for name, content in seeds():
            (output / target / name.replace(" ", "-")).write_bytes(content)


main()
