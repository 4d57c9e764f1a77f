"""GGUF files in a few lines: texts, floats and unsigned integers as settings, tensors of any type number."""

import struct

U32, F32, TEXT = 4, 6, 8
TYPES = {0: "F32", 1: "F16", 30: "BF16"}
ALIGNMENT = 32


def padded(size):
    return -(-size // ALIGNMENT) * ALIGNMENT


def read(path):
    """({key: value}, {name: (dtype, shape, bytes)}), shapes as safetensors have them."""
    data, at = path.read_bytes(), 24
    magic, version, tensors, settings = struct.unpack("<4sIQQ", data[:24])
    assert (magic, version) == (b"GGUF", 3)

    def take(form):
        nonlocal at
        found = struct.unpack_from("<" + form, data, at)
        at += struct.calcsize("<" + form)
        return found[0] if len(found) == 1 else found

    def text():
        return take(f"{take('Q')}s").decode()

    values, places = {}, []
    for _ in range(settings):
        key = text()
        values[key] = {U32: lambda: take("I"), F32: lambda: take("f"), TEXT: text}[take("I")]()
    for _ in range(tensors):
        name = text()
        shape = [take("Q") for _ in range(take("I"))][::-1]
        places.append((name, shape, TYPES[take("I")], take("Q")))
    begin, end, found = padded(at), 0, {}
    for name, shape, dtype, offset in places:
        size = shape[0] * shape[1] * (4 if dtype == "F32" else 2)
        assert offset == end, name
        end = padded(offset + size)
        found[name] = dtype, shape, data[begin + offset:begin + offset + size]
    assert begin + end == len(data)
    return values, found


def string(text):
    return struct.pack("<Q", len(text.encode())) + text.encode()


def setting(key, value):
    if isinstance(value, str):
        return string(key) + struct.pack("<I", TEXT) + string(value)
    kind, form = (U32, "I") if isinstance(value, int) else (F32, "f")
    return string(key) + struct.pack("<I" + form, kind, value)


def packed(settings, tensors):
    """The bytes of a file of tensors as read() gives them; a dtype may be a type's number."""
    numbers = {text: number for number, text in TYPES.items()}
    head = struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(settings))
    head += b"".join(setting(*pair) for pair in settings.items())
    offset, body = 0, b""
    for name, (dtype, shape, data) in tensors.items():
        head += string(name) + struct.pack(f"<I{len(shape)}Q", len(shape), *reversed(shape))
        head += struct.pack("<IQ", numbers.get(dtype, dtype), offset)
        body += data + b"\0" * (padded(len(data)) - len(data))
        offset += padded(len(data))
    return head + b"\0" * (padded(len(head)) - len(head)) + body


def write(path, settings, tensors):
    path.write_bytes(packed(settings, tensors))
    return path
