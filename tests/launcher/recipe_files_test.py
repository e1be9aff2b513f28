"""Recipes that are no recipes, endless ones, and overrides for a short run that complaints name."""
import os
import re
import unittest

import cli


class RecipeFilesTest(cli.CliTestCase):
    def check(self, path, *more):
        return cli.run("check", path, *more, timeout=60)

    def test_what_is_no_regular_file(self):
        os.mkfifo(self.folder / "pipe.yaml")
        with open(self.folder / "sparse.yaml", "wb") as file:
            file.truncate(1 << 40)
        (self.folder / "binary.yaml").write_bytes(bytes(range(256)) * 1000)
        (self.folder / "empty.yaml").write_bytes(b"")
        for name in ("pipe.yaml", "sparse.yaml", "binary.yaml", "empty.yaml", ".", "none.yaml"):
            with self.subTest(name):
                self.assert_refused(self.check(self.folder / name), 2)
        self.assert_refused(self.check("/dev/zero"), 2, "/dev/zero")
        self.assert_refused(cli.run("train", self.folder / "pipe.yaml", timeout=60), 2)
        self.assert_refused(cli.run("data", "order", self.folder / "pipe.yaml", "--steps", "1..1", timeout=60), 2)

    def test_nesting_and_aliases_without_end(self):
        bomb = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 60))
        long = "run_name: &a " + "x" * 1_000_000 + "\n" + "".join(f"k{i}: *a\n" for i in range(2000))
        for text in ("a: " + "[" * 100_000, "[" * 100_000 + "]" * 100_000, "- " * 50_000, "{a: " * 50_000, "? " * 50_000,
                     bomb, "model: &m {rope_parameters: *m}\n", "&a [*a]\n", "train: &t [*t, *t]\n", "*a : 1\n", long,
                     "optimizer: {betas: &b [*b]}\n"):
            path = self.folder / "r.yaml"
            path.write_text(text)
            with self.subTest(text=text[:40]):
                done = self.check(path)
                self.assert_refused(done, 2)
                self.assertLess(len(done.stderr), 1 << 20)

    def test_many_keys(self):
        texts = {
            "lines": "".join(f"key{i}: {i}\n" for i in range(100_000)),
            "one line": "{" + ", ".join(f"key{i}: {i}" for i in range(100_000)) + "}",
            "in a section": "train: {" + ", ".join(f"k{i}: 1" for i in range(100_000)) + "}",
            "sources": "data: {sources: [" + ", ".join("{p: 1}" for _ in range(100_000)) + "]}",
            "known": "".join("seed: x\n" for _ in range(100_000)),
        }
        for name, text in texts.items():
            path = self.folder / "r.yaml"
            path.write_text(text)
            with self.subTest(name):
                done = self.check(path)
                self.assert_refused(done, 2)
                self.assertRegex(done.stderr, r"and \d+ more")
                self.assertLess(len(done.stderr), 1 << 20)

    def test_a_long_line_shows_what_stands_around_the_place(self):
        path = self.folder / "r.yaml"
        path.write_text("{" + ", ".join(f"key{i}: ä" for i in range(1000)) + "}")
        lines = self.check(path).stderr.splitlines()
        at = next(i for i, line in enumerate(lines) if ": key50: " in line)
        self.assertEqual(lines[at + 2].index("^"), lines[at + 1].index("key50:"))
        self.assertIn(":1:%d: key50: " % (2 + sum(len(f"key{i}: ä, ") for i in range(50))), lines[at])

    def test_a_short_run_of_a_long_recipe(self):
        """Each complaint names an override; with all of them the run is good."""
        self.corpus()
        cases = (
            ("{name: cosine, warmup_steps: 100, min_lr: 0.001}", ["train.max_steps=5"]),
            ("{name: cosine, warmup_steps: 100, min_lr: 0.001}", ["train.max_tokens=2000", "train.max_steps=3"]),
            ("{name: linear, warmup_steps: 12, min_lr: 0.002}", ["optimizer.lr=0.001", "train.max_steps=2"]),
            ("{name: constant}", ["parallel.pp=8"]),
            ("{name: constant}", ["parallel.pp=2", "pipeline.schedule=interleaved", "pipeline.chunks=3"]),
            ("{name: constant}", ["parallel.pp=2", "pipeline.stage_split=[1,2]"]),
            ("{name: constant}", ["data.validation_interval=2"]),
            ("{name: constant}", ["pipeline.patience_ms=-0.5"]),
        )
        for scheduler, words in cases:
            with self.subTest(words=words):
                recipe = self.recipe(lr_scheduler=scheduler)
                done = self.check(recipe, *words)
                self.assert_refused(done, 2)
                tries = re.findall(r"try ([a-z_]+\.[a-z_]+=\S+)", done.stderr)
                self.assertTrue(tries, done.stderr)
                self.assert_ok(self.check(recipe, *words, *tries))


if __name__ == "__main__":
    unittest.main()
