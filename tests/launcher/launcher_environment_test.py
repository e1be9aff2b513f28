"""What a launcher's environment says, without its MPI behind it; commands without ranks do not listen to it."""
import json

import cli

SIZES = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS", "SLURM_NTASKS", "SLURM_NPROCS")


class LauncherEnvironmentTest(cli.CliTestCase):
    def setUp(self):
        super().setUp()
        self.corpus()

    def train(self, *words, **environment):
        return cli.run("train", self.recipe(), "train.max_steps=2", *words, env=environment, timeout=60)

    def refused(self, *words, recipe=(), **environment):
        done = self.train(*recipe, **environment)
        self.assert_refused(done, 2, *words)
        self.assertEqual((done.stdout, done.stderr.count("ropewalk: ")), ("", 1), done.stderr)
        self.assertFalse((self.folder / "run").exists())

    def test_a_rank_without_a_size_names_the_variables_looked_for(self):
        for variable in ("PMIX_RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK", "SLURM_PROCID"):
            with self.subTest(variable):
                self.refused(variable + "=1", *SIZES, **{variable: "1"})

    def test_values_that_are_no_ranks_are_refused(self):
        for rank, size in (("", "2"), ("-1", "2"), ("abc", "2"), ("1099511627776", "2"), ("2", "2"), ("0", "0"),
                           ("0", "two"), ("0", "1099511627776"), ("1.5", "2")):
            with self.subTest(rank=rank, size=size):
                self.refused("PMI_", PMI_RANK=rank, PMI_SIZE=size)

    def test_a_launcher_of_another_mpi_is_named_with_both_sizes(self):
        for rank, environment in ((0, {"PMI_RANK": "0", "PMI_SIZE": "2"}), (1, {"PMI_RANK": "1", "PMI_SIZE": "2"}),
                                  (0, {"SLURM_PROCID": "0", "SLURM_NTASKS": "2"}),
                                  (1, {"PMIX_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2"})):
            with self.subTest(environment):
                self.refused(f"got rank {rank} of 2", "a world of 1", "do not belong together",
                             recipe=("parallel.dp=2",), **environment)

    def test_one_rank_recipes_under_one_srun_are_jobs_of_their_own(self):
        for rank in range(3):
            environment = {"SLURM_PROCID": str(rank), "SLURM_NTASKS": "3", "SLURM_LOCALID": str(rank),
                           "SLURM_JOB_ID": "7", "SLURM_STEP_ID": "0"}
            out = self.folder / f"task{rank}"
            done = self.train(f"output_dir={out}", f"seed={rank}", **environment)
            self.assert_ok(done)
            self.assertIn(f"seed: {rank}", done.stdout)
            self.assertIn("done: ", done.stderr)
            self.assertEqual(json.loads((out / "env.json").read_text())["communicator"], "local")
        self.assertNotEqual(cli.losses(self.folder / "task1"), cli.losses(self.folder / "task2"))
        self.assert_refused(self.train("train.lrx=1", **environment), 2, "unknown key 'lrx'")

    def test_a_one_rank_recipe_under_mpirun_still_wants_one_rank(self):
        done = cli.run("train", self.recipe(), ranks=2)
        self.assert_refused(done, 2, "parallel: got dp 1 · pp 1 = 1 ranks, want 2")
        self.assertEqual((done.stdout, done.stderr.count("parallel: got")), ("", 1))

    def test_commands_without_ranks_always_speak(self):
        recipe = self.recipe()
        for environment in ({"SLURM_PROCID": "3"}, {"PMI_RANK": "1", "PMI_SIZE": "2"}, {"PMIX_RANK": "abc"}):
            with self.subTest(environment):
                check = cli.run("check", recipe, "--json", env=environment)
                self.assert_ok(check)
                self.assertTrue(json.loads(check.stdout)["ok"])
                self.assert_refused(cli.run("check", recipe, "train.lrx=1", env=environment), 2, "unknown key 'lrx'")
                self.assert_refused(cli.run("check", recipe, "--frob", env=environment), 2, "--frob")
                self.assert_refused(cli.run("plan", recipe, "parallel.pp=2", env=environment), 2, "topology.json")
                self.assert_ok(cli.run("data", "inspect", self.folder / "corpus.h5", env=environment))
                self.assert_refused(cli.run("data", "inspect", self.folder / "none.h5", env=environment), 66, "none.h5")
        both = cli.run("check", recipe, ranks=2)
        self.assert_ok(both)
        self.assertEqual(both.stdout.count("output_dir: "), 2)
