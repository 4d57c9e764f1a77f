"""safetensors files in a few lines, to make model directories and adapters as other programs leave them."""

import json
import struct


def read(path):
    """{name: (dtype, shape, bytes)}"""
    data = path.read_bytes()
    end = 8 + struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:end])
    header.pop("__metadata__", None)
    places = {name: slice(*(end + at for at in entry["data_offsets"])) for name, entry in header.items()}
    return {name: (entry["dtype"], entry["shape"], data[places[name]]) for name, entry in header.items()}


def write(path, tensors):
    header, at = {"__metadata__": {"format": "pt"}}, 0
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(data)]}
        at += len(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(data for _, _, data in tensors.values()))


def write_shards(directory, shards, listed=()):
    """model-00001-of-0000N.safetensors and so on with an index; `listed` names tensors that only the index has."""
    names = [f"model-{i + 1:05}-of-{len(shards):05}.safetensors" for i in range(len(shards))]
    for name, tensors in zip(names, shards):
        write(directory / name, tensors)
    places = {tensor: name for name, tensors in zip(names, shards) for tensor in tensors}
    places |= {tensor: names[0] for tensor in listed}
    (directory / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))


def change_json(path, **changes):
    """Set keys of a JSON file; None removes one."""
    value = json.loads(path.read_text(encoding="utf-8")) | changes
    path.write_text(json.dumps({k: v for k, v in value.items() if v is not None}), encoding="utf-8")


def half(value):
    return struct.pack("<e", value)
