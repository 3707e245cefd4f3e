"""The tools that do a build's job: the peers from Debian's packages, and imgpack's variants."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from . import debian
from .run import Bench, BenchError, Tool, find, pipeline, remove, say
from .servers import running

PIGZ = "tar | pigz"
GZIP = "tar | gzip"
ZSTD = "tar | zstd -T2 -3"
DIGESTS = "tar | zstd -T2 -3, both digests"
OPENSSL = "the same, with openssl"
TAR = "tar, then sha256sum"
UMOCI = "umoci insert"
NEWER_UMOCI = "umoci 0.6 insert"
SKOPEO = "tar, then skopeo copy"
BUILDAH = "buildah copy, commit"
DOCKER = "docker import, save"

# Target rows name imgpack's variants by these.
OURS = "imgpack gzip, cache being filled"
OURS_UNCACHED = "imgpack gzip, --no-cache"
OURS_ZSTD = "imgpack zstd:3, cache being filled"
OURS_ZSTD_UNCACHED = "imgpack zstd:3, --no-cache"
OURS_NONE = "imgpack none, cache being filled"
OURS_NONE_UNCACHED = "imgpack none, --no-cache"


# Both digests that an image needs, each as soon as its bytes are there.
_DIGESTS = (
    'mkfifo "$3"; {digest} <"$3" & tar -C "$1" -cf - . | tee "$3" | '
    'zstd -q -T2 -3 | tee "$2" | {digest}; wait $!; rm "$3"'
)
_NEWER = ("trixie-backports", "umoci=0.6.*")


def build_command(
    bench: Bench, tree: Path, output: Path, compression: str, *options: str
) -> tuple[str, ...]:
    """``imgpack build`` of one tree; zstd layers need the OCI types."""
    kind = ["--format", "oci"] if compression.startswith("zstd") else []
    return bench.imgpack(
        *("build", tree, "-t", "bench:1", "-o", output, "--compression", compression),
        *(*kind, *options),
    )


def imgpack(bench: Bench, name: str, tree: Path, compression: str, *, cached: bool) -> Tool:
    """A cold build: without a cache, or with one that is empty and is being filled."""
    output, cache = bench.out / "imgpack.tar", bench.out / "cold-cache"
    options = ("--cache-dir", str(cache)) if cached else ("--no-cache",)
    return Tool(
        name,
        build_command(bench, tree, output, compression, *options),
        output,
        prepare=lambda: bench.set_aside(cache),
        finish=lambda: bench.set_aside(cache),
    )


def ours(bench: Bench, tree: Path) -> list[Tool]:
    """Every variant of imgpack that starts cold."""
    variants = (
        (OURS, "gzip", True),
        (OURS_UNCACHED, "gzip", False),
        (OURS_ZSTD, "zstd:3", True),
        (OURS_ZSTD_UNCACHED, "zstd:3", False),
        (OURS_NONE, "none", True),
        (OURS_NONE_UNCACHED, "none", False),
    )
    return [imgpack(bench, name, tree, codec, cached=cached) for name, codec, cached in variants]


def pipes(bench: Bench, tree: Path) -> list[Tool]:
    """tar with the compressors that people put behind it, and tar alone."""
    out = bench.out
    zstd, fifo = out / "zstd.tzst", out / "fifo"
    openssl = "openssl dgst -sha256"
    scripts = (
        (PIGZ, "pigz", 'tar -C "$1" -cf - . | pigz >"$2"', out / "pigz.tgz"),
        (GZIP, "gzip", 'tar -C "$1" -cf - . | gzip >"$2"', out / "gzip.tgz"),
        (ZSTD, "zstd", 'tar -C "$1" -cf - . | zstd -q -T2 -3 >"$2"', zstd),
        (DIGESTS, "zstd", _DIGESTS.format(digest="sha256sum"), zstd),
        (OPENSSL, "openssl", _DIGESTS.format(digest=openssl), zstd),
        (TAR, "sha256sum", 'tar -C "$1" -cf "$2" . && sha256sum "$2"', out / "plain.tar"),
    )
    return [
        Tool(name, pipeline(script, tree, output, fifo), output, prepare=lambda: remove(fifo))
        for name, program, script, output in scripts
        if _there(program)
    ]


def newer_umoci(bench: Bench) -> str | None:
    """The path of umoci 0.6 from a later Debian, fetched into the work directory and run there."""
    suite, package = _NEWER
    place = bench.work / "umoci-0.6"
    program = place / "usr/bin/umoci"
    try:
        if not program.exists():
            place.mkdir(exist_ok=True)
            debian.fetch(bench, suite, [package], place)
            debian.unpack(bench, place, place)
        bench.output((str(program), "--version"))
    except BenchError as error:
        say(f"{NEWER_UMOCI}: {error}")
        return None
    return str(program)


def umoci(bench: Bench, tree: Path) -> list[Tool]:
    """A new OCI layout with the tree as its one layer: Debian's umoci, and a newer one."""
    rootless = "" if os.geteuid() == 0 else " --rootless"
    script = (
        '"$3" init --layout "$2" && "$3" new --image "$2:bench" && '
        f'"$3" insert{rootless} --image "$2:bench" "$1" /'
    )
    output = bench.out / "umoci"
    programs = ((UMOCI, find("umoci")), (NEWER_UMOCI, newer_umoci(bench)))
    return [
        Tool(name, pipeline(script, tree, output, program), output)
        for name, program in programs
        if program is not None
    ]


def skopeo(bench: Bench, tree: Path) -> list[Tool]:
    """skopeo makes an image of one layer out of a tar file that exists."""
    if not _there("skopeo"):
        return []
    plain, output = bench.out / "rootfs.tar", bench.out / "skopeo.tar"
    script = (
        'tar -C "$1" -cf "$2" . && skopeo copy -q --insecure-policy '
        '"tarball:$2" "oci-archive:$3:bench"'
    )
    argv = pipeline(script, tree, plain, output)
    return [Tool(SKOPEO, argv, output, finish=lambda: remove(plain))]


def buildah(bench: Bench, tree: Path) -> list[Tool]:
    """buildah with the vfs driver, which starts anywhere, in a storage of its own."""
    if not _there("buildah"):
        return []
    storage, output = bench.out / "buildah", bench.out / "buildah.tar"
    script = (
        'b="buildah --root $3/root --runroot $3/run --storage-driver vfs"; c=$($b from scratch); '
        '$b copy -q "$c" "$1" / >/dev/null && '
        '$b commit -q --disable-compression=false "$c" "oci-archive:$2:bench"'
    )

    def clean() -> None:
        with contextlib.suppress(OSError):
            remove(storage)

    argv = pipeline(script, tree, output, storage)
    return [Tool(BUILDAH, argv, output, prepare=clean, finish=clean)]


@contextlib.contextmanager
def docker(bench: Bench, tree: Path) -> Iterator[list[Tool]]:
    """``docker import`` and ``docker save`` with an engine that lives as long as the context."""
    daemon, client = find("dockerd"), find("docker")
    if daemon is None or client is None or os.geteuid() != 0:
        say("docker: no engine (needs root and Debian's docker.io); left out")
        yield []
        return
    place = bench.directory("docker")
    socket, output = f"unix://{place}/docker.sock", bench.out / "docker.tar"
    (place / "daemon.json").write_text("{}")
    argv = [daemon, "--iptables=false", "--ip6tables=false", "--bridge=none", "-H", socket]
    argv += ["--config-file", str(place / "daemon.json"), "--data-root", str(place / "data")]
    argv += ["--exec-root", str(place / "exec"), "--pidfile", str(place / "docker.pid")]
    ask = [client, "-H", socket]

    def ready() -> bool:
        return subprocess.run([*ask, "version"], capture_output=True, check=False).returncode == 0

    def forget() -> None:
        subprocess.run([*ask, "rmi", "-f", "bench:1"], capture_output=True, check=False)

    script = (
        'tar -C "$1" -cf - . | docker -H "$3" import - bench:1 && '
        'docker -H "$3" save -o "$2" bench:1'
    )
    tool = Tool(DOCKER, pipeline(script, tree, output, socket), output, forget, forget)
    try:
        with running(argv, place / "log", ready, env=bench.env):
            yield [tool]
    except BenchError as error:
        say(f"docker: {error}")
        yield []
    finally:
        _unmount(place)
        remove(place)


def _unmount(place: Path) -> None:
    mounted = [text.split()[1] for text in Path("/proc/mounts").read_text().splitlines()]
    for point in sorted(mounted, reverse=True):
        if point.startswith(f"{place}/"):
            subprocess.run(["umount", "-l", point], check=False, capture_output=True)


def _there(program: str) -> bool:
    if find(program) is None:
        say(f"{program} is not installed: left out (scripts/install-peers installs it)")
        return False
    return True
