"""What a corpus says of itself: covered by its digest; corpora and checkpoints of former versions are read on."""
import json
import shutil
import struct
import subprocess
import tarfile
import unittest

import cli

FORMER = cli.SOURCE / "tests" / "golden" / "former" / "run.tar.gz"  # made by the version without attributes_sha256

SCALAR = b"\1" + b"\0" * 7  # HDF5's words for the shape of one value, which stand before it
VERSION = ("schema_version", SCALAR + struct.pack("<q", 1), SCALAR + struct.pack("<q", 2))


def patched(data, name, old, new):
    """`data` with the value `old` of attribute `name` replaced by `new`, of the same length."""
    at = data.index(old, data.index(name.encode() + b"\0"))
    assert len(old) == len(new) and at - data.index(name.encode() + b"\0") < 200, name
    return data[:at] + new + data[at + len(old):]


class CorpusTest(cli.CliTestCase):
    def former(self):
        with tarfile.open(FORMER) as archive:
            archive.extractall(self.folder)

    def inspect(self, path):
        return cli.run("data", "inspect", "--json", path)

    def refusals(self, path, changes):
        whole = path.read_bytes()
        recipe = self.recipe(model=cli.TINY_MODEL.replace("320", "400"))
        for name, old, new in changes:
            with self.subTest(attribute=name):
                path.write_bytes(patched(whole, name, old, new))
                self.assert_refused(self.inspect(path), 65, path.name)
                for command in ("check", "train"):
                    done = cli.run(command, recipe, f"data.sources=[{{path: {path}}}]", f"output_dir={self.folder / 'r'}")
                    self.assertIn(done.returncode, (2, 65), command + done.stdout + done.stderr)
        path.write_bytes(whole)
        self.assert_ok(self.inspect(path))

    def test_no_attribute_can_be_changed(self):
        path = self.corpus()
        info = json.loads(self.inspect(path).stdout)
        number = [(name, struct.pack("<q", info[name]), struct.pack("<q", info[name] + 1))
                  for name in ("vocab_size", "end_of_text", "text_bytes")]
        number[1] = ("end_of_text", struct.pack("<q", 256), struct.pack("<q", 10))
        text = [(name, info[name].encode(), bytes([info[name].encode()[0] ^ 1]) + info[name].encode()[1:])
                for name in ("builder", "tokenizer_name", "tokenizer_sha256", "content_sha256", "attributes_sha256")]
        other = [VERSION, ("endian", b"little", b"bigger")]
        self.refusals(path, number + text + other)

    def test_former_corpora_are_held_against_themselves(self):
        self.former()
        path = self.folder / "corpus.h5"
        info = json.loads(self.inspect(path).stdout)
        self.assertEqual(info["attributes_sha256"], "")
        changes = [("vocab_size", 257, 258), ("end_of_text", 256, 10)]
        sha = info["tokenizer_sha256"].encode()
        self.refusals(path, [(name, struct.pack("<q", old), struct.pack("<q", new)) for name, old, new in changes]
                      + [VERSION, ("endian", b"little", b"bigger"), ("tokenizer_sha256", sha, b"0" + sha[1:] if sha[:1] != b"0" else b"1" + sha[1:])])

    def test_a_damaged_tokenizer_inside_a_corpus_is_said_before_training(self):
        path = self.corpus()
        whole = path.read_bytes()
        at = whole.index(b'"version"')
        path.write_bytes(whole[:at + 1] + b"V" + whole[at + 2:])
        recipe = self.recipe()
        for command in ("check", "train"):
            self.assert_refused(cli.run(command, recipe), 65, "the stored tokenizer is not the one of tokenizer_sha256")
        self.assertEqual(cli.metrics(self.folder / "run"), [])

    def test_a_checkpoint_with_the_former_digest_goes_on(self):
        for rebuilt in (False, True):
            shutil.rmtree(self.folder / "run", True)
            self.former()
            if rebuilt:
                self.assert_ok(cli.run("data", "build", "--tokenizer", "bytes", "--out", "corpus.h5", "t.jsonl", cwd=self.folder))
            done = cli.run("train", "recipe.yaml", "--resume", "auto", "train.max_steps=4", cwd=self.folder)
            self.assert_ok(done)
            self.assertIn("going on after step 2", done.stderr)
            self.assertEqual([record["step"] for record in cli.metrics(self.folder / "run")], [1, 2, 3, 4])
            for loss, want in zip(cli.losses(self.folder / "run"), (5.54727793, 5.52086258, 5.49709415, 5.49075985)):
                self.assertAlmostEqual(loss, want, delta=1e-5)
            again = cli.run("train", "recipe.yaml", "--resume", "auto", "train.max_steps=6", cwd=self.folder)
            self.assert_ok(again)
            self.assertIn("going on after step 4", again.stderr)

    def test_another_corpus_is_no_corpus_of_a_former_checkpoint(self):
        self.former()
        lines = self.folder / "t.jsonl"
        lines.write_text(lines.read_text().replace("rope", "rapo"))
        self.assert_ok(cli.run("data", "build", "--tokenizer", "bytes", "--out", "corpus.h5", "t.jsonl", cwd=self.folder))
        done = cli.run("train", "recipe.yaml", "--resume", "auto", "train.max_steps=4", cwd=self.folder)
        self.assert_refused(done, 2, "data")

    def test_memory_is_that_of_a_piece(self):
        """50 MB in one document without a line break: the program's data stay below 40 MB more than for a short one."""
        text = self.folder / "long.txt"
        text.write_text("green bottles hang on the wall, " * (50_000_000 // 32))
        small = self.folder / "short.txt"
        small.write_text("green bottles hang on the wall, " * 1000)
        tokenizer = self.folder / "tok.json"
        self.assert_ok(cli.run("data", "train-tokenizer", "--vocab-size", 300, "--out", tokenizer, small))

        def peak(name, path):
            script = ("import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL);"
                      "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)")
            return int(subprocess.run(["python3", "-c", script, cli.BINARY, "data", "build", "--tokenizer", str(name), "--out",
                                       str(self.folder / "m.h5"), str(path)], capture_output=True, text=True, check=True).stdout)
        for name in ("bytes", tokenizer):
            self.assertLess(peak(name, text) - peak(name, small), 150_000, name)


if __name__ == "__main__":
    unittest.main()
