"""Fail where files of a folder call each other in a circle: check_circles.py ROOT

A file calls another of its folder when its text names a function that the other defines. Folders are each for
themselves; between them, check_layers.py looks.
"""

import pathlib
import re
import sys

NOISE = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"', re.DOTALL)
DEFINED = re.compile(r"^(?!static|typedef|extern|return|#)[a-z][\w *]*?\b(\w+)\([^;{}]*\)\s*\{", re.MULTILINE)
NAME = re.compile(r"\b[a-z]\w+\b")


def calls(texts):
    """file -> the others that it calls"""
    home = {name: file for file, text in texts.items() for name in DEFINED.findall(text)}
    return {file: {home[name] for name in NAME.findall(text) if name in home} - {file} for file, text in texts.items()}


def reached(graph, start):
    found, to_do = set(), [start]
    while to_do:
        for file in graph[to_do.pop()] - found:
            found.add(file)
            to_do.append(file)
    return found


def in_circles(graph):
    return sorted(file for file in graph if file in reached(graph, file))


def main():
    root = pathlib.Path(sys.argv[1])
    folders = {}
    for path in sorted([*root.glob("src/**/*.c"), *root.glob("autotune/**/*.c")]):
        folder = folders.setdefault(path.parent.relative_to(root).as_posix(), {})
        folder[path.stem] = NOISE.sub(" ", path.read_text(encoding="utf-8"))
    failed = not folders
    for folder, texts in folders.items():
        found = in_circles(calls(texts))
        if found:
            print(f"{folder}: {len(found)} of {len(texts)} files call each other in circles: {', '.join(found)}")
            failed = True
    sys.exit(failed)


if __name__ == "__main__":
    main()
