"""The measures of bench/e2e.py, by hand."""

import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "bench"))
import e2e


class Measures(unittest.TestCase):
    def test_a_row_becomes_a_context(self):
        self.assertEqual(e2e.context("name[The Vaults], priceRange[£20-25], customer rating[5 out of 5]"),
                         "name: The Vaults | priceRange: £20-25 | customer rating: 5 out of 5 =>")

    def test_references_of_a_row_belong_together(self):
        pairs = [("name[A]", "one"), ("name[B]", "two"), ("name[A]", "three"), ("name[C]", "four")]
        self.assertEqual(e2e.references(pairs, 2), {"name: A =>": ["one", "three"], "name: C =>": ["four"]})
        self.assertEqual(list(e2e.references(pairs, None)), ["name: A =>", "name: B =>", "name: C =>"])

    def test_rouge_is_of_the_longest_common_subsequence(self):
        self.assertEqual(e2e.common("a b c d e".split(), "b x d a e".split()), 3)
        self.assertEqual(e2e.rouge_l("The cat sat.", ["the cat sat ."]), 1.0)
        self.assertEqual(e2e.rouge_l("dog", ["the cat"]), 0.0)
        self.assertEqual(e2e.rouge_l("", ["the cat"]), 0.0)
        precision, recall = 2 / 3, 2 / 4
        expected = 2.44 * precision * recall / (recall + 1.44 * precision)
        self.assertAlmostEqual(e2e.rouge_l("the cat sat", ["the cat ran fast", "dog"]), expected)


if __name__ == "__main__":
    unittest.main(verbosity=2)
