"""Fail where something stands in a room that is not its own, or a file is named that is not there: check_rooms.py ROOT

Each check takes the sources as {path: text} and yields what it finds. DEBTS are those found today: make them less.
"""

import pathlib
import re
import sys

from check_style import project_files

SOURCES = ("src/", "autotune/", "bench/", "kernels/")
TEXTS = (*SOURCES, "include/", "tests/", "docs/", "man/", "README.md", "CONTRIBUTING.md")
# what a check finds and why it is not mended yet
DEBTS = {}
# words of one family of models, which operations, devices and kernels know nothing of
FAMILY = re.compile(r"(?<![a-z])(llama|qwen\d?|mistral|[qkvo]_proj|gate_proj|up_proj|down_proj|gate_up)(?![a-z])", re.I)

OWN = ("tests/check_rooms.py", "tests/test_checks.py")  # full of faults
# a path with a folder; not one of the system, and not that of the header that the build makes
PATH = re.compile(r"(?<![\w/.$}-])(?!sys/|clora/version\.h)((?:[a-z_]+/)+\w+\.(?:c|h|cl|md|py|sh))\b")


def doubled_names(sources):
    """A file's name says which one is meant. src/ref has the names of src/ops, operation by operation."""
    places = {}
    for path in sources:
        folder, _, name = path.rpartition("/")
        if folder != "src/ref" and name.endswith((".c", ".h", ".cl")):
            places.setdefault(name, []).append(folder)
    for name, folders in sorted(places.items()):
        if len(folders) > 1:
            yield f"{name}: {', '.join(sorted(folders))}"


def family_words(sources):
    for path, text in sources.items():
        if path.startswith(("src/ops/", "src/device/", "src/tuning/", "kernels/")) and not path.endswith(".py"):
            for word in sorted({found.lower() for found in FAMILY.findall(text)}):
                yield f"{path}: {word}"


def adapters_in_optimizers(sources):
    """An optimizer updates a list of parameters, whoever they belong to."""
    for path, text in sources.items():
        if re.match(r"src/train/(optimizer|adamw|sgd)", path) and "adapter" in text:
            yield f"{path}: adapter"


def commands_beside_launches(sources):
    """The device is asked by src/device and ops/launch.c alone: a step that is recorded sees what is asked there."""
    for path, text in sources.items():
        if path.startswith("src/") and not path.startswith(("src/device/", "src/ops/launch.c")):
            for word in sorted(set(re.findall(r"\bclEnqueue\w+", text))):
                yield f"{path}: {word}"


def files_that_are_not_there(texts, is_there):
    """Comments, documents and recipes name files by their paths, from the root or from where sources look."""
    roots = ("", "src/", "autotune/", "include/", "tests/", "bench/")
    for path, text in texts.items():
        for name in sorted(set(PATH.findall(text))):
            if not any(is_there(root + name) for root in (*roots, path.rpartition("/")[0] + "/")):
                yield f"{path}: names {name}"


def registry_rows(registry):
    """(kernel, its sources, its parameters as text) of each row, the registry's macros replaced."""
    registry = registry.replace("\\\n", "")
    macros = dict(re.findall(r"^#define ([A-Z_]+) +(\{.*)$", registry, re.M))
    for row in re.split(r"\n    (?=\{\"\w+\",)", registry.partition("kernel_rows[] =")[2])[1:]:
        kernel, sources = re.match(r'\{"(\w+)",\s*(?:"([^"]*)"|NULL)', row).groups()
        for _ in macros:  # one may name another
            row = re.sub(r'(?<!")\b([A-Z_]+)\b(?!")', lambda found: macros.get(found.group(1), found.group(1)), row)
        yield kernel, (sources or "").split(), row


def kernel_defaults(sources):
    """A default stands once: what a kernel's source takes alone is the registry's, or of a rule one of its values."""
    for kernel, stems, row in registry_rows(sources.get("src/device/kernels.c", "")):
        for name, rule, listed in re.findall(r'\{"(\w+)", (\w+), \{([\d, ]+)\}', row):
            values = listed.split(", ")[:1] if rule == "NULL" else listed.split(", ")
            for path in (f"kernels/{stem}.cl" for stem in stems if values != ["0"]):
                for value in re.findall(rf"^#define {name} (\d+)\b", sources.get(path, ""), re.M):
                    if value not in values:
                        yield f"{path}: {name} is {value}, in the registry's row of {kernel} {' or '.join(values)}"


CHECKS = (doubled_names, family_words, adapters_in_optimizers, commands_beside_launches, kernel_defaults)


def main():
    root = pathlib.Path(sys.argv[1])
    files = {path.relative_to(root).as_posix(): path for path in project_files(root) if path.is_file()}
    texts = {name: path.read_text(encoding="utf-8") for name, path in files.items() if name.startswith(TEXTS)}
    texts = {name: text for name, text in texts.items() if name not in OWN}
    sources = {name: text for name, text in texts.items() if name.startswith(SOURCES)}
    found = {problem for check in CHECKS for problem in check(sources)}
    found.update(files_that_are_not_there(texts, lambda name: (root / name).is_file()))
    for problem in sorted(found - DEBTS.keys()):
        print(problem)
    for paid in sorted(DEBTS.keys() - found):
        print(f"{paid}: no longer so; take it out of DEBTS in {sys.argv[0]}")
    print(f"{len(sources)} files, {len(found & DEBTS.keys())} known debts")
    sys.exit(not sources or bool(found - DEBTS.keys()))


if __name__ == "__main__":
    main()
