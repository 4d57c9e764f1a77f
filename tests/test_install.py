"""Install into an empty folder and use it as a stranger would: test_install.py MESON SOURCE BUILD CC

Every public header is there, and the command with its manual page and completions; neither library exports anything but
the interface; examples/*.c compile with the flags of the installed clora.pc, and an example runs against the shared and
against the static library; README's program says why it cannot run where there is no model; another trains a student
by its teacher's logits. A program that has names like the
library's own and takes every dependency from its static library, where there is one, runs too.
"""

import os
import pathlib
import re
import shutil
import struct
import subprocess
import sys
import tempfile

from support import checkpoint

RUN = "devices.c"  # needs no model
COMMAND = ["bin/clora", "man1/clora.1", "man1/clora-train.1", "man1/clora-tune-show.1", "man3/libclora.3",
           "bash-completion/completions/clora", "site-functions/_clora", "clora.fish"]
INCLUDE_FLAGS = re.compile("-(I|pthread)")  # and no definitions of others
SYSTEM = {"m", "pthread", "OpenCL"}  # never static beside a dynamic libc, or a driver's to choose
INTERFACE = "CLORA_0.1"  # of each exported symbol
WARNINGS = ["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]

meson, cc = sys.argv[1], sys.argv[4].split()
source, build = pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])


def output(*command, **options):
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    if result.returncode != 0:
        sys.exit(f"failed: {' '.join(map(str, command))}\n{result.stdout}")
    return result.stdout


def one(root, pattern):
    found = sorted(root.rglob(pattern))
    if not found:
        sys.exit(f"not installed: {pattern}")
    return found[0]


def check_headers(root):
    expected = {p.name.removesuffix(".in") for p in (source / "include/clora").glob("*.h*")}
    installed = {p.name for p in one(root, "clora/status.h").parent.iterdir()}
    if expected != installed:
        sys.exit(f"headers differ, installed against include/clora: {sorted(expected ^ installed)}")


def check_symbols(library, *dynamic):
    lines = [line.split() for line in output("nm", "-g", *dynamic, "--defined-only", library).splitlines()]
    names = [words[-1] for words in lines if len(words) == 3 and words[1] != "A"]
    strange = [n for n in names if not n.startswith("clora_") or bool(dynamic) != n.endswith(f"@@{INTERFACE}")]
    if not names or strange:
        sys.exit(f"{library.name} exports {strange or 'nothing'}")
    print(f"{library.name} exports {len(names)} functions")


def pkg_config(package_file, *arguments):
    prefix = re.search("^prefix=(.*)$", package_file.read_text(), re.MULTILINE)[1]
    moved = pathlib.Path(str(package_file).split(prefix)[0] + prefix)
    environment = os.environ | {"PKG_CONFIG_PATH": str(package_file.parent)}
    return output("pkg-config", f"--define-variable=prefix={moved}", *arguments, "clora", env=environment).split()


def compile_examples(root, folder, package_file):
    examples = sorted((source / "examples").glob("*.c"))
    flags = pkg_config(package_file, "--cflags", "--libs")
    if not any(f.startswith(f"-L{root}") for f in flags):
        sys.exit(f"clora.pc does not lead to the installed library: {flags}")
    strange = [f for f in pkg_config(package_file, "--cflags") if not INCLUDE_FLAGS.match(f)]
    if strange:
        sys.exit(f"clora.pc gives every user {strange}")
    for example in examples:
        opencl = ["-lOpenCL"] if "clora/opencl.h" in example.read_text() else []
        maths = ["-lm"] if "<math.h>" in example.read_text() else []
        output(*cc, *WARNINGS, example, *flags, *opencl, *maths, "-o", folder / example.stem)
    print(f"{len(examples)} examples compile")


def run_example(root, folder, package_file):
    library = one(root, "libclora.so.0.?")
    program = folder / pathlib.Path(RUN).stem
    output(program, env=os.environ | {"LD_LIBRARY_PATH": str(library.parent)})
    libs = [f for f in pkg_config(package_file, "--static", "--libs") if f != "-lclora"]
    static = folder / "static"
    cflags = pkg_config(package_file, "--cflags")
    output(*cc, source / "examples" / RUN, *cflags, one(root, "libclora.a"), *libs, "-o", static)
    output(static)
    print(f"{RUN} runs against the shared and the static library")


def run_readme(root, folder, package_file):
    """README's program, in a directory where there is no model: it says so."""
    text, program = (source / "README.md").read_text(encoding="utf-8"), folder / "readme"
    program.with_suffix(".c").write_text(re.search("```c\n(.*?)```", text, re.DOTALL)[1], encoding="utf-8")
    output(*cc, *WARNINGS, program.with_suffix(".c"), *pkg_config(package_file, "--cflags", "--libs"), "-o", program)
    library = one(root, "libclora.so.0.?")
    why = output(program, cwd=folder, env=os.environ | {"LD_LIBRARY_PATH": str(library.parent)})
    if "models/tiny: no such directory" not in why:
        sys.exit(f"README's program without a model says: {why}")
    print("README's program says why it cannot run here")


def run_distillation(root, folder):
    """The bundled model learns to be as unsure as a copy whose logits are half as large."""
    teacher, data, adapter = folder / "teacher", folder / "pairs.jsonl", folder / "adapter"
    shutil.copytree(source / "models/tiny", teacher)
    tensors = checkpoint.read(teacher / "model.safetensors")
    dtype, shape, norm = tensors["model.norm.weight"]
    halves = struct.pack(f"<{shape[0]}f", *(x / 2 for x in struct.unpack(f"<{shape[0]}f", norm)))
    checkpoint.write(teacher / "model.safetensors", tensors | {"model.norm.weight": (dtype, shape, halves)})
    lines = (source / "data/train.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    data.write_text("".join(lines[:4]), encoding="utf-8")
    library = one(root, "libclora.so.0.?")
    out = output(folder / "distill", source / "models/tiny", teacher, data, adapter, "20",
                 env=os.environ | {"LD_LIBRARY_PATH": str(library.parent)})
    first, last = [float(x) for x in re.findall(r"divergence (\S+)", out)]
    if not 0 < last < first / 2 or not (adapter / "adapter_model.safetensors").exists():
        sys.exit(f"a student that does not learn from its teacher: {out}")
    print(f"distill.c takes a student from {first} to {last}")


def static_of(flag):
    """-lNAME as the path of libNAME.a, where there is one."""
    name = flag.removeprefix("-l")
    archive = output(*cc, f"-print-file-name=lib{name}.a").strip()
    return archive if name != flag and name not in SYSTEM and os.path.isabs(archive) else flag


def run_with_static_libraries(root, folder, package_file):
    libs = [static_of(f) for f in pkg_config(package_file, "--static", "--libs") if f != "-lclora"]
    if any(f.endswith("/libclblast.a") for f in libs):
        libs.append("-lstdc++")
    program = folder / "same_names"
    flags = [*WARNINGS, *pkg_config(package_file, "--cflags")]
    output(*cc, *flags, source / "tests/support/same_names.c", one(root, "libclora.a"), *libs, "-o", program)
    output(program, source / "tests/fixtures/tokenizers/smollm")
    print("a program runs with", *(pathlib.Path(f).name for f in libs if f.endswith(".a")))


def main():
    with tempfile.TemporaryDirectory(prefix="clora-install-") as name:
        folder, root = pathlib.Path(name), pathlib.Path(name, "root")
        output(meson, "install", "-C", build, "--no-rebuild", "--quiet", "--destdir", root)
        check_headers(root)
        for file in COMMAND:
            one(root, file)
        check_symbols(one(root, "libclora.so.*.*"), "-D")
        check_symbols(one(root, "libclora.a"))
        package_file = one(root, "clora.pc")
        compile_examples(root, folder, package_file)
        run_example(root, folder, package_file)
        run_readme(root, folder, package_file)
        run_distillation(root, folder)
        run_with_static_libraries(root, folder, package_file)


main()
