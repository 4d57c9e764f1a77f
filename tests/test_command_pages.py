"""Every command that README and docs/ print runs, in a folder that has what the pages speak of.

Models are the bundled one, data a few rows, adapters those of the fixtures; a run is one step, a text two tokens. What
does not run is in NOT_HERE, with the reason.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from support.command import (CLORA, MODEL, ROOT, TRAIN, VALIDATION, CommandTest, help_options, main,
                             needs_device)

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BEGINS = re.compile(r"(?:[A-Z_]+=\S* )*(?:clora (?!\w+:)|(?:scripts|tests|bench|build)/|"
                    r"(?:meson|ninja|pip|python3|cc|cp|cat|echo|for|head) )")
NOT_HERE = {  # lines, or whole pages
    r"(sudo |apt |pip |scripts/(install-deps|get-smollm2))": "installs or downloads",
    r"(meson|ninja|scripts/(test|quickstart)|cc )": "builds, which the suite has done",
    r"bench/": "is no part of what is installed",
    r"performance\.md": "minutes to hours on a model of 135 M parameters and data of its own",
    r"testing\.md": "is about building and testing",
}
# Stands in for what would take long: the last of an option counts.
SHORT = r"""
clora() {
    local ranks= grid=
    [[ " $* " == *" --ranks "* ]] && ranks="--ranks 1"
    [[ " $* " == *" --lr-grid "* ]] && grid="--lr-grid 1e-3"
    case $1 in
    train) [ "$2" = --resume ] || set -- "$@" --steps 1 --batch-size 2 ;;
    compare) set -- "$@" --steps 1 --new-tokens 1 --batch-size 2 $ranks $grid ;;
    generate) set -- "$@" --max-tokens 2 ;;
    bench) set -- "$@" --rounds 1 --batch-size 1 --max-length 8 --new-tokens 1 ;;
    tune) [[ $2 == show || $2 == verify || $2 == report ]] || set -- "$@" --dry-run ;;
    plot) command -v gnuplot >/dev/null || return 0 ;;
    esac
    "$CLORA_BIN" "$@" </dev/null
}
"""
CHAT_TEMPLATE = "{% for message in messages %}{{ message.content }}\n{% endfor %}"
PREFERENCE = [{"prompt": "name: A =>", "chosen": " A is good.", "rejected": " B is good."},
              {"prompt": "name: B =>", "chosen": " B is good.", "rejected": " A is good."}]
LABELS = [{"text": "a good meal", "label": "nice"}, {"text": "a bad meal", "label": "awful"}]
REQUESTS = [{"prompt": "Once upon a time", "adapter": "tales", "max_tokens": 2}, {"prompt": "The weather"}]


def blocks(text):
    """The indented blocks of a page, without their indent."""
    for block in re.findall(r"(?:\A|\n)\n((?:    [^\n]*\n|\n(?=    ))+)", re.sub(r"(?ms)^```.*?^```$", "", text)):
        yield [line[4:] for line in block.strip("\n").split("\n")]


def commands(block):
    """What of a block a shell runs: after prompts, or all of one that begins like a command."""
    if any(line.startswith("$ ") for line in block):
        return "\n".join(re.findall(r"(?m)^\$ ((?:.*\\\n)*.*)$", "\n".join(block)))
    return "\n".join(block) if BEGINS.match(block[0]) else ""


def skipped(line):
    return any(re.match(pattern, line) for pattern in NOT_HERE)


def script(page):
    """The commands of a page that run here."""
    lines = "\n".join(filter(None, map(commands, blocks(page.read_text(encoding="utf-8"))))).split("\n")
    return "\n".join(line for line in lines if not skipped(line)).strip()


class Words(CommandTest):
    def test_options_on_all_pages_are_those_of_their_commands(self):
        known = {}
        for page in PAGES:
            text = "\n".join(map(commands, blocks(page.read_text(encoding="utf-8")))).replace("\\\n", " ")
            for name, rest in re.findall(r"(?m)^(?:[A-Z_]+=\S* )*clora (\w+)(?: (.*))?$", text):
                known.setdefault(name, set(help_options(name)))
                self.assertTrue(known[name], f"{page.name}: clora {name}")
                options = set(re.findall(r"(?<!\S)--[a-z-]+", re.sub(r'"[^"]*"', "", rest.split(" #")[0])))
                self.assertLessEqual(options, known[name], f"{page.name}: clora {name}")


@needs_device
class Pages(CommandTest):
    def setUp(self):
        super().setUp()
        for name in ("data", "models", "adapters", "build/quickstart"):
            self.folder.joinpath(name).mkdir(parents=True)
        for path, names in ((TRAIN, ("data/train.jsonl", "pairs.jsonl")),
                            (VALIDATION, ("data/validation.jsonl", "more.jsonl", "held-out.jsonl",
                                          "build/quickstart/few.jsonl"))):
            rows = "".join(path.read_text(encoding="utf-8").splitlines(True)[:8])
            for name in names:
                self.write(name, rows)
        for rows, names in ((PREFERENCE, ("preferences.jsonl", "more-preferences.jsonl")),
                            (REQUESTS, ("requests.jsonl",)), (LABELS, ("reviews.jsonl", "more-reviews.jsonl"))):
            for name in names:
                self.write(name, "".join(json.dumps(row) + "\n" for row in rows))
        for name in ("models/tiny", "MODEL"):  # no links: pages write into copies
            shutil.copytree(MODEL, self.folder / name)
        self.write("MODEL/chat_template.jinja", CHAT_TEMPLATE)
        for name in ("models/smollm2", "DIR"):
            self.folder.joinpath(name).symlink_to("../MODEL" if "/" in name else "MODEL")

    def run_page(self, page):
        text = script(page)
        if "another" in text or "requests" in text:  # an adapter that the page has from elsewhere
            self.succeeds("train", MODEL, "--data", self.folder / "pairs.jsonl", "--steps", "1", "--batch-size", "2",
                          "--out", self.folder / "another")
            self.folder.joinpath("adapters/tales").symlink_to(self.folder / "another")
        environment = os.environ | {"CLORA_BIN": CLORA, "CLORA_CACHE_DIR": str(self.folder / "cache")}
        done = subprocess.run(["bash", "-c", f"{SHORT}\nset -euo pipefail -o xtrace\n{text}"], cwd=self.folder,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment, check=False)
        self.assertEqual(done.returncode, 0, f"{page}:\n{done.stdout.decode()[-3000:]}")

def add_tests():
    for page in PAGES:
        if not skipped(page.name) and script(page):
            name = page.stem.lower().replace("-", "_")
            setattr(Pages, f"test_what_{name}_prints_runs", lambda self, page=page: self.run_page(page))


add_tests()

if __name__ == "__main__":
    main()
