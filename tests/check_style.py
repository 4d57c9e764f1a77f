"""Fail on what no editor shows: check_style.py ROOT

Tabs, blanks at the end of a line, a missing or doubled newline at the end of a file, carriage returns, words that mark
unfinished work, paths of one machine, lines too long for the page, files and functions too long to have one subject;
words of our own where the field has one; in kernels, functions that take local memory and may stay calls; in the
library, functions that ask the program's locale; in public headers, structs that cannot grow and functions of more than
six arguments.
"""

import pathlib
import re
import subprocess
import sys

TEXT = {".c", ".h", ".cl", ".cpp", ".in", ".py", ".sh", ".md", ".build", ".txt", ".1", ".bash", ".zsh", ".fish",
        ".roff", ""}
SOURCE = {".c", ".h", ".cl", ".cpp", ".py", ".sh", ".build"}
MAX_LINES = 500
MAX_TEST_LINES = 600
MAX_FUNCTION_LINES = 60
MAX_COLUMNS = 120
MAX_ARGUMENTS = 6  # of a public function
# public structs without a size: those that never change, and those that programs get pointers to
FIXED = {"clora_data_file", "clora_pair", "clora_prompt", "clora_tune_key"}
LIBRARY_MAKES = {
    "clora_adapter_cache_info", "clora_adapter_info", "clora_adapter_module_info", "clora_bottleneck_info",
    "clora_chat_text", "clora_dataset_stats", "clora_device_info", "clora_generation", "clora_inspected_adapter",
    "clora_inspected_checkpoint", "clora_module_info", "clora_objective_rows", "clora_profile_entry", "clora_stored",
    "clora_stored_type", "clora_tune_check", "clora_tune_state", "clora_tune_task"}
SIZED = {
    "clora_evaluate_result", "clora_memory_plan", "clora_model_info", "clora_rewards", "clora_train_step",
    "clora_tune_entry", "clora_tune_result", "clora_inspected_data", "clora_objective", "clora_tune_use",
    "clora_tensor_layout", "clora_merge_result", "clora_combine_result", "clora_convert_result"}
STRUCTS = FIXED | LIBRARY_MAKES | SIZED
# written so that this file does not contain what it looks for
UNFINISHED = re.compile(r"\b(TO[D]O|FIX[M]E|X[X]X)\b")
MACHINE = re.compile(r"(^|[^A-Za-z0-9_.$}])/(work|root|home/[a-z]+)/")
# On pages, and in what the command prints: target tokens or trained, EOS, final round, blacklisted.
OWN_WORDS = re.compile(r"\b(learnt|end tokens?|play-off|is poison|largest norm of the gradient)\b")
STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
LOCAL = re.compile(r"static inline [^{;]*__local[^{;]*\{")  # in a kernel; see INLINE in kernels/common.cl
# where 2.5 may be 2,5 and I no capital of i; base/c_locale.h has others
LOCALE = re.compile(r"(?<!\w)(strn?casecmp|toupper|tolower|isal[a-z]+|isspace|strto[df]|json_(?:dumps|loadb))\(")
KNOW_LOCALES = {"c_locale.c", "json.c", "json_literal.c", "peft_config.c"}
# of C: from its name to the brace that ends it; a table begins with = {
FUNCTION = re.compile(r"^[a-z_][^;{}#=]*?(\w+)\([^;{}#=]*\)\s*\{\n.*?^\}", re.MULTILINE | re.DOTALL)
TABLE = re.compile(r"_data\.h$")  # generated tables may be long


def project_files(root):
    """What git tracks, or without git all that is not hidden and not built."""
    try:
        listing = subprocess.run(["git", "-C", root, "ls-files", "-z"], capture_output=True, check=True).stdout
        names = [n for n in listing.decode().split("\0") if n]
    except (OSError, subprocess.CalledProcessError):
        names = []
    if not names:
        paths = (p.relative_to(root) for p in root.rglob("*") if p.is_file())
        names = [str(p) for p in paths if not p.parts[0].startswith((".git", "build"))]
    return [root / n for n in sorted(names) if not n.startswith(("models/tiny/", "tests/fixtures/", "data/"))]


def structs_that_cannot_grow(text):
    """A caller built with other headers is known by the size that its structs begin with; what the library makes is
    reached by pointers, and stands in no other struct (docs/stability.md)."""
    for found in re.finditer(r"typedef struct (clora_\w+) \{\n([^\n]*)\n(.*?)\n\} ", text, re.MULTILINE | re.DOTALL):
        name, first, rest = found.groups()
        line = text.count("\n", 0, found.start()) + 1
        if name not in FIXED | LIBRARY_MAKES and not first.startswith("    size_t size;"):
            yield line, f"{name} does not begin with its size"
        for member, of in re.findall(r"^    (?:const )?clora_(\w+) (\w+)(?:;|\[)", f"{first}\n{rest}", re.MULTILINE):
            if f"clora_{member}" in STRUCTS - FIXED or member.endswith("_options"):
                yield line, f"{name}.{of} is a struct that may grow: a pointer to it"
    for found in re.finditer(r"^CLORA_API (?:const )?(clora_\w+) clora_", text, re.MULTILINE):
        if found.group(1) in STRUCTS:
            yield text.count("\n", 0, found.start()) + 1, f"{found.group(1)} by value: it may grow"


def split_arguments(text):
    depth, count = 0, 1
    for c in text:
        depth += (c in "([") - (c in ")]")
        count += c == "," and depth == 0
    return count


def many_arguments(text):
    """What belongs together is in a struct of options."""
    for found in re.finditer(r"^CLORA_API [^;]*?(clora_\w+)\(([^;]*)\);", text, re.MULTILINE):
        count = split_arguments(found.group(2))
        if count > MAX_ARGUMENTS:
            line = text.count("\n", 0, found.start()) + 1
            yield line, f"{found.group(1)} has {count} arguments; over {MAX_ARGUMENTS} they belong in a struct"


def is_library(path):
    return "autotune" in path.parts or "src" in path.parts and "cli" not in path.parts


def long_functions(text):
    for found in FUNCTION.finditer(text):
        lines = found.group().count("\n") + 1
        if lines > MAX_FUNCTION_LINES:
            at = text.count("\n", 0, found.start()) + 1
            yield at, f"{found.group(1)} has {lines} lines; over {MAX_FUNCTION_LINES} it does more than one thing"


def own_words(path, text):
    """JSON keys stay as they are."""
    is_page = path.suffix in (".md", ".1", ".roff") or path.name.endswith(".3.in")
    if path.name == "CHANGELOG.md" or not (is_page or "cli" in path.parts):
        return
    for number, line in enumerate(text.split("\n"), 1):
        said = line if is_page else " ".join(STRING.findall(line)).replace('"learnt"', "")
        for found in OWN_WORDS.finditer(said):
            yield number, f'"{found.group()}", for which the field has another word'


def problems(path, text):
    if text and not text.endswith("\n"):
        yield 0, "no newline at the end of the file"
    if text.endswith("\n\n"):
        yield 0, "empty lines at the end of the file"
    if path.suffix == ".cl":
        for found in LOCAL.finditer(text):
            yield text.count("\n", 0, found.start()) + 1, "a function that takes local memory must be INLINE"
    if path.suffix == ".c" and is_library(path) and path.name not in KNOW_LOCALES:
        for found in LOCALE.finditer(text):
            yield text.count("\n", 0, found.start()) + 1, f"{found.group(1)} depends on the program's locale"
    if path.parent.name == "clora":
        yield from structs_that_cannot_grow(text)
        yield from many_arguments(text)
    yield from own_words(path, text)
    if path.suffix == ".c":
        yield from long_functions(text)
    lines = text.split("\n")
    most = MAX_TEST_LINES if "tests" in path.parts else MAX_LINES
    if path.suffix in SOURCE and len(lines) - 1 > most and not TABLE.search(path.name):
        yield 0, f"{len(lines) - 1} lines; over {most} a file has more than one subject"
    for number, line in enumerate(lines, 1):
        if "\t" in line:
            yield number, "tab"
        if line != line.rstrip():
            yield number, "blank or carriage return at the end of the line"
        if path.suffix in SOURCE and len(line) > MAX_COLUMNS and not TABLE.search(path.name):
            yield number, f"{len(line)} columns"
        if UNFINISHED.search(line):
            yield number, "a word that marks unfinished work"
        if MACHINE.search(line):
            yield number, "a path of one machine"


def main():
    root = pathlib.Path(sys.argv[1])
    found = checked = 0
    for path in project_files(root):
        if path.suffix not in TEXT or path.name in ("LICENSE",) or not path.is_file():
            continue
        checked += 1
        try:
            text = path.read_bytes().decode("utf-8")
        except UnicodeDecodeError as error:
            print(f"{path}: not UTF-8: {error}")
            found += 1
            continue
        for number, problem in problems(path, text):
            print(f"{path}:{number}: {problem}")
            found += 1
    if not checked:
        sys.exit(f"{root}: no files found")
    print(f"{checked} files, {found} problems")
    sys.exit(found > 0)


if __name__ == "__main__":
    main()
