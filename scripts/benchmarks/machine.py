"""What the benchmark ran on and with, for the head of the page."""

import os
import platform
import re
from pathlib import Path

from .run import Bench, BenchError, find

_VERSIONS = {
    "tar": ("tar", "--version"),
    "gzip": ("gzip", "--version"),
    "pigz": ("pigz", "--version"),
    "zstd": ("zstd", "--version"),
    "openssl": ("openssl", "version"),
    "umoci": ("umoci", "--version"),
    "skopeo": ("skopeo", "--version"),
    "buildah": ("buildah", "--version"),
    "docker engine": ("dockerd", "--version"),
    "docker-registry": ("docker-registry", "--version"),
}


def processor() -> str:
    """The processor's name, as the kernel knows it."""
    try:
        match = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.M)
    except OSError:
        match = None
    return match[1].strip() if match else platform.machine()


def memory() -> int:
    """Bytes of main memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def versions(bench: Bench) -> dict[str, str]:
    """The version of each program that is installed."""
    found = {"Python": bench.output([bench.python, "-V"]).split()[-1]}
    for name, (program, flag) in _VERSIONS.items():
        path = find(program)
        if path is None:
            continue
        try:
            said = bench.output([path, flag], timeout=30)
        except BenchError:
            continue
        match = re.search(r"\d+\.\d+(\.\d+)?", said)
        found[name] = match[0] if match else "?"
    return found


def described(bench: Bench) -> str:
    """Two sentences: the machine, the programs."""
    cpus = len(os.sched_getaffinity(0))
    tools = ", ".join(f"{name} {version}" for name, version in versions(bench).items())
    return (
        f"{processor()}, {cpus} of its cores, {memory() / (1 << 30):.0f} GiB of memory, "
        f"Linux {platform.release().split('-')[0]}. With {tools}."
    )
