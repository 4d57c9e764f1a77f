"""A vocabulary in GGUF as the tokenizer.json that Hugging Face's package reads, for comparisons."""

import base64
import json
import struct

GPT2 = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
BYTES = GPT2 | {"use_regex": False}
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
          r"|\s+(?!\S)|\s+")
QWEN35 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")
CJK = "[一-龥\u0800-一가-\ud7ff]+"
CASED = ("A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕ"
         "Ａ-Ｚａ-ｚ𐐀-𐑏")  # the file has yet more such ranges


def split(pattern, behavior="Isolated"):
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": behavior, "invert": False}


def digits(individual):
    return {"type": "Digits", "individual_digits": individual}


def chain(*members, key="pretokenizers"):
    return {"type": "Sequence", key: list(members)}


NFC = {"type": "NFC"}
# what models' own files have, by the name that GGUF keeps of it: normalizer, pre-tokenizer
BYTE_LEVEL = {
    None: (None, GPT2),
    "gpt-2": (None, GPT2),
    "mpt": (NFC, GPT2),
    "starcoder": (None, chain(digits(True), GPT2)),
    "refact": (None, chain(digits(True), GPT2)),
    "command-r": (NFC, chain(digits(True), GPT2)),
    "llama-bpe": (None, chain(split(LLAMA3), BYTES)),
    "qwen2": (NFC, chain(split(LLAMA3.replace("{1,3}", "")), BYTES)),
    "qwen35": (None, chain(split(QWEN35), BYTES)),
    "deepseek-coder": (None, chain(split(r"[\r\n]"), split(r"\s?\p{L}+"), split(r"\s?\p{P}+"), split(CJK), digits(True),
                                   BYTES)),
    "deepseek-llm": (None, chain(split(r"[\r\n]"), split(rf"\s?[{CASED}]+"), split(r"\s?[!-/:-~！-／：-～‘-‟　-。]+"),
                                 split(r"\s+$"), split(CJK), digits(True), BYTES)),
    "falcon": (None, chain({"type": "Punctuation", "behavior": "Contiguous"}, GPT2, digits(False),
                           split("[0-9][0-9][0-9]"))),
}
CONTROL, USER_DEFINED = 3, 4


def replace(what, by):
    return {"type": "Replace", "pattern": {"String": what}, "content": by}


UNMARK = [replace("▁", " "), {"type": "ByteFallback"}, {"type": "Fuse"}]


def merges_by_score(tokens, scores):
    """Every way to put a token together from two others, the best token first."""
    ids = {token: i for i, token in enumerate(tokens)}
    found = []
    for i, token in enumerate(tokens):
        parts = [(token[:k], token[k:]) for k in range(1, len(token))]
        found += [(-scores[i], left, right) for left, right in parts if left in ids and right in ids]
    found.sort(key=lambda merge: merge[0])
    return [[left, right] for _, left, right in found]


def byte_level(get, tokens):
    if get("pre") not in BYTE_LEVEL:
        return None
    normalizer, before = BYTE_LEVEL[get("pre")]
    model = {"type": "BPE", "dropout": None, "unk_token": None, "fuse_unk": False, "byte_fallback": False,
             "ignore_merges": get("pre") == "llama-bpe", "merges": get("merges"),
             "vocab": {token: i for i, token in enumerate(tokens)}}
    return {"model": model, "normalizer": normalizer, "pre_tokenizer": before, "decoder": GPT2}


def sentence_piece(get, tokens):
    prefix = [] if get("add_space_prefix") is False else [{"type": "Prepend", "prepend": "▁"}]
    merges = get("merges")
    merges = [merge.split(" ") for merge in merges] if merges else merges_by_score(tokens, get("scores"))
    model = {"type": "BPE", "dropout": None, "unk_token": "<unk>", "fuse_unk": True, "byte_fallback": True,
             "merges": merges, "vocab": {token: i for i, token in enumerate(tokens)}}
    strip = [{"type": "Strip", "content": " ", "start": 1, "stop": 0}] if prefix else []
    return {"model": model, "normalizer": chain(*prefix, replace(" ", "▁"), key="normalizers"), "pre_tokenizer": None,
            "decoder": chain(*UNMARK, *strip, key="decoders")}


def unigram(get, tokens):
    charsmap = base64.b64encode(bytes(get("precompiled_charsmap"))).decode()
    blanks = {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}
    space = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
    model = {"type": "Unigram", "unk_id": get("unknown_token_id"), "byte_fallback": False,
             "vocab": [[token, float(score)] for token, score in zip(tokens, get("scores"))]}
    return {"model": model, "decoder": space, "pre_tokenizer": chain({"type": "WhitespaceSplit"}, space),
            "normalizer": chain({"type": "Precompiled", "precompiled_charsmap": charsmap}, blanks, key="normalizers")}


NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
TEXT, ARRAY = 8, 9


def settings(path):
    """{key: value} of a GGUF file, lists and all."""
    data, at = path.read_bytes(), 24

    def take(form):
        nonlocal at
        found = struct.unpack_from("<" + form, data, at)
        at += struct.calcsize("<" + form)
        return found

    def value(kind):
        if kind == TEXT:
            return take(f"{take('Q')[0]}s")[0].decode()
        if kind != ARRAY:
            return take(NUMBERS[kind])[0]
        kind, count = take("IQ")
        return [value(TEXT) for _ in range(count)] if kind == TEXT else list(take(f"{count}{NUMBERS[kind]}"))

    def setting():
        return value(TEXT), value(take("I")[0])

    return dict(setting() for _ in range(struct.unpack_from("<Q", data, 16)[0]))


def convert(path, folder):
    """Write folder/tokenizer.json; False where the vocabulary is of a kind that the package cannot have."""
    found = settings(path)

    def get(key):
        return found.get(f"tokenizer.ggml.{key}")

    tokens = get("tokens")
    kinds = {"gpt2": byte_level, "llama": sentence_piece, "gemma4": sentence_piece, "t5": unigram}
    if get("model") not in kinds:
        return False
    whole = kinds[get("model")](get, tokens)
    if not whole:
        return False
    added = [{"id": i, "content": tokens[i], "single_word": False, "lstrip": False, "rstrip": False,
              "normalized": False, "special": kind == CONTROL}
             for i, kind in enumerate(get("token_type")) if kind in (CONTROL, USER_DEFINED)]
    whole |= {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "post_processor": None}
    (folder / "tokenizer.json").write_text(json.dumps(whole, ensure_ascii=False), encoding="utf-8")
    return True


def field(number, content):
    """Of a protocol buffer: a number, 32 bits of a float, or bytes with their size."""
    def varint(value):
        return bytes([value]) if value < 128 else bytes([value & 127 | 128]) + varint(value >> 7)

    if isinstance(content, float):
        return varint(number << 3 | 5) + struct.pack("<f", content)
    if isinstance(content, bytes):
        return varint(number << 3 | 2) + varint(len(content)) + content
    return varint(number << 3) + varint(content)


def write_scored(path, folder):
    """Write folder/tokenizer.model; False where the vocabulary is not SentencePiece's BPE."""
    found = settings(path)
    if found["tokenizer.ggml.model"] != "llama":
        return False
    tokens, scores, kinds = (found["tokenizer.ggml." + key] for key in ("tokens", "scores", "token_type"))
    unknown = kinds.index(2)  # SentencePiece has one: the rest was added for sizes' sake
    pieces = [field(1, field(1, token.encode()) + field(2, float(score)) +
                    field(3, CONTROL if kind == 2 and i != unknown else kind))
              for i, (token, score, kind) in enumerate(zip(tokens, scores, kinds))]
    trainer = field(3, 2) + field(35, int(6 in kinds)) + field(40, unknown) + field(41, -1 & 0xffffffffffffffff)
    normalizer = field(3, int(found.get("tokenizer.ggml.add_space_prefix", True))) + field(4, 0)
    (folder / "tokenizer.model").write_bytes(b"".join(pieces) + field(2, trainer) + field(3, normalizer))
    return True


def expected(path):
    """The texts and ids that lie beside a vocabulary: [(text, ids)], none where there are no such files."""
    texts, ids = path.with_name(path.name + ".inp"), path.with_name(path.name + ".out")
    if not texts.exists():
        return []
    parts = texts.read_bytes().decode().split("\n__ggml_vocab_test__\n")[:-1]
    lines = ids.read_text().split("\n")[: len(parts)]
    return list(zip(parts, [[int(number) for number in line.split()] for line in lines]))
