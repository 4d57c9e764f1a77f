"""The programs that bench/compare.py compares, each run in a fresh process."""
