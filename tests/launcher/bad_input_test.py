"""Bad input: a clear message, the right exit code, nothing half-written."""
import json
import pathlib
import resource
import signal
import struct
import subprocess

import cli


class BadInputTest(cli.CliTestCase):
    def test_missing_corpus(self):
        self.assert_refused(cli.run("train", self.recipe()), 2, "corpus.h5", "data.sources")
        self.assertFalse((self.folder / "run").exists())

    def test_empty_text(self):
        (self.folder / "empty.txt").write_text("")
        done = cli.run("data", "build", "--tokenizer", "bytes", "--out", self.folder / "c.h5", self.folder / "empty.txt")
        self.assertEqual(done.returncode, 66, done.stderr)
        self.assertFalse((self.folder / "c.h5").exists())

    def test_corpus_too_short_for_one_sample(self):
        self.corpus(text="short")
        done = cli.run("train", self.recipe())
        self.assertIn(done.returncode, (65, 66), done.stderr)
        self.assertIn("corpus.h5", done.stderr)
        self.assertFalse((self.folder / "run").exists())

    def test_a_file_that_is_no_corpus(self):
        (self.folder / "corpus.h5").write_bytes(b"not HDF5 at all" * 100)
        done = cli.run("train", self.recipe())
        self.assertIn(done.returncode, (2, 65), done.stderr)
        self.assertIn("corpus.h5", done.stderr)
        self.assertFalse((self.folder / "run").exists())

    def test_a_truncated_corpus(self):
        path = self.corpus()
        path.write_bytes(path.read_bytes()[:-3000])
        done = cli.run("train", self.recipe())
        self.assertIn(done.returncode, (2, 65), done.stderr)
        self.assertIn("corpus.h5", done.stderr)
        self.assertFalse((self.folder / "run").exists())

    def test_vocabulary_too_small(self):
        self.corpus()
        done = cli.run("train", self.recipe(), "model.vocab_size=200")
        self.assert_refused(done, 2, "model.vocab_size", "257")

    def test_more_stages_than_layers(self):
        self.corpus()
        self.assert_refused(cli.run("train", self.recipe(), "parallel.pp=5"), 2, "parallel.pp")

    def test_batch_that_does_not_divide(self):
        self.corpus()
        done = cli.run("train", self.recipe(), "train.global_batch_size=15")
        self.assert_refused(done, 2, "train.global_batch_size", "16")

    def test_heads_that_do_not_divide(self):
        self.corpus()
        done = cli.run("train", self.recipe(), "model.num_key_value_heads=3")
        self.assert_refused(done, 2, "model.num_key_value_heads")

    def test_corpora_of_two_tokenizers(self):
        self.corpus()
        text = self.folder / "more.txt"
        text.write_text("the cat sat on the mat " * 500)
        tokenizer = self.folder / "tokenizer.json"
        self.assert_ok(cli.run("data", "train-tokenizer", "--vocab-size", "270", "--out", tokenizer, text))
        self.assert_ok(cli.run("data", "build", "--tokenizer", tokenizer, "--out", self.folder / "other.h5", text))
        sources = ", ".join("{path: " + str(self.folder / name) + "}" for name in ("corpus.h5", "other.h5"))
        done = cli.run("train", self.recipe(data="{sources: [" + sources + "]}"))
        self.assertIn(done.returncode, (2, 65), done.stderr)
        self.assertIn("tokenizer", done.stderr)

    def test_validation_of_another_tokenizer(self):
        self.corpus()
        text = self.folder / "more.txt"
        text.write_text("the cat sat on the mat " * 500)
        tokenizer = self.folder / "tokenizer.json"
        self.assert_ok(cli.run("data", "train-tokenizer", "--vocab-size", "270", "--out", tokenizer, text))
        self.assert_ok(cli.run("data", "build", "--tokenizer", tokenizer, "--out", self.folder / "other.h5", text))
        data = "{sources: [{path: %s}], validation: [{path: %s}]}" % (self.folder / "corpus.h5", self.folder / "other.h5")
        for command in ("check", "train"):
            self.assert_refused(cli.run(command, self.recipe(data=data)), 65, "other.h5: made with tokenizer")
        self.assertFalse((self.folder / "run" / "final").exists())

    def test_unwritable_output_dir(self):
        self.corpus()
        (self.folder / "file").write_text("in the way")
        done = cli.run("train", self.recipe(), f"output_dir={self.folder / 'file' / 'run'}")
        self.assert_refused(done, 74, "output_dir")

    def test_a_disk_that_fills_up(self):
        """A limit on file sizes stands for a full disk: the write of the shard fails half-way."""
        self.corpus()
        def limit():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
        done = subprocess.run([cli.BINARY, "train", self.recipe(), "checkpoint.interval=4"], preexec_fn=limit,
                              capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 74, done.stderr)
        self.assertIn("r00000.shard", done.stderr)
        self.assertIn("--resume auto", done.stderr)
        run = self.folder / "run"
        self.assertEqual(list(run.glob("checkpoints/step-*")), [])
        self.assertFalse((run / "final").exists())
        self.assert_ok(cli.run("train", self.recipe(), "checkpoint.interval=4", "--resume", "auto"))
        self.assertEqual([r["step"] for r in cli.metrics(run)], list(range(1, 13)))

    def test_not_in_this_version(self):
        self.corpus()
        for change in ("method=eggroll", "method=spsa", "pipeline.schedule=file"):
            self.assert_refused(cli.run("train", self.recipe(), change), 2, "not in this version")

    def test_several_complaints_at_once(self):
        recipe = self.recipe(optimizer="{lr: fast, betaz: [0.9, 0.95]}", extra="{a: 1}")
        done = cli.run("check", recipe)
        self.assert_refused(done, 2, "optimizer.lr", "betaz", "betas", "extra")

    def test_a_bad_override(self):
        self.corpus()
        self.assert_refused(cli.run("train", self.recipe(), "train.max_stepz=3"), 2, "max_stepz", "max_steps")


class ModelFolderTest(cli.CliTestCase):
    """model.from and eval on folders that are damaged."""

    def setUp(self):
        super().setUp()
        self.corpus()
        self.assert_ok(cli.run("train", self.recipe(), "train.max_steps=2"))
        self.model = self.folder / "run" / "final"
        self.weights = self.model / "model.safetensors"
        self.ids = self.folder / "ids.txt"
        self.ids.write_text(" ".join(str(i % 250) for i in range(100)))

    def header(self):
        data = self.weights.read_bytes()
        size = struct.unpack("<Q", data[:8])[0]
        return json.loads(data[8:8 + size]), data[8 + size:]

    def write(self, header, body):
        text = json.dumps(header).encode()
        self.weights.write_bytes(struct.pack("<Q", len(text)) + text + body)

    def refused(self, *words):
        done = cli.run("eval", "--model", self.model, "--token-ids", self.ids, "--seq-len", "16", "--json")
        self.assert_refused(done, 65, *words)
        again = cli.run("train", self.recipe(model="{from: " + str(self.model) + "}"),
                        f"output_dir={self.folder / 'next'}")
        self.assertEqual(again.returncode, 65, again.stderr)
        self.assertFalse(pathlib.Path(self.folder / "next" / "final").exists())

    def test_corpus_of_another_tokenizer(self):
        """model.from goes on with its own ids: a corpus of others is refused, however the same ones are written."""
        text = self.folder / "more.txt"
        text.write_text("the cat sat on the mat " * 500)
        tokenizer = self.folder / "tokenizer.json"
        self.assert_ok(cli.run("data", "train-tokenizer", "--vocab-size", "270", "--out", tokenizer, text))
        self.assert_ok(cli.run("data", "build", "--tokenizer", tokenizer, "--out", self.folder / "other.h5", text))
        recipe = self.recipe(model="{from: " + str(self.model) + "}", output_dir=str(self.folder / "next"),
                             data="{sources: [{path: " + str(self.folder / "other.h5") + "}]}")
        for command in ("check", "train"):
            self.assert_refused(cli.run(command, recipe), 65, "other.h5: made with tokenizer", "model.from")
        theirs = json.loads(tokenizer.read_text())
        (self.model / "tokenizer.json").write_text(json.dumps(theirs, indent=1, sort_keys=True))
        self.assert_ok(cli.run("check", recipe))

    def test_the_whole_folder_is_fine(self):
        done = cli.run("eval", "--model", self.model, "--token-ids", self.ids, "--seq-len", "16", "--json")
        self.assert_ok(done)
        self.assertEqual(json.loads(done.stdout)["predicted_tokens"], 99)

    def test_weights_that_are_not_finite(self):
        header, body = self.header()
        begin, end = header["model.norm.weight"]["data_offsets"]
        self.write(header, body[:begin] + b"\xff" * (end - begin) + body[end:])
        done = cli.run("eval", "--model", self.model, "--token-ids", self.ids, "--seq-len", "16", "--json")
        self.assert_refused(done, 70, "finite")
        self.assertEqual(done.stdout, "")

    def test_a_tied_model_with_another_head(self):
        config = json.loads((self.model / "config.json").read_text())
        config["tie_word_embeddings"] = True
        (self.model / "config.json").write_text(json.dumps(config))
        self.refused("lm_head.weight is another matrix")

    def test_numbers_that_cannot_be(self):
        for option, value, want in (("--temperature", "-1", "0 to 1e6"), ("--temperature", "inf", "0 to 1e6"),
                                    ("--temperature", "nan", "0 to 1e6"), ("--top-p", "0", "0 < p <= 1"),
                                    ("--top-p", "1.5", "0 < p <= 1"), ("--batch-size", "0", "a whole number from 1"),
                                    ("--batch-size", "inf", "a whole number from 1"),
                                    ("--max-new-tokens", "-1", "a whole number from 0")):
            with self.subTest(option=option, value=value):
                done = cli.run("generate", "--model", self.model, "--prompt-ids", "1", option, value)
                self.assert_refused(done, 2, option, f"got {value}, want {want}")

    def test_missing_tensor(self):
        header, body = self.header()
        begin, end = header.pop("model.norm.weight")["data_offsets"]
        for name, entry in header.items():
            if name != "__metadata__" and entry["data_offsets"][0] >= end:
                entry["data_offsets"] = [offset - (end - begin) for offset in entry["data_offsets"]]
        self.write(header, body[:begin] + body[end:])
        self.refused("model.norm.weight")

    def test_bytes_that_belong_to_no_tensor(self):
        header, body = self.header()
        del header["model.norm.weight"]
        self.write(header, body)
        self.refused("bytes belong to none")

    def test_extra_tensor(self):
        header, body = self.header()
        header["model.extra.weight"] = header["model.norm.weight"]
        self.write(header, body)
        self.refused("model.")

    def test_wrong_shape(self):
        header, body = self.header()
        header["model.layers.0.mlp.up_proj.weight"]["shape"].reverse()
        self.write(header, body)
        self.refused("model.layers.0.mlp.up_proj.weight")

    def test_truncated_file(self):
        self.weights.write_bytes(self.weights.read_bytes()[:-100])
        self.refused("model.safetensors")

    def test_header_that_lies_about_its_size(self):
        data = self.weights.read_bytes()
        self.weights.write_bytes(struct.pack("<Q", 1 << 60) + data[8:])
        self.refused("model.safetensors")

    def test_header_that_lies_about_offsets(self):
        header, body = self.header()
        header["model.norm.weight"]["data_offsets"][1] += 4
        self.write(header, body)
        self.refused("model.norm.weight")

    def test_unknown_family(self):
        config = self.model / "config.json"
        config.write_text(config.read_text().replace('"llama"', '"mixtral"'))
        done = cli.run("eval", "--model", self.model, "--token-ids", self.ids)
        self.assert_refused(done, 2, "mixtral", "not in this version")

    def test_ids_outside_the_vocabulary(self):
        self.ids.write_text("1 2 3 5000")
        done = cli.run("eval", "--model", self.model, "--token-ids", self.ids)
        self.assert_refused(done, 65, "5000")
