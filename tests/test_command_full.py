"""clora train --method full, bias and norms: a model trains in place and is saved as a model."""

import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from support.command import MODEL, TRAIN, VALIDATION, CommandTest, main, needs_device


@needs_device
class Full(CommandTest):
    def setUp(self):
        super().setUp()
        self.data = self.write("train.jsonl", "".join(TRAIN.read_text().splitlines(keepends=True)[:12]))
        self.val = self.write("val.jsonl", "".join(VALIDATION.read_text().splitlines(keepends=True)[:4]))

    def train(self, *arguments, out="model", steps="3"):
        return self.succeeds("train", MODEL, "--data", self.data, "--steps", steps, "--lr", "1e-3", "--out",
                             self.folder / out, *arguments)

    def refused(self, words, *arguments, status=1):
        stderr = self.fails(status, "train", MODEL, "--data", self.data, "--steps", "1", "--out", self.folder / "no",
                            *arguments)
        self.assertIn(words, stderr)
        self.assertFalse((self.folder / "no").exists())

    def test_the_model_that_is_saved_is_the_one_that_was_trained(self):
        said = json.loads(self.train("--method", "full", "--val", self.val, "--json"))
        model = self.folder / "model"
        names = {path.name for path in pathlib.Path(MODEL).iterdir()}
        self.assertEqual({path.name for path in model.iterdir()}, names | {"log.jsonl", "run.json"})
        for name in names - {"model.safetensors"}:
            self.assertEqual((model / name).read_bytes(), (pathlib.Path(MODEL) / name).read_bytes())
        self.assertEqual(said["trainable_parameters"], 1369728)
        again = json.loads(self.succeeds("eval", model, "--data", self.val, "--batch-size", "4", "--json"))
        self.assertEqual(again["loss"], said["val_loss"])

    def test_the_same_seed_gives_the_same_model_and_a_part_leaves_the_rest(self):
        self.train("--method", "norms", out="a")
        self.train("--method", "full", "--train-modules", ".*norm.*", out="b")
        self.assertEqual(*((self.folder / out / "model.safetensors").read_bytes() for out in "ab"))

    def test_several_methods_save_each_its_own(self):
        out = self.train("--method", "lora,norms")
        self.assertRegex(out, r"(?m)^trains +the gains of the model's normalisations$")
        files = {path.relative_to(self.folder / "model").as_posix() for path in (self.folder / "model").rglob("*")}
        self.assertLessEqual({"lora/adapter_model.safetensors", "norms/model.safetensors"}, files)

    def test_a_model_is_trained_from_scratch_without_weights(self):
        source = self.folder / "source"
        source.mkdir()
        for path in pathlib.Path(MODEL).glob("*.json"):
            (source / path.name).write_bytes(path.read_bytes())
        run = ["train", source, "--data", self.data, "--val", self.val, "--steps", "6", "--lr", "3e-3", "--json"]
        said = [json.loads(self.succeeds(*run, "--method", "full", "--init", "random", "--out", self.folder / out))
                for out in "ab"]
        self.assertEqual(said[0]["val_loss"], said[1]["val_loss"])
        self.assertTrue(2 < said[0]["val_loss"] < 7)  # ln 2048 is 7.6
        again = json.loads(self.succeeds("eval", self.folder / "a", "--data", self.val, "--batch-size", "4", "--json"))
        self.assertEqual(again["loss"], said[0]["val_loss"])
        self.assertIn("--init random is for --method full",
                      self.fails(2, *run, "--init", "random", "--out", self.folder / "c"))
        self.assertIn("--init is an option of --method lora",
                      self.fails(2, *run, "--method", "full", "--init", "kaiming", "--out", self.folder / "c"))

    def test_a_reference_policy_is_there_before_the_first_step_alone(self):
        pairs = [{"prompt": "one", "chosen": " two", "rejected": " three"}] * 2
        data = self.write("pairs.jsonl", "".join(json.dumps(pair) + "\n" for pair in pairs))
        judged = self.write("judged.jsonl", "".join(
            json.dumps({"prompt": "one", "completion": answer, "label": answer == " two"}) + "\n"
            for answer in (" two", " three")))
        run = ["train", MODEL, "--steps", "1", "--method", "norms"]
        self.assertIn("kto compares each batch with the model as it was",
                      self.fails(1, *run, "--data", judged, "--out", self.folder / "kto", "--objective", "kto"))
        self.assertFalse((self.folder / "kto").exists())
        for objective in ("dpo", "orpo"):
            self.succeeds(*run, "--data", data, "--out", self.folder / objective, "--objective", objective)

    def test_what_cannot_train_is_refused(self):
        self.refused("models of type llama have no biases", "--method", "bias")
        self.refused('"up_proj" matches the whole name of no tensor', "--method", "full", "--train-modules", "up_proj")
        self.refused("stored in q8_0, in which weights cannot train", "--method", "full", "--dtype", "q8_0")
        self.refused("two adapters, of methods full and norms, on the model's own weights", "--method", "full,norms")
        self.refused("--master is an option of --method full", "--method", "norms", "--master", "none", status=2)
        self.refused("--rank is an option of --method lora", "--method", "full", "--rank", "2", status=2)


if __name__ == "__main__":
    main()
