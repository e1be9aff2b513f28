"""Tokenizers of other people: the ids of the `tokenizers` package, or a refusal that says why."""
import copy
import json
import subprocess
import sys
import unittest

import cli

GOLDEN = cli.SOURCE / "tests/golden/tokenizers"


class TokenizerTest(cli.CliTestCase):
    def setUp(self):
        super().setUp()
        self.file = json.loads((GOLDEN / "digits.json").read_text())
        self.text = self.folder / "text.txt"

    def tokenizer(self, file, name="tokenizer.json"):
        path = self.folder / name
        path.write_text(file if isinstance(file, str) else json.dumps(file))
        return path

    def refused(self, file, *parts):
        """By encode and by build, with 65 and without a corpus."""
        self.text.write_text("The rope walk.")
        path = self.tokenizer(file)
        for command in (["encode", "--json"], ["build", "--out", self.folder / "c.h5"]):
            done = cli.run("data", command[0], "--tokenizer", path, *command[1:], self.text)
            self.assert_refused(done, 65, "tokenizer.json", *parts)
            self.assertNotIn("a bug", done.stderr)
        self.assertFalse((self.folder / "c.h5").exists())
        return done.stderr

    def test_ids_and_texts_of_the_package(self):
        for line in (GOLDEN / "texts.jsonl").read_text().splitlines()[::6]:
            one = json.loads(line)
            for style in ("digits", "digit_runs", "removed", "nfkc", "unknown"):
                self.text.write_bytes(one["text"].encode())
                if not one["text"] or "\0" in one["text"]:
                    continue
                done = cli.run("data", "encode", "--tokenizer", GOLDEN / f"{style}.json", "--json", self.text)
                self.assert_ok(done)
                self.assertEqual(json.loads(done.stdout), one[style], (style, one["text"]))
                ids = self.folder / "ids.txt"
                ids.write_text(" ".join(map(str, one[style])))
                back = subprocess.run([cli.BINARY, "data", "decode", "--tokenizer", GOLDEN / f"{style}.json", ids],
                                      stdout=subprocess.PIPE, check=True).stdout
                self.assertEqual(back.decode(errors="replace").rstrip("\n"),
                                 one["decoded"].get(style, one["text"]).rstrip("\n"))

    def test_build_and_export_carry_the_tokenizer_unchanged(self):
        self.text.write_text("The rope walk, 1234 ropes in 2024. " * 200)
        self.assert_ok(cli.run("data", "build", "--tokenizer", GOLDEN / "digits.json", "--out",
                               self.folder / "corpus.h5", self.text))
        self.assert_ok(cli.run("train", self.recipe(), "model.vocab_size=448", "train.max_steps=2",
                               "lr_scheduler.warmup_steps=1"))
        final = self.folder / "run/final"
        self.assertEqual((final / "tokenizer.json").read_bytes(), (GOLDEN / "digits.json").read_bytes())
        self.assertEqual(json.loads((final / "tokenizer_config.json").read_text())["eos_token"], "<|endoftext|>")
        done = cli.run("generate", "--model", final, "--prompt", "The 12", "--max-new-tokens", "2", "--temperature", "0",
                       "--json")
        self.assert_ok(done)

    def test_what_is_not_supported_is_named(self):
        for part, value, name in (("pre_tokenizer", {"type": "Metaspace"}, "Metaspace"),
                                  ("pre_tokenizer", {"type": "Whitespace"}, "Whitespace"),
                                  ("normalizer", {"type": "Lowercase"}, "Lowercase"),
                                  ("model", {"type": "Unigram", "vocab": [["a", 0.0]]}, "Unigram"),
                                  ("model", {"type": "WordPiece", "vocab": {"a": 0}}, "WordPiece"),
                                  ("truncation", {"max_length": 8}, "truncation")):
            self.assertIn("tokenize_hf.py", self.refused(self.file | {part: value}, name))
        for key, value in (("byte_fallback", True), ("dropout", 0.1), ("end_of_word_suffix", "</w>")):
            self.refused(self.file | {"model": self.file["model"] | {key: value}}, f"model.{key}", json.dumps(value))

    def test_values_of_another_type_are_named(self):
        for key, value in (("vocab", []), ("merges", {}), ("unk_token", 5), ("fuse_unk", 1), ("type", 7),
                           ("ignore_merges", "no"), ("dropout", "0"), ("byte_fallback", [])):
            stderr = self.refused(self.file | {"model": self.file["model"] | {key: value}}, f"model.{key}")
            self.assertNotIn("tokenize_hf", stderr)
        for key, value in (("id", "7"), ("content", 7), ("special", 1), ("lstrip", "no"), ("id", 2**31), ("id", -1)):
            file = copy.deepcopy(self.file)
            file["added_tokens"][0][key] = value
            self.refused(file, f"added_tokens[0].{key}")
        for key, value in (("normalizer", 5), ("decoder", "ByteLevel"), ("post_processor", []), ("added_tokens", {}),
                           ("version", 1.0), ("padding", 3), ("pre_tokenizer", [1])):
            self.refused(self.file | {key: value}, key)

    def test_deep_nesting_and_no_json(self):
        self.refused('{"normalizer":' + "[" * 200000, "nested more than")
        self.refused('{"model": ' + '{"a":' * 200000, "nested more than")
        self.refused('{"version": "1.0",\n "model": nul}', "tokenizer.json:2:11")

    def test_files_that_are_no_tokenizer(self):
        files = {"vocab.json": json.dumps(self.file["model"]["vocab"]),
                 "tokenizer_config.json": json.dumps({"tokenizer_class": "GPT2Tokenizer", "eos_token": "</s>"}),
                 "merges.txt": "#version: 0.2\nt h\n",
                 "config.json": json.dumps({"model_type": "llama", "hidden_size": 8}),
                 "sentencepiece": "\n\x0e\n\x05<unk>\x15\0\0\0\0\x18\x02\n"}
        for kind, text in files.items():
            stderr = self.refused(text, "is no tokenizer.json", kind)
            self.assertNotIn("tokenize_hf", stderr)
            self.tokenize_hf(self.folder / "tokenizer.json", kind)

    def tokenize_hf(self, path, *parts):
        """The script refuses without any package, by name and without a traceback."""
        done = cli.run_command([sys.executable, "-S", cli.SOURCE / "scripts/tokenize_hf.py", "--tokenizer", path,
                                "--out", self.folder / "c.h5", self.text])
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertNotIn("Traceback", done.stderr)
        for part in parts:
            self.assertIn(part, done.stderr)

    def test_the_script_names_what_it_cannot_read(self):
        self.text.write_text("The rope walk.")
        self.tokenize_hf(self.folder, "a folder")
        self.tokenize_hf(self.folder / "none.json", "none.json", "No such file")
        self.tokenize_hf(self.tokenizer(""), "empty")
        self.tokenize_hf(self.tokenizer("{"), "tokenizer.json:1:2")
        self.tokenize_hf(self.tokenizer("[" * 100000), "nested too deeply")
        self.tokenize_hf(GOLDEN / "digits.json", "package", "is missing", "pip install")

    def test_patterns_of_pcre_and_those_that_do_not_end(self):
        step = {"type": "Split", "pattern": {"Regex": ""}, "behavior": "Isolated", "invert": False}
        file = self.file | {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [step, self.file["pre_tokenizer"]]}}
        for pattern in ("(*UTF)a", "(*LIMIT_MATCH=1)a+", "a(*COMMIT)b", "a(?C)b", "(a(?R)?)", "\\C"):
            step["pattern"]["Regex"] = pattern
            self.refused(file, pattern, "does not read either")
        step["pattern"]["Regex"] = "(a+)+b"
        self.text.write_text("a" * 2000 + "cb")
        done = cli.run("data", "encode", "--tokenizer", self.tokenizer(file), "--json", self.text, timeout=60)
        self.assert_refused(done, 65, "tokenizer.json", "match limit", "at byte 0")

    def test_the_configured_end_of_text(self):
        self.file["added_tokens"][0]["content"] = "</s>"
        self.text.write_text("The rope walk.")
        path = self.tokenizer(self.file)
        build = ["data", "build", "--tokenizer", path, "--out", self.folder / "c.h5", self.text]
        self.assert_refused(cli.run(*build), 2, "--end-token")
        for value in (5, ["</s>"], {"content": 3}, True):
            self.tokenizer({"eos_token": value}, "tokenizer_config.json")
            self.assert_refused(cli.run(*build), 65, "tokenizer_config.json", "eos_token")
        self.tokenizer({"eos_token": {"content": "</s>"}}, "tokenizer_config.json")
        self.assert_ok(cli.run(*build))

    def test_a_damaged_tokenizer_in_a_corpus_is_said_before_training(self):
        self.text.write_text("The rope walk, 1234 ropes in 2024. " * 200)
        path = self.folder / "corpus.h5"
        self.assert_ok(cli.run("data", "build", "--tokenizer", GOLDEN / "digits.json", "--out", path, self.text))
        whole = path.read_bytes()
        recipe = self.recipe()
        for old, new in ((b'"merges"', b'"merg\x00s"'), (b'"model"', b'"modem"'), (b'{"version"', b'["version"')):
            self.assertIn(old, whole)
            path.write_bytes(whole.replace(old, new))
            for command in ("check", "train"):
                done = cli.run(command, recipe, "model.vocab_size=448")
                self.assert_refused(done, 65, "corpus.h5", "tokenizer")
            self.assertFalse((self.folder / "run").exists())


if __name__ == "__main__":
    unittest.main()
