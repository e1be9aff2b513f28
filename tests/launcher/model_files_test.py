"""Files of a model folder that are not what they claim to be: the right exit code and a place, at once."""
import json
import os
import struct

import cli

DEEP = "[" * 100000


def read_safetensors(path):
    data = path.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    return json.loads(data[8:8 + length]), data[8 + length:]


def write_safetensors(path, header, data):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


class ModelFilesTest(cli.CliTestCase):
    def setUp(self):
        super().setUp()
        self.corpus()
        self.assert_ok(cli.run("train", self.recipe(), "train.max_steps=2"))
        self.model = self.folder / "run" / "final"

    def generate(self, *args, code=0):
        done = cli.run("generate", "--model", self.model, "--max-new-tokens", 8, "--ignore-eos", *args, timeout=20)
        self.assertEqual(done.returncode, code, done.stdout[-500:] + done.stderr[-2000:])
        return done

    def ids(self, *args):
        done = self.generate("--prompt-ids", "72 101 108", "--json", *args)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def refuse(self, *words, code=65, args=("--prompt-ids", "72 101")):
        """Both commands refuse it alike, within seconds."""
        ids = self.folder / "ids.txt"
        ids.write_text("1 2 3")
        for done in (cli.run("generate", "--model", self.model, "--max-new-tokens", 1, *args, timeout=20),
                     cli.run("eval", "--model", self.model, "--token-ids", ids, timeout=20)):
            self.assert_refused(done, code, *words)
            self.assertLess(len(done.stderr), 2000)

    def config(self, name="config.json", **changes):
        path = self.model / name
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    def test_ids_need_no_tokenizer(self):
        want = self.ids()
        self.assertEqual(want[0]["text"], None)
        ids = self.folder / "ids.txt"
        ids.write_text("1 2 3 4 5")
        loss = cli.run("eval", "--model", self.model, "--token-ids", ids, "--json").stdout
        tokenizer = self.model / "tokenizer.json"
        for name in (tokenizer, self.model / "tokenizer_config.json"):
            name.unlink()

        def sparse():
            with tokenizer.open("w") as file:
                file.truncate(1 << 40)

        for make in (lambda: None, lambda: tokenizer.write_text("{"), lambda: tokenizer.write_text(DEEP), tokenizer.mkdir,
                     lambda: os.mkfifo(tokenizer), sparse, lambda: tokenizer.write_text('{"model": {"type": "Unigram"}}')):
            if tokenizer.is_dir():
                tokenizer.rmdir()
            elif tokenizer.exists():
                tokenizer.unlink()
            make()
            self.assertEqual(self.ids(), want)
            done = cli.run("eval", "--model", self.model, "--token-ids", ids, "--json")
            self.assertEqual(done.stdout, loss, done.stderr)
        self.assertEqual(self.generate("--prompt-ids", "72 101 108").stdout,
                         " ".join(map(str, want[0]["token_ids"])) + "\n")
        self.generate("--prompt", "a", code=65)

    def test_a_checkpoint_needs_no_corpus_for_ids(self):
        want = self.ids()
        (self.folder / "corpus.h5").unlink()
        self.model = self.folder / "run"
        self.assertEqual(self.ids(), want)

    def test_end_of_text_of_another_type(self):
        for name in ("config.json", "generation_config.json"):
            for value in ([2, None], [[2]], ["</s>"], "2", 2.0, -1, 1 << 40, True, {"a": 1}, [2, True]):
                self.config(name, eos_token_id=value)
                self.refuse(f"{name}: eos_token_id")
            for value in ([2, 3], 2, None, []):
                self.config(name, eos_token_id=value)
                self.ids()
        self.config(bos_token_id="<s>")
        self.refuse("config.json: bos_token_id: got \"<s>\"")

    def test_scalars_of_another_type(self):
        for key, value in (("hidden_size", "32"), ("num_hidden_layers", 4.0), ("vocab_size", None), ("rms_norm_eps", "1e-6"),
                           ("tie_word_embeddings", "false"), ("model_type", 7), ("hidden_act", []), ("layer_types", 3),
                           ("rope_scaling", "linear"), ("rope_parameters", {"rope_type": "llama3", "factor": "8"}),
                           ("num_attention_heads", -4), ("intermediate_size", 10**30), ("rope_theta", True)):
            before = (self.model / "config.json").read_text()
            self.config(**{key: value})
            self.refuse(f"config.json: {key}")
            (self.model / "config.json").write_text(before)

    def test_syntax_has_a_place(self):
        for name in ("config.json", "generation_config.json"):
            before = (self.model / name).read_text()
            for text, words in (('{\n  "a": 1,\n}', ":3:1: got `}`, want a key in double quotes"), ("", ":1:1: got"),
                                ('{"a": NaN}', ":1:7: got `NaN`"), ('{"a": 1} {"b": 2}', ":1:10: got `{`"),
                                ('{"a": 1, "a": 2}', ":1:10: got the key \"a\" a second time (first at 1:2)"),
                                ('{"a": ' + DEEP, "nested more than 128 deep"), ('{"a": 1e999}', ":1:7: got the number 1e999"),
                                ('["model_type"]', ": got [\"model_type\"], want a JSON object")):
                (self.model / name).write_text(text)
                self.refuse(name + words if words.startswith(":") else words)
            (self.model / name).write_bytes(b'{"a": "\xff"}')
            self.refuse(f"{name}:1:8: got byte 0xff")
            (self.model / name).write_text(before)

    def test_no_regular_file(self):
        for name in ("config.json", "generation_config.json", "model.safetensors"):
            path = self.model / name
            kept = path.read_bytes()

            def sparse(path=path):
                with path.open("w") as file:
                    file.truncate(1 << 40)

            for make in (lambda: os.mkfifo(path), lambda: path.symlink_to("/dev/zero"), sparse):
                path.unlink()
                make()
                self.refuse(name)
            path.unlink()
            path.write_bytes(kept)

    def test_safetensors_headers(self):
        path = self.model / "model.safetensors"
        header, data = read_safetensors(path)
        name = next(key for key in header if key.endswith("norm.weight"))
        entry = header[name]
        many = {f"x{i}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for i in range(100000)}
        for changed, word in (({**header, name: 3}, f"tensor {name}: got 3"),
                              ({**header, name: {**entry, "shape": [1 << 40, 1 << 40]}}, "shape"),
                              ({**header, name: {**entry, "shape": "32"}}, "shape: got"),
                              ({**header, name: {**entry, "data_offsets": [1 << 63, 0]}}, "data_offsets[0]: got"),
                              (many, "is missing"),
                              (b'{"a":' + DEEP.encode(), "nested more than 128 deep"),
                              (b'{"a":' + b'{"b":' * 100000, "nested more than 128 deep")):
            write_safetensors(path, changed, b"" if changed is many else data)
            self.refuse("model.safetensors" if changed is not many else "", word)
        path.write_bytes(struct.pack("<Q", 1 << 63) + b"{}")
        self.refuse("the header claims 9223372036854775808 bytes")
        path.unlink()
        index = self.model / "model.safetensors.index.json"
        for text, word in (('{"weight_map": {"a": 1}}', "weight_map: a: got 1"), ('{"weight_map": 7}', "weight_map: got 7"),
                           ('{"weight_map": ' + DEEP, "nested more than 128 deep"), ("{\n}", "no `weight_map`"),
                           ("{\n x}", "index.json:2:2: got `x`")):
            index.write_text(text)
            self.refuse("model.safetensors.index.json", word)
        index.write_text(json.dumps({"weight_map": {f"x{i}": f"s{i}" for i in range(100000)}}))
        self.refuse("s0", code=66)

    def test_models_that_fit_nowhere(self):
        for changes in ({"hidden_size": 1 << 30}, {"num_hidden_layers": 1 << 30}, {"vocab_size": (1 << 31) - 1},
                        {"intermediate_size": 1 << 30}, {"head_dim": 1 << 30}):
            before = (self.model / "config.json").read_text()
            self.config(**changes)
            self.refuse("4294967296" if "head_dim" in changes else str(next(iter(changes.values()))))
            (self.model / "config.json").write_text(before)

    def test_weights_larger_than_memory(self):
        """Files that hold what config.json says, without a byte on the disk."""
        self.config(intermediate_size=1 << 30)
        path = self.model / "model.safetensors"
        header, _ = read_safetensors(path)
        at = 0
        for name, entry in header.items():
            if name == "__metadata__":
                continue
            shape = [1 << 30 if size == 64 else size for size in entry["shape"]]
            elems = 1
            for size in shape:
                elems *= size
            header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [at, at + 4 * elems]}
            at += 4 * elems
        write_safetensors(path, header, b"")
        with path.open("r+b") as file:
            file.truncate(path.stat().st_size + at)
        self.refuse("the weights take 1.5 TiB", "available on this machine")

    def test_names_without_the_trunk_and_prefixes(self):
        want = self.ids("--temperature", 1)
        path = self.model / "model.safetensors"
        header, data = read_safetensors(path)

        def rename(other):
            write_safetensors(path, {other(name) if name != "__metadata__" else name: entry
                                     for name, entry in header.items()}, data)

        rename(lambda name: name.removeprefix("model."))
        self.assertEqual(self.ids("--temperature", 1), want)
        self.assert_ok(cli.run("train", self.recipe(output_dir=str(self.folder / "again")), "train.max_steps=1",
                               f"model.from={self.model}"))
        for prefix, who in (("_orig_mod.", "torch.compile"), ("module.", "DistributedDataParallel"),
                            ("module._orig_mod.", "torch.compile and DistributedDataParallel")):
            rename(lambda name, prefix=prefix: prefix + name)
            self.refuse(f"begin with `{prefix}`", who, f"--strip-prefix {prefix}`")
            self.assertEqual(self.ids("--temperature", 1, "--strip-prefix", prefix), want)
            ids = self.folder / "ids.txt"
            self.assert_ok(cli.run("eval", "--model", self.model, "--token-ids", ids, "--strip-prefix", prefix))
            rename(lambda name, prefix=prefix: prefix + name.removeprefix("model."))
            self.assertEqual(self.ids("--temperature", 1, "--strip-prefix", prefix), want)
        self.generate("--prompt-ids", "1", "--strip-prefix", "other.", code=2)
        self.generate("--prompt-ids", "1", "--strip-prefix", "", code=2)
        self.model = self.folder / "run"
        self.generate("--prompt-ids", "1", "--strip-prefix", "module.", code=2)

    def test_token_ids_out_of_range(self):
        ids = self.folder / "ids.txt"
        for text in ("1 2147483648", "1 -1", "1 320", "1 9999999999999999999999", "1 2.0", "1 0x10", "[1, 2]"):
            ids.write_text(text)
            self.assert_refused(cli.run("eval", "--model", self.model, "--token-ids", ids), 65)
        for text, code in (("2147483648", 65), ("-1", 2), ("320", 2), ("1e3", 65)):
            self.generate("--prompt-ids", text, code=code)

    def test_deep_or_wrong_lines_of_prompts(self):
        path = self.folder / "prompts.jsonl"
        keys = ", ".join(f'"k{i}": 1' for i in range(100000))
        for line, word in ((DEEP, "nested more than 128 deep"), ('{"prompt_ids": [' + DEEP, "nested more than 128 deep"),
                           ('{"prompt": "a"', ":15: got the end of the text"), ("{" + keys + "}", "an object of 100000 keys"),
                           ('{"prompt_ids": [1, 2147483648]}', "prompt_ids[1]: got 2147483648")):
            path.write_text('{"prompt_ids": [1]}\n\n' + line + "\n")
            done = self.generate("--prompts", path, code=65)
            self.assertIn("prompts.jsonl:3", done.stderr)
            self.assertIn(word, done.stderr)
            self.assertNotIn("json.exception", done.stderr)
            self.assertLess(len(done.stderr), 2000)


class SamplesTest(cli.CliTestCase):
    def test_each_sample_has_numbers_of_its_own(self):
        self.corpus()
        self.assert_ok(cli.run("train", self.recipe(), "train.max_steps=2"))

        def generate(*args):
            done = cli.run("generate", "--model", self.folder / "run" / "final", "--max-new-tokens", 12, "--ignore-eos",
                           "--temperature", 1, "--seed", 4, "--json", *args)
            self.assert_ok(done)
            return done.stdout.splitlines()

        one = generate("--prompt", "Once")
        five = generate("--prompt", "Once", "--samples", 5)
        self.assertEqual(five[:1], one)
        self.assertEqual(len(set(five)), 5)
        self.assertEqual(generate("--prompt", "Once", "--samples", 3), five[:3])
        other = generate("--prompt", "upon", "--samples", 5)
        for batch in (1, 2, 3, 16):
            both = generate("--prompt", "Once", "--prompt", "upon", "--samples", 5, "--batch-size", batch)
            self.assertEqual(both, five + other)
        self.assertEqual(len(generate("--prompt-ids", "1", "--prompt-ids", "2", "--prompt-ids", "3", "--samples", 2)), 6)

    def test_what_cannot_differ_is_refused(self):
        self.assert_refused(cli.run("generate", "--model", ".", "--prompt", "a", "--samples", 2), 2, "--samples", "--temperature 1")
        self.assert_refused(cli.run("generate", "--model", ".", "--prompt", "a", "--samples", 0), 2, "--samples")
