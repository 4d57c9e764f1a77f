"""Turn .cl files into one C file that holds their bytes: kernel_sources[] = {name, bytes, size}."""

import pathlib
import sys

out, *files = sys.argv[1:]
paths = [pathlib.Path(f) for f in files]
with open(out, "w", encoding="ascii") as f:
    f.write('#include "device/source.h"\n\n')
    for p in paths:
        f.write(f"static const unsigned char source_{p.stem}[] = {{{','.join(str(b) for b in p.read_bytes())}}};\n")
    f.write("\nconst kernel_source kernel_sources[] = {\n")
    for p in paths:
        f.write(f'    {{"{p.stem}", source_{p.stem}, sizeof(source_{p.stem})}},\n')
    f.write("};\n\nconst size_t kernel_sources_count = sizeof(kernel_sources) / sizeof(kernel_sources[0]);\n")
