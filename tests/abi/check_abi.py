"""Compare the binary interface of the public headers with the one that is promised: check_abi.py [--renew] BUILD CC...

libclora.abi beside this file is what abidw (Debian's abigail-tools) found when it was renewed last: every function with
its types, to the byte. abidiff says what has changed since; functions and values of enums that are new are no
difference. A change that docs/stability.md allows, such as a struct that grew at its end, renews the file in the same
commit, where everybody sees it.

The debugging information that abidw reads is that of stubs, one for each function that the headers declare: it takes a
second, and no second build of the library. That the library exports those functions is checked by test_install.py.

--renew writes the file anew. BUILD has the generated version.h.
"""

import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
SOURCE = HERE.parent.parent
PROMISED = HERE / "libclora.abi"
SKIPPED = 77
# Nothing of this machine, and no more than a comparison needs.
WITHOUT = ["--no-corpus-path", "--no-comp-dir-path", "--no-show-locs", "--no-elf-needed", "--no-architecture",
           "--no-write-default-sizes", "--drop-undefined-syms"]


def stubs():
    """A program text in which every public function has a body."""
    bodies = []
    for header in sorted((SOURCE / "include/clora").glob("*.h")):
        text = re.sub(r"/\*.*?\*/|//[^\n]*|^\s*#[^\n]*", " ", header.read_text(encoding="utf-8"), flags=re.S | re.M)
        bodies += re.findall(r"CLORA_API\s+([^;{}]*\))\s*;", text)
    includes = "#include <clora/clora.h>\n#include <clora/opencl.h>\n"
    return includes + "".join(f"{body} {{ __builtin_trap(); }}\n" for body in bodies)


def write_abi(out, folder, build, compiler):
    library = folder / "stubs.so"
    flags = ["-DCL_TARGET_OPENCL_VERSION=120", f"-I{SOURCE / 'include'}", f"-I{build / 'include'}"]
    subprocess.run([*compiler, "-g", "-gdwarf-4", "-shared", "-fPIC", "-x", "c", "-", *flags, "-o", library],
                   input=stubs(), text=True, check=True)
    subprocess.run(["abidw", *WITHOUT, "--headers-dir", SOURCE / "include/clora", "--out-file", out, library],
                   check=True)


def main():
    arguments = [a for a in sys.argv[1:] if a != "--renew"]
    build, compiler = pathlib.Path(arguments[0]), arguments[1:]
    if not shutil.which("abidw") or not shutil.which("abidiff"):
        print("skipped: no abidw and abidiff (Debian: abigail-tools)")
        return SKIPPED
    with tempfile.TemporaryDirectory(prefix="clora-abi-") as name:
        now = pathlib.Path(name, "now.abi")
        write_abi(now, pathlib.Path(name), build, compiler)
        if "--renew" in sys.argv:
            shutil.copy(now, PROMISED)
            return 0
        changed = subprocess.run(["abidiff", "--no-added-syms", PROMISED, now])
    if changed.returncode:
        print("Programs that were built before may notice. Where docs/stability.md allows it, renew the file:\n"
              f"    python3 tests/abi/check_abi.py --renew {build.name} {' '.join(compiler)}")
    return changed.returncode


sys.exit(main())
