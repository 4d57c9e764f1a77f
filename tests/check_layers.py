"""Fail if a file includes a header from a layer that it may not know: check_layers.py ROOT"""

import pathlib
import re
import sys

# layer -> layers whose headers it may include besides its own
MAY = {
    "base": [],
    "api": ["base"],  # what is of all public headers alike
    "device": ["base"],
    "files": ["base"],
    "tokenizer": ["base", "files"],
    "template": ["base"],
    "chat": ["base", "files", "template", "tokenizer"],
    "data": ["base", "files", "tokenizer", "chat"],
    "ref": ["base"],
    "tuning": ["base", "device"],
    "ops": ["base", "device", "kernels", "tuning"],  # kernels/: what host and device share
    "train/parameters": ["base", "device"],  # a layer of its own: the list of what trains, filled below train/
    "methods": ["base", "device", "files", "tuning", "ops", "train/parameters"],
    "model": ["base", "device", "files", "ops", "methods"],
    "train": ["base", "device", "data", "tokenizer", "tuning", "ops", "methods", "model"],
    "checkpoint": ["base", "files", "data", "methods", "model", "train"],
    "infer": ["base", "device", "tokenizer", "ops", "methods", "model"],
    "exchange": ["base", "files", "methods", "model"],
    "cli": [],
    "autotune": ["base", "device", "tuning", "ref", "ops"],
}
IN_AUTOTUNE = ["cases", "meter", "search"]  # its folders, which include each other by these names
# the lower layers know only the lower tiers of the public headers; the upper ones may use all
LOW_TIERS = ["status.h", "version.h", "dtype.h"]
DEVICE_TIERS = LOW_TIERS + ["context.h", "tensor.h", "opencl.h", "tune.h"]
PUBLIC = {
    "base": LOW_TIERS,
    "ref": LOW_TIERS,
    "files": LOW_TIERS,
    "template": LOW_TIERS,
    "tokenizer": LOW_TIERS + ["tokenizer.h"],
    "chat": LOW_TIERS + ["tokenizer.h", "chat.h"],
    "data": LOW_TIERS + ["tokenizer.h", "chat.h", "dataset.h", "inspect.h"],
    "device": DEVICE_TIERS,
    "tuning": DEVICE_TIERS,
    "train/parameters": DEVICE_TIERS,
    "ops": DEVICE_TIERS,
}

INCLUDE = re.compile(r'^\s*#\s*include\s+(?:"([^"]+)"|<clora/([^>]+)>)', re.MULTILINE)


def problems(layer, text):
    for private, public in INCLUDE.findall(text):
        if public and public not in PUBLIC.get(layer, [public]):
            yield f"{layer}/ may not include <clora/{public}>"
        if private and "/" not in private and layer != "autotune":
            yield f'write "{layer}/{private}" instead of "{private}"'
        known = [layer, *MAY[layer], *(IN_AUTOTUNE if layer == "autotune" else [])]
        if "/" in private and private.split("/")[0] not in known and private.removesuffix(".h") not in known:
            yield f"{layer}/ may not include {private}"


def main():
    root = pathlib.Path(sys.argv[1])
    found = checked = 0
    for path in sorted([*root.glob("src/*/**/*.[ch]"), *root.glob("autotune/**/*.[ch]")]):
        parts = path.relative_to(root).parts
        layer = parts[0] if parts[0] == "autotune" else parts[1]
        file = "/".join(parts[1:]).rsplit(".", 1)[0]
        layer = file if file in MAY else layer
        checked += 1
        if layer not in MAY:
            print(f"{path}: {layer}/ is not a known layer")
            found += 1
            continue
        for problem in problems(layer, path.read_text(encoding="utf-8")):
            print(f"{path}: {problem}")
            found += 1
    if not checked:
        sys.exit(f"{root}: no sources found")
    print(f"{checked} files, {found} problems")
    sys.exit(found > 0)


if __name__ == "__main__":
    main()
