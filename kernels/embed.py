"""Turn files into one C file with their bytes: embed.py OUTPUT ARRAY FILES makes ARRAY[] = {name, bytes, size}.

The name is the file's, without .cl or .json; a header keeps its .h."""

import pathlib
import sys

out, array, *files = sys.argv[1:]
paths = [pathlib.Path(f) for f in files]
with open(out, "w", encoding="ascii") as f:
    f.write('#include "device/source.h"\n\n')
    for i, p in enumerate(paths):
        f.write(f"static const unsigned char text_{i}[] = {{{','.join(str(b) for b in p.read_bytes())}}};\n")
    f.write(f"\nconst kernel_source {array}[] = {{\n")
    for i, p in enumerate(paths):
        name = p.name if p.suffix == ".h" else p.stem
        f.write(f'    {{"{name}", text_{i}, sizeof(text_{i})}},\n')
    f.write("    {0},\n" if not paths else "")
    f.write(f"}};\n\nconst size_t {array}_count = {len(paths)};\n")
