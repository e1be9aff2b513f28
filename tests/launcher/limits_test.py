"""What the machine or its limits do not give: 2 naming the variable, 69 otherwise; never a signal, never a bug."""
import os
import resource
import subprocess
import unittest

import cli

KIB = 1024


class LimitsTest(cli.CliTestCase):
    def setUp(self):
        super().setUp()
        self.corpus()
        self.number = 0

    def train(self, *more, env=None, preexec=None):
        self.number += 1
        words = [cli.BINARY, "train", self.recipe(), f"output_dir={self.folder}/out-{self.number}", "train.max_steps=2",
                 *more]
        return subprocess.run([str(word) for word in words], env={**os.environ, **(env or {})}, preexec_fn=preexec,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60, check=False)

    def test_variables_of_openmp_that_no_machine_can_serve(self):
        for name, values in (("OMP_NUM_THREADS", ("100000", "0", "-1", "abc", "4,2", "1e3", "99999999999999999999")),
                             ("OMP_THREAD_LIMIT", ("0", "x")),
                             ("OMP_STACKSIZE", ("1", "16k", "100K", "99999999G", "x", "4 M M"))):
            for value in values:
                self.assert_refused(self.train(env={name: value}), 2, f"{name}: got '{value}'")
        self.assert_refused(self.train(env={"OMP_NUM_THREADS": "3", "OMP_THREAD_LIMIT": "2"}), 2,
                            "OMP_NUM_THREADS: got 3, want at most OMP_THREAD_LIMIT, which is 2")
        self.assert_refused(cli.run("check", self.recipe(), env={"OMP_NUM_THREADS": "100000"}), 2, "OMP_NUM_THREADS")

    def test_variables_of_openmp_that_change_no_number(self):
        self.assert_ok(self.train(env={"OMP_NUM_THREADS": "2"}))
        wanted = cli.losses(self.folder / "out-1")
        for more in ({"OMP_STACKSIZE": "1M"}, {"OMP_NUM_THREADS": " 2 "}, {"OMP_THREAD_LIMIT": "2"},
                     {"OMP_DYNAMIC": "true"}):
            self.assert_ok(self.train(env={"OMP_NUM_THREADS": "2", **more}))
            self.assertEqual(cli.losses(self.folder / f"out-{self.number}"), wanted)

    def test_every_command_that_computes_refuses_threads_that_no_machine_has(self):
        self.assert_ok(self.train())
        model = self.folder / "out-1" / "final"
        for words in (["eval", "--model", model, "--text", self.folder / "corpus.h5.txt", "--seq-len", "32"],
                      ["generate", "--model", model, "--prompt", "a"], ["bench", "train", self.recipe()]):
            self.assert_refused(cli.run(*words, env={"OMP_NUM_THREADS": "100000"}), 2, "OMP_NUM_THREADS: got '100000'")

    def test_a_small_stack(self):
        for kib in (96, 128, 256, 400):
            done = self.train(preexec=lambda kib=kib: resource.setrlimit(resource.RLIMIT_STACK, (kib * KIB,) * 2))
            self.assert_refused(done, 69, "ulimit -s")
        done = self.train(preexec=lambda: resource.setrlimit(resource.RLIMIT_STACK, (512 * KIB,) * 2))
        self.assert_ok(done)

    def test_a_small_address_space(self):
        for mib in (128, 200, 300, 450, 600, 800, 1000):
            for ranks in (1, 2):
                most = (mib * KIB * KIB,) * 2
                done = self.train(f"parallel.pp={ranks}",
                                  preexec=lambda most=most: resource.setrlimit(resource.RLIMIT_AS, most))
                if done.returncode != 0:
                    self.assert_refused(done, 69, "ulimit -v")

    @unittest.skipUnless(os.geteuid() == 0, "only root can become a user whose processes are counted")
    def test_threads_that_cannot_be_started(self):
        self.folder.chmod(0o777)
        user = 54321

        def few(count):
            def limit():
                resource.setrlimit(resource.RLIMIT_NPROC, (count, count))
                os.setuid(user)
            return limit

        for count, ranks, threads in ((1, 1, 1), (2, 1, 8), (4, 1, 2), (3, 4, 1), (6, 2, 2)):
            done = self.train(f"parallel.pp={ranks}", preexec=few(count), env={"OMP_NUM_THREADS": str(threads)})
            if done.returncode != 0:
                self.assert_refused(done, 69, "ulimit -u")
            else:
                self.assertGreater(count, ranks * threads)


if __name__ == "__main__":
    unittest.main()
