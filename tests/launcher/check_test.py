"""`check` and `schema`: what they print, and that check says beforehand what train would say."""
import json
import resource

import cli


class CheckTest(cli.CliTestCase):
    def checked(self, *words):
        done = cli.run("check", self.recipe(), *words, "--json")
        return done.returncode, json.loads(done.stdout), done.stderr

    def test_a_good_recipe(self):
        self.corpus()
        code, out, errors = self.checked("parallel.pp=2")
        self.assertEqual((code, out["ok"], out["complaints"]), (0, True, []), errors)
        self.assertEqual((out["ranks"], out["stages"], len(out["memory_per_rank"])), (2, 2, 2))
        self.assertFalse(out["head_alone"])
        code, skips, said = self.checked("parallel.pp=2", "pipeline.schedule=skippipe")
        self.assertEqual((code, skips["stages"], skips["head_alone"]), (0, 3, True), said)
        self.assertGreater(out["flops_per_token"], 2 * out["parameters"])
        for rank in out["memory_per_rank"]:
            parts = rank["parts"]
            for what in ("weights", "gradients", "optimizer"):  # f32; parts of a bucket are padded to 64 bytes
                copies = 2 if what == "optimizer" else 1
                self.assertAlmostEqual(parts[what] / (4 * copies * rank["parameters"]), 1, delta=0.01)
            self.assertGreater(parts["activations"], 0)
            self.assertEqual(sum(parts.values()), rank["peak_bytes"])
        # Ranks that are threads share what a process needs once.
        once = 24 << 20
        self.assertEqual(out["memory_process_bytes"], sum(r["peak_bytes"] - once for r in out["memory_per_rank"]) + once)
        self.assertGreaterEqual(sum(rank["parameters"] for rank in out["memory_per_rank"]), out["parameters"])
        self.assertIn("\nparallel:\n  dp: 1\n  pp: 2\n", out["resolved"])
        self.assertIn(out["resolved"], errors)  # with --json the resolved recipe goes to stderr

    def test_memory_follows_recompute_and_is_what_the_run_takes(self):
        self.corpus()
        peaks = {}
        for recompute in ("none", "selective", "full"):
            words = ("train.seq_len=512", "train.micro_batch_size=8", "train.max_steps=2", "model.hidden_size=128",
                     "model.intermediate_size=384", "train.recompute=" + recompute)
            code, out, errors = self.checked(*words)
            self.assertEqual(code, 0, errors)
            peaks[recompute] = out["memory_per_rank"][0]["parts"]["activations"]
            self.assert_ok(cli.run("train", self.recipe(), *words, "--overwrite"))
            record = cli.metrics(self.folder / "run")[-1]
            got = record["mem_model_peak_bytes"]
            self.assertLess(got, record["mem_peak_bytes"])
            # What a process holds beside tensors weighs much in a model so small: benchmarks/memory measures large ones.
            self.assertLess(abs(out["memory_process_bytes"] - got), 48 << 20)
            self.assertEqual(out["memory_per_rank"][0]["peak_bytes"], out["memory_process_bytes"])  # its only rank
            self.assertGreater(out["corpus_bytes"], 0)
        self.assertGreater(peaks["none"], peaks["selective"])
        self.assertGreater(peaks["selective"], peaks["full"])

    def test_jobs_that_no_machine_here_could_run(self):
        """405B parameters, 4000 ranks, 400,000 micro-batches: neither the memory nor the plan is made to be measured."""
        self.corpus()
        large = ("model.hidden_size=16384", "model.intermediate_size=53248", "model.num_hidden_layers=126",
                 "model.num_attention_heads=128", "model.num_key_value_heads=8", "model.vocab_size=128256")
        for words, ranks in ((large, 1),
                             ((*large, "parallel.dp=31", "parallel.pp=126", "parallel.zero=1",
                               "train.global_batch_size=400024", "train.recompute=full"), 3906),
                             (("parallel.dp=4000", "train.global_batch_size=8000"), 4000),
                             (("parallel.pp=2", "pipeline.schedule=gpipe", "train.global_batch_size=400000"), 2)):
            code, out, errors = self.checked(*words)
            self.assertEqual((code, out["complaints"]), (0, []), errors)
            self.assertEqual(len(out["memory_per_rank"]), ranks)
            self.assertEqual(out["ranks"], ranks)
            once = 24 << 20
            self.assertEqual(out["memory_process_bytes"],
                             sum(r["peak_bytes"] - once for r in out["memory_per_rank"]) + once)
            for rank in out["memory_per_rank"][::500]:
                self.assertEqual(sum(rank["parts"].values()), rank["peak_bytes"])
                self.assertAlmostEqual(rank["parts"]["weights"] / (4 * rank["parameters"]), 1, delta=0.01)
        self.assertGreater(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, 0)
        self.assertLess(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, 1 << 20)  # KiB

    def test_the_resolved_recipe_is_a_recipe(self):
        self.corpus()
        resolved = self.folder / "resolved.yaml"
        resolved.write_text(self.checked()[1]["resolved"])
        done = cli.run("check", resolved, "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(json.loads(done.stdout)["resolved"], resolved.read_text())

    def test_complaints_as_json(self):
        self.corpus()
        code, out, errors = self.checked("train.seq_len=x", "lr_scheduler.warmup_step=2")
        self.assertEqual((code, out["ok"]), (2, False))
        self.assertEqual([(c["file"], c["line"], c["column"], c["key"]) for c in out["complaints"]],
                         [("command line", 1, 1, "lr_scheduler.warmup_step"),
                          ("command line", 1, 15, "train.seq_len")])
        self.assertEqual(errors.count("command line:1:15: train.seq_len: got 'x'"), 1)

    def test_a_vocabulary_too_small(self):
        self.corpus()
        code, out, _ = self.checked("model.vocab_size=256")
        self.assertEqual((code, [c["key"] for c in out["complaints"]]), (2, ["model.vocab_size"]))

    def test_a_device_that_cannot_train_is_refused_as_by_train(self):
        self.corpus()
        code, out, errors = self.checked("device=cuda")
        self.assertEqual((code, out["ok"]), (69, False), errors)
        self.assertIn("device: got 'cuda', want cpu", out["error"])
        done = cli.run("train", self.recipe(), "device=cuda")
        self.assertEqual((done.returncode, done.stderr), (code, errors))

    def test_recipes_that_cannot_be_read_say_why(self):
        (self.folder / "empty.yaml").write_text("")
        for name, why in ((".", "it is a folder"), ("empty.yaml", "it is empty"), ("none.yaml", "no such file")):
            self.assert_refused(cli.run("check", self.folder / name), 2, f"cannot read this recipe: {why}")

    def test_corpora_that_cannot_be_read(self):
        code, out, errors = self.checked()
        self.assertEqual((code, out["complaints"][0]["key"]), (2, "data.sources[0].path"), errors)
        (self.folder / "corpus.h5").write_bytes(b"no HDF5" * 100)
        code, out, errors = self.checked()
        self.assertEqual((code, out["ok"], out["complaints"]), (65, False, []), errors)
        self.assertIn("corpus.h5", out["error"])
        (self.folder / "corpus.h5").write_bytes(b"")
        self.assertEqual(self.checked()[0], 66)

    def test_a_corpus_too_short(self):
        self.corpus()
        code, out, _ = self.checked("train.seq_len=1000000")
        self.assertEqual(code, 65)
        self.assertIn("want at least train.seq_len + 1 = 1000001", out["error"])

    def test_nothing_is_written(self):
        self.corpus()
        recipe = self.recipe()
        before = sorted(self.folder.rglob("*"))
        self.assert_ok(cli.run("check", recipe))
        self.assertEqual(sorted(self.folder.rglob("*")), before)


class SchemaTest(cli.CliTestCase):
    def test_markdown_is_the_page_in_docs(self):
        self.assertEqual(cli.run("schema", "--markdown").stdout, (cli.SOURCE / "docs/recipe.md").read_text())

    def test_the_schema_names_every_section(self):
        schema = json.loads(cli.run("schema").stdout)
        self.assertEqual(schema["$schema"], "https://json-schema.org/draft/2020-12/schema")
        for section in ("model", "parallel", "pipeline", "train", "optimizer", "lr_scheduler", "data", "checkpoint",
                        "log", "watchdog"):
            self.assertEqual(schema["properties"][section]["type"], "object", section)
            self.assertIs(schema["properties"][section]["additionalProperties"], False)
        self.assertEqual(sorted(schema["required"]),
                         ["data", "method", "model", "optimizer", "output_dir", "train"])
        self.assertEqual(schema["properties"]["pipeline"]["properties"]["schedule"]["enum"],
                         ["gpipe", "1f1b", "interleaved", "zero_bubble", "skippipe"])
