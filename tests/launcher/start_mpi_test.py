"""Ranks that were started with different things: rank 0 says what differs, nobody makes a step or writes anything."""
import pathlib
import shutil

import cli


class StartTest(cli.CliTestCase):
    def setUp(self):
        super().setUp()
        self.corpus()
        self.path = self.recipe(parallel="{dp: 2}")
        self.run_folder = self.folder / "run"

    def start(self, first, second, command="train"):
        """Two ranks, each with words of its own, or with another program: a list that begins with its path."""
        script = self.folder / "rank.sh"
        lines = ['if [ "$OMPI_COMM_WORLD_RANK" = 0 ]; then']
        for words in (first, second):
            program = [*words] if isinstance(words, list) else [cli.BINARY, command, self.path, *words]
            lines += ["exec " + " ".join(f"'{word}'" for word in program), "else"]
        script.write_text("\n".join([*lines[:-1], "fi"]) + "\n")
        return cli.run_command([*cli.mpirun(2), "sh", script], timeout=60)

    def refused(self, first, second, *words, code=2, **more):
        done = self.start(first, second, **more)
        self.assert_refused(done, code, *words)
        self.assertEqual(done.stdout, "")
        self.assertFalse(self.run_folder.exists())
        return done.stderr

    def test_a_key_that_differs_is_named_with_both_values(self):
        text = self.refused((), ("optimizer.lr=0.5",), "optimizer.lr: got 0.003 on rank 0", ", 0.5 on rank 1")
        self.assertEqual(text.count("optimizer.lr"), 1)

    def test_all_keys_that_differ_are_named(self):
        self.refused(("seed=1", "train.max_steps=4", "pipeline.schedule=gpipe"),
                     ("seed=2", "train.max_steps=8", "precision=bf16", "lr_scheduler.warmup_steps=2"),
                     "seed: got 1 on rank 0", "and train.max_steps: got 4 on", "and pipeline.schedule: got gpipe on",
                     "and precision: got f32 on", "and lr_scheduler.warmup_steps: got 0 on")

    def test_the_command_and_its_options_are_compared(self):
        self.refused((), ("--resume", "auto"), "--resume: got never on rank 0", "auto on rank 1")
        self.refused((), [cli.BINARY, "bench", "train", self.path, "--random-data"], "the command: got train on rank 0")

    def test_plan_profile_compares_too(self):
        self.refused(("--profile",), ("--profile", "train.seq_len=16"), "train.seq_len: got 32 on rank 0",
                     command="plan")

    def test_another_build_of_the_program_is_refused(self):
        other = self.folder / "ropewalk"
        data = pathlib.Path(cli.BINARY).read_bytes()
        note = data.index(b"GNU\0", data.index(b"\x14\0\0\0\3\0\0\0GNU\0")) + 4  # the build id, 20 bytes
        other.write_bytes(data[:note] + bytes(20) + data[note + 20:])
        shutil.copymode(cli.BINARY, other)
        self.refused((), [other, "train", self.path], "the program: got version", "build " + "00" * 20 + " on rank 1")

    def test_a_recipe_that_is_bad_on_one_rank_ends_the_job(self):
        self.refused((), ("train.lrx=3",), "rank 1 (", "unknown key 'lrx'")
        self.refused(("train.lrx=3",), (), "unknown key 'lrx'")
        self.refused((), ("parallel.dp=4",), "rank 1 (", "got dp 4 · pp 1 = 4 ranks, want 2")
        self.refused((), ("--frob",), "rank 1 (", "--frob")

    def test_a_file_that_one_host_lacks_is_said_with_the_host(self):
        self.refused((), (f"data.sources=[{{path: {self.folder}/none.h5}}]",), "rank 1 (", "none.h5", "no such file")
        self.refused((), [cli.BINARY, "train", self.folder / "none.yaml"], "rank 1 (", "none.yaml")

    def test_launchers_that_tell_each_rank_something_else(self):
        lie = ["env", "OMPI_COMM_WORLD_SIZE=3", cli.BINARY, "train", self.path]
        self.refused((), lie, "rank 1 (", "got dp 2 · pp 1 = 2 ranks, want 3")
        lie += ["parallel.dp=3", "train.global_batch_size=6"]
        text = self.refused(lie, lie, "got rank 0 of 3", "got rank 1 of 3", "a world of 2")
        self.assertNotIn("a bug", text)

    def test_what_each_rank_may_have_of_its_own_is_not_compared(self):
        done = self.start(("data.loader_threads=1", "train.max_steps=1"),
                          ("data.loader_threads=2", "data.prefetch_steps=2", "train.max_steps=1"))
        self.assert_ok(done)

    def test_threads_that_differ_are_said_and_train(self):
        done = self.start(["env", "OMP_NUM_THREADS=1", cli.BINARY, "train", self.path, "train.max_steps=1"],
                          ["env", "OMP_NUM_THREADS=2", cli.BINARY, "train", self.path, "train.max_steps=1"])
        self.assert_ok(done)
        self.assertEqual(done.stderr.count("ranks differ: 1 threads"), 1, done.stderr)

    def beside(self, name, *words):
        """The command that trains in a folder of its own."""
        (self.folder / name).mkdir(exist_ok=True)
        return ["env", "-C", self.folder / name, cli.BINARY, "train", self.path, *words]

    def test_corpora_that_differ_under_one_name_are_refused(self):
        for name, text in (("a", None), ("b", "rope " * 20000)):
            (self.folder / name).mkdir()
            self.corpus(name + "/c.h5", text=text)
        words = ("data.sources=[{path: c.h5}]",)
        self.refused(self.beside("a", *words), self.beside("b", *words), "data.sources[0].path: got c.h5: ",
                     "on rank 1")

    def test_weights_that_differ_under_one_name_are_refused(self):
        for name, seed in (("a", 1), ("b", 2)):
            out = self.folder / f"first{seed}"
            self.assert_ok(cli.run("train", self.recipe(), f"output_dir={out}", f"seed={seed}", "train.max_steps=1"))
            (self.folder / name).mkdir()
            shutil.copytree(out / "final", self.folder / name / "model")
        self.path = self.recipe(parallel="{dp: 2}", model="{from: model}")
        self.refused(self.beside("a"), self.beside("b"), "model.from/model.safetensors: got ")

    def test_an_output_dir_that_ranks_do_not_share_is_refused(self):
        done = self.start(self.beside("a", "output_dir=out"), self.beside("b", "output_dir=out"))
        self.assert_refused(done, 2, "output_dir: rank 1 on ", "/b/out")
        self.assertNotIn("step ", done.stdout)
        self.assertFalse((self.folder / "b" / "out").exists())

    def test_a_log_that_one_rank_cannot_write_ends_the_job(self):
        (self.run_folder / "log" / "rank-1.txt").mkdir(parents=True)
        self.assert_refused(self.start((), ()), 74, "rank-1.txt")
