"""What stands on a terminal: lines folded between words, a bar of whole fields, colours where they are wanted."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from support.command import FIXTURES, MODEL, TRAIN, VALIDATION, CommandTest, clora, main, needs_device
from support.terminal import drawn_of, lines_of, on_terminal, widest

BOLD, GREEN = "\033[1m", "\033[32m"
LEFT = r"\d+%.* [\d.:]+( s)? left$"


class Colours(CommandTest):
    def test_headings_are_bold_where_that_is_wanted(self):
        help_text = clora("merge", "--help")[1]
        self.assertNotIn("\033", help_text)
        for columns in (80, 120):
            status, text = on_terminal(columns, "merge", "--help")
            self.assertEqual(status, 0)
            self.assertIn(BOLD, text)
            self.assertLessEqual(widest(text), columns)
            self.assertEqual(text.replace(BOLD, "").replace("\033[0m", "").split(), help_text.split())
        for plain in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
            self.assertEqual(on_terminal(80, "merge", "--help", **plain), (0, help_text))

    @needs_device
    def test_target_tokens_are_green_where_that_is_wanted(self):
        show = ["inspect", VALIDATION, "--model", MODEL, "--show", "1"]
        self.assertIn(GREEN, on_terminal(80, *show)[1])
        self.assertIn("[[", on_terminal(80, *show, NO_COLOR="1")[1])


class Messages(CommandTest):
    def test_they_are_folded_between_words_and_whole_in_a_log(self):
        wrong = ["train", MODEL, "--data", self.folder / "no-such.jsonl", "--out", self.folder / "out",
                 "--eval-every", "3"]
        status, _, whole = clora(*wrong)
        self.one_line(whole)
        for columns in (80, 50):
            found, text = on_terminal(columns, *wrong)
            self.assertEqual(found, status)
            self.assertLessEqual(widest(text), columns)
            self.assertEqual(text.split(), whole.split())
        self.assertGreater(text.count("\n"), 1)


@needs_device
class Runs(CommandTest):
    def setUp(self):
        super().setUp()
        for name, path, rows in (("val.jsonl", VALIDATION, 6), ("train.jsonl", TRAIN, 16)):
            self.write(name, "".join(path.read_text(encoding="utf-8").splitlines(True)[:rows]))
        self.folder.joinpath("tiny").symlink_to(MODEL)

    def on(self, columns, *arguments, **environment):
        """What a run that ends well shows; with short names, so that all lines can be folded."""
        status, text = on_terminal(columns, *arguments, folder=self.folder, **environment)
        self.assertEqual(status, 0, text)
        self.assertLessEqual(widest(text), columns)
        return text

    def begins(self, text, *phases):
        """These were shown, in this order, and the first of them first of all."""
        drawn = drawn_of(text)
        self.assertTrue(drawn[0].startswith(phases[0]), drawn[:1])
        places = [next(i for i, shown in enumerate(drawn) if phase in shown) for phase in phases]
        self.assertEqual(places, sorted(places))

    def test_a_training_folds_its_plan_and_keeps_the_time_left(self):
        options = ["--data", "train.jsonl", "--val", "val.jsonl", "--batch-size", "2", "--eval-every", "4"]
        for columns in (80, 44):
            text = self.on(columns, "train", "tiny", "--out", f"adapter-{columns}", *options)
            self.begins(text, "loading tiny", "validation", "compiling kernels")
            going = [bar for bar in drawn_of(text) if "left" in bar]
            self.assertTrue(going)
            for bar in going:
                self.assertRegex(bar, LEFT)
                if columns == 80 and "validation" not in bar:
                    self.assertRegex(bar, "loss [0-9.]+  mean [0-9.]+  ")
            words = " ".join(" ".join(lines_of(text)).split())
            self.assertRegex(words, r"step 8/8 loss [\d.]+ mean [\d.]+ ")
            self.assertRegex(words, r"8 steps in .* tokens/s, at most [\d.]+ MiB of memory; validation loss ")
            self.assertTrue(words.endswith(f"Saved the adapter to adapter-{columns}"))
            whole = "(down_proj,gate_proj,k_proj,o_proj,q_proj,up_proj,v_proj)"
            self.assertIn(whole, words if columns == 80 else words.replace(", ", ","))

    def test_other_commands_say_what_they_do(self):
        text = self.on(80, "merge", FIXTURES / "tiny-llama", FIXTURES / "tiny-llama-lora", "--out", "merged")
        self.begins(text, "reading ", "MiB")
        self.assertEqual([line.split()[0] for line in lines_of(text)[:2]], ["modules", "down_proj"])
        self.begins(self.on(80, "eval", "tiny", "--data", "val.jsonl"), "loading tiny", "compiling kernels")
        self.begins(self.on(80, "generate", "tiny", "--prompt", "name:", "--max-tokens", "2", "--stats"),
                    "loading tiny", "prefill")
        self.begins(self.on(80, "bench", "tiny", "--rounds", "1", "--max-length", "8", "--new-tokens", "2"),
                    "loading tiny", "training: ", "prefill: ", "decode: ")
        self.begins(self.on(80, "tune", "--shape", "16,16", "--for", "generate", "--budget", "1s",
                            CLORA_CACHE_DIR=str(self.folder)), "looking for the shapes", "starting")


if __name__ == "__main__":
    main()
