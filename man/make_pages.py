"""Manual pages from what makes the help, and from the headers: make_pages.py CLORA SOURCE OUT PAGE...

clora-NAME.1 is what `clora help --man NAME` prints and, where there is more to say, man/notes/NAME.roff; libclora.3 is
man/libclora.3.in with a list of the public headers. Fails when a command has no page.
"""

import pathlib
import re
import subprocess
import sys


def output(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout


def names(clora):
    """Of all commands and of their parts, in words."""
    for name in output(clora, "help", "--words").split():
        yield [name]
        for word in output(clora, "help", "--words", name).splitlines():
            if not word.startswith("--"):
                yield [name, word]


def command_page(clora, notes, name, every):
    page = output(clora, "help", "--man", *name)
    note = notes / f"{'-'.join(name)}.roff"
    more = ".SH NOTES\n" + note.read_text(encoding="utf-8") if note.exists() else ""
    parts = [other for other in every if len(other) == 2 and other[0] == name[0] and len(name) == 1]
    others = ["\\-".join(other) for other in parts or [["tune"] if len(name) == 2 else ["train"]] if other != name]
    also = "".join(f",\n.BR clora\\-{other} (1)" for other in others)
    return f"{page}{more}.SH SEE ALSO\n.BR clora (1){also}\n"


def brief(header):
    text = re.search(r"@brief (.*?)\n \*(?:/|\n)", header.read_text(encoding="utf-8"), re.DOTALL)[1]
    return " ".join(text.replace("\n *", " ").split())


def library_page(source):
    headers = sorted((source / "include/clora").glob("*.h*"))
    lines = [f".TP\n.I clora/{h.name.removesuffix('.in')}\n{brief(h)}\n" for h in headers if h.stem != "clora"]
    return (source / "man/libclora.3.in").read_text(encoding="utf-8").replace("@HEADERS@", "".join(lines))


def main():
    clora, source, out = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
    every = list(names(clora))
    pages = {f"clora-{'-'.join(name)}.1": command_page(clora, source / "man/notes", name, every) for name in every}
    pages["libclora.3"] = library_page(source)
    if set(pages) != set(sys.argv[4:]):
        sys.exit(f"man/meson.build and the commands differ: {sorted(set(pages) ^ set(sys.argv[4:]))}")
    for name, text in pages.items():
        (out / name).write_text(text, encoding="utf-8")


main()
