"""support/share_cache.c, which the tests run with: it leaves programs in PoCL's cache, and removes all else."""

import ctypes
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from support.command import CommandTest, main

remove = ctypes.CDLL(None).remove


class Remove(CommandTest):
    def test_a_program_stays_until_another_takes_its_name(self):
        kept, other = self.write("program.bc", "1"), self.write("program.bc.temp", "2")
        self.assertEqual((remove(bytes(kept)), kept.read_text()), (0, "1"))
        os.rename(other, kept)
        self.assertEqual(kept.read_text(), "2")

    def test_other_files_are_removed_and_errors_told(self):
        path = self.write("kernel.so.o", "1")
        self.assertEqual(remove(bytes(path)), 0)
        self.assertFalse(path.exists())
        self.assertEqual(remove(bytes(path)), -1)


if __name__ == "__main__":
    main()
