"""Hosts for the scripts beside this file: network namespaces on one machine, and mpirun across them. Needs root, ip, tc.

The namespaces go with the `with` block, also when the script is stopped by a signal.
"""
import atexit
import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile


def call(*command, **options):
    return subprocess.run(list(map(str, command)), check=True, text=True, **options)


def needs_root(script):
    """Ends the program with a message where namespaces cannot be made."""
    if os.geteuid() != 0:
        sys.exit(f"{script}: needs root for network namespaces")


class Hosts:
    """Namespaces, each a host with the interface eth0; `join` connects them, in the subclass."""

    def __init__(self, count):
        self.names = [f"rw{os.getpid()}{chr(ord('a') + i)}" for i in range(count)]
        self.folder = None
        self.priority = 0  # of mpirun and its ranks: real time (chrt -f) when > 0

    def __enter__(self):
        atexit.register(self.remove)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: sys.exit(1))  # atexit removes
        self.folder = tempfile.TemporaryDirectory(prefix="ropewalk-network-")
        for name in self.names:
            call("ip", "netns", "add", name)
        self.join()
        for i, name in enumerate(self.names):
            call("ip", "-n", name, "addr", "add", f"10.77.0.{i + 1}/24", "dev", "eth0")
            call("ip", "-n", name, "link", "set", "eth0", "up")
            call("ip", "-n", name, "link", "set", "lo", "up")
        agent = pathlib.Path(self.folder.name, "agent.sh")
        # "agent [options] host command…": what mpirun takes for a remote shell. Its own host name and TMPDIR keep Open MPI
        # from taking the hosts for one.
        agent.write_text("#!/bin/bash\nwhile [[ $1 == -* ]]; do shift; done\nhost=$1; shift\n"
                         f"export TMPDIR={self.folder.name}/$host; mkdir -p $TMPDIR\n"
                         'exec ip netns exec "$host" unshare --uts -- bash -c "hostname $host; $*"\n')
        agent.chmod(0o755)
        return self

    def __exit__(self, *_):
        self.remove()

    def join(self):
        raise NotImplementedError

    def shape(self, name, rate, burst, latency):
        call("ip", "netns", "exec", name, "tc", "qdisc", "replace", "dev", "eth0", "root", "tbf", "rate", rate,
             "burst", burst, "latency", latency)

    def mpirun(self, *command, timeout, stdout=None, ranks=None):
        """One rank in each of the first `ranks` namespaces (default: all), one thread a rank; what rank 0 printed."""
        names = self.names[:ranks]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OMPI_ALLOW_RUN_AS_ROOT": "1",
                       "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "TMPDIR": f"{self.folder.name}/{names[0]}"}
        os.makedirs(environment["TMPDIR"], exist_ok=True)
        line = ["ip", "netns", "exec", names[0], "unshare", "--uts", "bash", "-c", 'hostname "$0"; exec "$@"', names[0],
                *(["chrt", "-f", str(self.priority)] if self.priority else []),
                "mpirun", "--bind-to", "none", "--mca", "plm_rsh_agent", f"{self.folder.name}/agent.sh",
                "--host", ",".join(f"{name}:1" for name in names), "--map-by", "node", "--mca", "btl", "tcp,self",
                "--mca", "pml", "ob1", "--mca", "btl_tcp_if_include", "eth0", "--mca", "oob_tcp_if_include", "eth0",
                "--mca", "mpi_yield_when_idle", "1", "-x", "OMP_NUM_THREADS", "-np", str(len(names)), *map(str, command)]
        process = subprocess.Popen(line, env=environment, stdout=stdout or subprocess.PIPE, stderr=subprocess.PIPE,
                                   text=True, start_new_session=True)
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            process.wait()
            raise
        if process.returncode != 0:
            raise RuntimeError(f"{' '.join(map(str, command))}: exit code {process.returncode}\n{err[-3000:]}")
        return out

    def kill(self):
        """Everything that still runs inside the namespaces."""
        for name in self.names:
            listing = subprocess.run(["ip", "netns", "pids", name], check=False, text=True, stdout=subprocess.PIPE,
                                     stderr=subprocess.DEVNULL).stdout
            for pid in listing.split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)

    def remove(self):
        atexit.unregister(self.remove)
        self.kill()
        for name in self.names:
            subprocess.run(["ip", "netns", "del", name], check=False, stderr=subprocess.DEVNULL)
        if self.folder is not None:
            self.folder.cleanup()


class VethPair(Hosts):
    """Two hosts with a link of a given rate between them; "none": unshaped."""
    # Room for the longest packet that the kernel builds: it would cut a longer one in software, which costs a tenth of two
    # cores at 1 Gbit/s and which network cards do themselves.
    BURST = "128kb"

    def __init__(self, rate):
        super().__init__(2)
        self.rate = rate

    def join(self):
        a, b = self.names
        call("ip", "link", "add", "eth0", "netns", a, "type", "veth", "peer", "name", "eth0", "netns", b)
        if self.rate != "none":
            for name in self.names:
                self.shape(name, self.rate, self.BURST, "20ms")


class Switched(Hosts):
    """Hosts behind a switch with a delay for every ordered pair, all sending at one rate."""

    # Small enough that a message of some kilobytes is held to the rate.
    BURST = "3kb"
    # Longest queue in front of the rate.
    QUEUE = "2s"

    def __init__(self, tap_switch, delay_s, rate, priority=0):
        super().__init__(len(delay_s))
        self.tap_switch, self.delay_s, self.rate, self.priority = tap_switch, delay_s, rate, priority
        self.process = None

    def join(self):
        config = pathlib.Path(self.folder.name, "switch.json")
        config.write_text(json.dumps({"devices": self.names, "delay_s": self.delay_s}))
        before = ["chrt", "-f", str(self.priority + 1)] if self.priority else []
        self.process = subprocess.Popen([*before, str(self.tap_switch), str(config)], stdout=subprocess.PIPE, text=True)
        if self.process.stdout.readline() != "ready\n":
            raise RuntimeError("tap_switch did not start")
        for name in self.names:
            call("ip", "link", "set", name, "netns", name, "name", "eth0")
            call("ip", "-n", name, "link", "set", "eth0", "up")
            self.shape(name, self.rate, self.BURST, self.QUEUE)
            # Messages leave whole: no growing window, which would cost short ones a round trip or two.
            for key, value in (("tcp_congestion_control", "reno"), ("tcp_slow_start_after_idle", "0")):
                call("ip", "netns", "exec", name, "sysctl", "-qw", f"net.ipv4.{key}={value}")

    def __enter__(self):
        super().__enter__()
        for name in self.names:
            call("ip", "-n", name, "route", "change", "10.77.0.0/24", "dev", "eth0", "initcwnd", "100", "initrwnd", "200")
        return self

    def remove(self):
        super().remove()
        if self.process is not None:
            self.process.terminate()
            self.process.wait()
            self.process = None
