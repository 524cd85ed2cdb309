# SPDX-License-Identifier: GPL-2.0-or-later
"""What is measured: servers that hold a volume in memory, and how qemu-img
reaches each of them. Every command line of the benchmark stands in this file.
"""
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
PATTERN = 0x5a          # never 0: pages of zeros may cost a server nothing


class Failure(Exception):
    """Something did not run, or data was wrong; the text says what and why."""


def find_program(name):
    """A program of this project, as built in the tree or as installed."""
    build = os.environ.get("MEMX_BUILD", os.path.join(TOP, "build"))
    for folder in (build, os.path.join(build, "bin"), os.path.join(build, "tools"),
                   os.path.join(build, "qemu-block-memx"), os.path.join(TOP, "tools"),
                   os.path.join(TOP, "qemu-block-memx")):
        path = os.path.join(folder, name)
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    return shutil.which(name)


def die_with_parent():
    """Run in each child: no server outlives a benchmark that was killed."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)


def free_port(kind):
    with socket.socket(socket.AF_INET, kind) as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def cpu_seconds(pid):
    """utime + stime of a process, threads that have ended included."""
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
        fields = f.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Subject:
    """A server process and the way to its volume."""
    kind = "nbd"
    what = ""

    def __init__(self, name, config):
        self.name = name
        self.config = config        # .work: a folder, .size: bytes, .pin: [client, server] or None
        self.process = None
        self.server_prefix = []     # a tool to run the server, or qemu-img, under
        self.client_prefix = []
        self.log_path = os.path.join(config.work, name + ".log")

    # What a kind of server defines.
    def command(self):
        raise NotImplementedError

    def image_opts(self):
        raise NotImplementedError

    def qemu_object(self):
        """A QEMU object that opening needs, as for --object."""
        return None

    def wrapper(self):
        """What stands before qemu-img or qemu-io on the command line."""
        return []

    def missing(self):
        """Why this cannot run, or None."""
        return None

    def prepare(self):
        """Before the server starts."""

    def ready(self):
        """Whether the server takes connections."""
        raise NotImplementedError

    # What all share.
    def start(self):
        self.prepare()
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                self.pinned(1) + self.server_prefix + self.command(),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=die_with_parent)
        until = time.monotonic() + 30
        while not self.ready():
            if self.process.poll() is not None:
                raise Failure(f"{self.name}: the server ended at once (status "
                              f"{self.process.returncode}): {self.log_tail()}")
            if time.monotonic() > until:
                raise Failure(f"{self.name}: the server was not ready within 30 s: "
                              f"{self.log_tail()}")
            time.sleep(0.05)

    def stop(self):
        if self.process and self.process.poll() is None:
            # memxd refuses a first SIGTERM while it holds the only copy of data.
            for sig in (signal.SIGTERM, signal.SIGTERM, signal.SIGKILL):
                self.process.send_signal(sig)
                try:
                    self.process.wait(5 if sig == signal.SIGKILL else 1)
                    break
                except subprocess.TimeoutExpired:
                    pass
        self.process = None

    def log_tail(self):
        try:
            with open(self.log_path, encoding="utf-8", errors="replace") as f:
                return " | ".join(f.read().strip().splitlines()[-4:]) or "(it said nothing)"
        except OSError:
            return "(no log)"

    def cpu_seconds(self):
        return cpu_seconds(self.process.pid)

    def pinned(self, which):
        pin = self.config.pin
        return ["taskset", "-c", str(pin[which])] if pin else []

    def tool(self, program, *args):
        """A qemu-io or qemu-img command on the volume, and its environment."""
        env = dict(os.environ)
        command = [program, *args]
        if self.qemu_object():
            env["LD_PRELOAD"] = os.path.join(self.config.build, "qemu-object.so")
            env["QEMU_BENCH_OBJECT"] = self.qemu_object()
        return self.pinned(0) + self.client_prefix + self.wrapper() + command, env

    def bench(self, count, depth, size, step=None, write=False, pattern=PATTERN):
        args = ["bench", "-c", str(count), "-d", str(depth), "-s", str(size)]
        if step:
            args += ["-S", str(step)]
        if write:
            args += ["-w", f"--pattern={pattern}"]
        return self.tool("qemu-img", *args, "--image-opts", self.image_opts())

    def reads(self, places):
        """Reads (offset, pattern) pairs and compares: qemu-io fails on a difference."""
        args = []
        for offset, pattern in places:
            args += ["-c", f"read -q -P {pattern} {offset} 4096"]
        return self.tool("qemu-io", "-r", *args, "--image-opts", self.image_opts())


def can_connect(family, address):
    with socket.socket(family, socket.SOCK_STREAM) as s:
        s.settimeout(1)
        try:
            s.connect(address)
            return True
        except OSError:
            return False


class Nbdkit(Subject):
    """nbdkit's memory plugin: the usual way to have an NBD disk in memory."""
    transport = "unix"

    def __init__(self, name, config):
        super().__init__(name, config)
        self.socket = os.path.join(config.work, name + ".sock")
        self.port = free_port(socket.SOCK_STREAM)

    def missing(self):
        return None if shutil.which("nbdkit") else "nbdkit is not installed"

    def prepare(self):
        if os.path.exists(self.socket):     # of an earlier start
            os.unlink(self.socket)

    def listen(self):
        if self.transport == "unix":
            return ["-U", self.socket]
        return ["-i", "127.0.0.1", "-p", str(self.port)]

    def command(self):
        return ["nbdkit", "-f", *self.listen(), "memory", str(self.config.size)]

    def server_opts(self):
        if self.transport == "unix":
            return f"file.server.type=unix,file.server.path={self.socket}"
        return f"file.server.type=inet,file.server.host=127.0.0.1,file.server.port={self.port}"

    def image_opts(self):
        return f"driver=raw,file.driver=nbd,{self.server_opts()}"

    def ready(self):
        if self.transport == "unix":
            return can_connect(socket.AF_UNIX, self.socket)
        return can_connect(socket.AF_INET, ("127.0.0.1", self.port))


class NbdkitTcp(Nbdkit):
    transport = "tcp"


class NbdkitTls(Nbdkit):
    """TLS with a pre-shared key, over UNIX sockets: faster here than over TCP.

    QEMU and nbdkit left alone agree on ChaCha20-Poly1305 (a key without a named
    hash rules AES-256-GCM out in TLS 1.3), which GnuTLS computes without vector
    instructions. Only the client's `priority` makes it AES-128-GCM, several
    times as fast: the peer that MemX is held against.
    """
    priority = "NORMAL:-CHACHA20-POLY1305"

    def prepare(self):
        super().prepare()
        self.keys = os.path.join(self.config.work, self.name + ".psk")
        os.makedirs(self.keys, mode=0o700, exist_ok=True)
        with open(os.path.join(self.keys, "keys.psk"), "w", encoding="ascii") as f:
            f.write(f"bench:{os.urandom(32).hex()}\n")

    def command(self):
        return ["nbdkit", "-f", *self.listen(), "--tls=require",
                f"--tls-psk={self.keys}/keys.psk", "memory", str(self.config.size)]

    def image_opts(self):
        return super().image_opts() + ",file.tls-creds=tls0"

    def qemu_object(self):
        return (f"tls-creds-psk,id=tls0,endpoint=client,dir={self.keys},username=bench"
                + (f",priority={self.priority}" if self.priority else ""))


class NbdkitTlsChacha(NbdkitTls):
    """What a user gets who configures nothing."""
    priority = None


class StorageDaemon(Nbdkit):
    """qemu-storage-daemon with an NBD export of a file in memory (tmpfs)."""

    def __init__(self, name, config):
        super().__init__(name, config)
        self.file = f"/dev/shm/memx-bench-{os.getpid()}.raw"

    def missing(self):
        if not shutil.which("qemu-storage-daemon"):
            return "qemu-storage-daemon is not installed"
        room = os.statvfs("/dev/shm")
        if room.f_bavail * room.f_frsize < self.config.size:
            return "/dev/shm has too little room"
        return None

    def prepare(self):
        super().prepare()
        with open(self.file, "wb") as f:
            f.truncate(self.config.size)

    def command(self):
        return ["qemu-storage-daemon",
                "--blockdev", f"driver=file,node-name=f0,filename={self.file}",
                "--nbd-server", f"addr.type=unix,addr.path={self.socket}",
                "--export", "type=nbd,id=e0,node-name=f0,name=bench,writable=on"]

    def image_opts(self):
        return super().image_opts() + ",file.export=bench"

    def stop(self):
        super().stop()
        if os.path.exists(self.file):
            os.unlink(self.file)


class Memx(Subject):
    """memxd on loopback, and the QEMU driver loaded into stock qemu-img."""
    kind = "memx"
    poll_us = None              # of both ends; None: as they are by themselves
    encrypted = False
    volume = "bench"

    def __init__(self, name, config):
        super().__init__(name, config)
        self.port = free_port(socket.SOCK_DGRAM)
        self.address = f"127.0.0.1:{self.port}"
        self.key = os.path.join(config.work, name + ".key")
        self.created = False

    def missing(self):
        gone = [p for p in ("memxd", "memxctl", "memx-run") if not find_program(p)]
        if gone:
            return "not built: " + ", ".join(gone) + " (run 'make' first)"
        return None

    def prepare(self):
        if self.encrypted:
            with open(os.open(self.key, os.O_WRONLY | os.O_CREAT, 0o600), "w",
                      encoding="ascii") as f:
                f.write(os.urandom(32).hex() + "\n")

    def command(self):
        args = [find_program("memxd"), "--memory", str(self.config.size * 3 // 2),
                "--listen", self.address, "--name", self.name]
        if self.poll_us is not None:
            args += ["--poll-us", str(self.poll_us)]
        if self.encrypted:
            args += ["--key-file", self.key]
        return args

    def ready(self):
        """A server that lets a volume be created is ready."""
        if not self.created:
            args = [find_program("memxctl")]
            if self.encrypted:
                args += ["--key-file", self.key]
            args += ["volume", "create", self.volume, f"{self.config.size >> 20}M"]
            env = dict(os.environ, MEMX_SERVERS=self.address)
            with open(self.log_path, "ab") as log:
                try:
                    done = subprocess.run(args, env=env, stdin=subprocess.DEVNULL, stdout=log,
                                          stderr=log, timeout=15, check=False)
                except subprocess.TimeoutExpired as e:
                    raise Failure(f"{self.name}: '{' '.join(args)}' did not end within "
                                  "15 s") from e
            self.created = done.returncode == 0
        return self.created

    def image_opts(self):
        opts = (f"driver=raw,file.driver=memx,file.volume={self.volume},"
                f"file.server.0.host=127.0.0.1,file.server.0.port={self.port}")
        if self.poll_us is not None:
            opts += f",file.poll-us={self.poll_us}"
        if self.encrypted:
            opts += f",file.key-file={self.key}"
        return opts

    def wrapper(self):
        return [find_program("memx-run")]


class MemxPoll(Memx):
    poll_us = 100


class MemxSleep(Memx):
    """Neither end ever polls: what their doing so by themselves is worth."""
    poll_us = 0


class MemxAead(Memx):
    encrypted = True


class Limit:
    """The bare UDP exchange: no QEMU, no volume, nothing to keep right.

    `variants` are ways to do the same exchange: the two processes on a CPU each
    or where the scheduler puts them (often on one: no wake-up of another CPU),
    with segmentation offload, with a checksum of the data. The fastest without a
    checksum is the limit; the one with it shows what a checked one could reach.
    """
    kind = "limit"
    FREE = ["--client-cpu", "any", "--server-cpu", "any"]

    def __init__(self, name, config):
        self.name = name
        self.config = config

    def missing(self):
        return None

    def start(self):
        pass

    def stop(self):
        pass

    def variants(self, case):
        if case.size > 4096:
            return {"apart": [], "free": self.FREE, "crc": ["--crc"],
                    "crc free": ["--crc", *self.FREE]}
        if case.depth == 1:
            return {"apart": [], "free": self.FREE, "crc": ["--crc", *self.FREE]}
        return {"apart": [], "gso": ["--gso"], "crc": ["--gso", "--crc"]}

    def exchange(self, case, seconds, flags):
        return [os.path.join(self.config.build, "limit-udp"),
                "--mode", "write" if case.write else "read", "--bytes", str(case.size),
                "--depth", str(case.depth), "--step", str(case.step or case.size),
                "--seconds", str(seconds), *flags]


class LimitPoll(Limit):
    """Both ends spin, so each has to have a CPU of its own."""

    def variants(self, case):
        ways = {"apart": [], "crc": ["--crc"]}
        if case.depth == 32:
            ways = {"apart": [], "gso": ["--gso"], "crc": ["--gso", "--crc"]}
        return {way: ["--poll", *flags] for way, flags in ways.items()}


KINDS = {
    "memx-udp": Memx,
    "memx-udp-poll": MemxPoll,
    "memx-udp-aead": MemxAead,
    "memx-udp-sleep": MemxSleep,
    "nbdkit-unix": Nbdkit,
    "nbdkit-tcp": NbdkitTcp,
    "qsd-nbd-unix": StorageDaemon,
    "nbdkit-tls": NbdkitTls,
    "nbdkit-tls-chacha": NbdkitTlsChacha,
    "limit-udp": Limit,
    "limit-udp-poll": LimitPoll,
}
MEMX = [n for n, k in KINDS.items() if k.kind == "memx"]
PLAIN_NBD = ["nbdkit-unix", "nbdkit-tcp", "qsd-nbd-unix"]
