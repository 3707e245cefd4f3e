"""Platforms: operating system, architecture and variant, in Go's spelling.

Source: OCI image-spec ``image-index.md``, "platform".
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from imgpack.errors import ConfigError, DocumentError
from imgpack.spec.json import member

_WORD = re.compile(r"[a-z0-9][a-z0-9._-]{0,31}")
# What people and `uname -m` say, and what Go and therefore every loader says.
_ALIASES = {
    "x86_64": ("amd64", ""),
    "x86-64": ("amd64", ""),
    "aarch64": ("arm64", ""),
    "armhf": ("arm", "v7"),
    "armel": ("arm", "v6"),
    "i386": ("386", ""),
    "i686": ("386", ""),
}
# Where programs of Go, and so of containers' runtimes, run: `go tool dist list`.
_KNOWN = {
    "linux": (
        "386 amd64 arm arm64 loong64 mips mips64 mips64le mipsle ppc64 ppc64le riscv64 s390x"
    ),
    "windows": "386 amd64 arm arm64",
    "darwin": "amd64 arm64",
    "freebsd": "386 amd64 arm arm64 riscv64",
    "netbsd": "386 amd64 arm arm64",
    "openbsd": "386 amd64 arm arm64 ppc64 riscv64",
    "dragonfly": "amd64",
    "solaris": "amd64",
    "illumos": "amd64",
    "aix": "ppc64",
    "android": "386 amd64 arm arm64",
    "ios": "amd64 arm64",
    "plan9": "386 amd64 arm",
    "js": "wasm",
    "wasip1": "wasm",
    "wasi": "wasm",
}
# 64-bit machines that run the programs of 32-bit ones.
_RUNS_TOO = {"amd64": "386", "arm64": "arm"}
_VARIANTS = {"arm": "v5 v6 v7 v8", "arm64": "v8 v9", "amd64": "v1 v2 v3 v4"}


@dataclass(frozen=True, slots=True)
class Platform:
    """``os/architecture[/variant]`` in lower case; valid once built.

    ``os_version`` and ``os_features`` (Windows' images have them) are kept and choose nothing.
    """

    os: str = "linux"
    architecture: str = "amd64"
    variant: str = ""
    os_version: str = ""
    os_features: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for word in (self.os, self.architecture, *([self.variant] if self.variant else [])):
            if not _WORD.fullmatch(word):
                raise ConfigError(
                    f"invalid platform {str(self)!r}",
                    "write os/architecture[/variant], as linux/arm64",
                )

    def __str__(self) -> str:
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))

    @property
    def known(self) -> bool:
        """Whether there is a runtime for it; variants are looked at where they are few."""
        if self.architecture not in _KNOWN.get(self.os, "").split():
            return False
        variants = _VARIANTS.get(self.architecture)
        return not self.variant or variants is None or self.variant in variants.split()

    def runs(self, program: "Platform") -> bool:
        """Whether this machine may run a program for that one, whatever its system."""
        architecture = program.architecture
        return architecture in (self.architecture, _RUNS_TOO.get(self.architecture))

    @classmethod
    def parse(cls, text: str) -> "Platform":
        """Parse ``os/arch[/variant]``; machine names such as ``x86_64`` become Go's."""
        parts = text.lower().split("/")
        if len(parts) not in (2, 3) or not all(parts) or "," in text:
            one = "give each by itself" if "," in text else "write os/architecture[/variant]"
            raise ConfigError(f"invalid platform {text!r}", f"{one}, as linux/arm64")
        architecture, variant = _ALIASES.get(parts[1], (parts[1], ""))
        return cls(parts[0], architecture, parts[2] if len(parts) == 3 else variant)

    @classmethod
    def from_json(cls, obj: Mapping[str, Any]) -> "Platform":
        """The platform in a descriptor or configuration object; raises ``DocumentError``."""
        features = member(obj, "os.features", list, default=[])
        if not all(isinstance(feature, str) for feature in features):
            raise DocumentError("one of the 'os.features' is not a string")
        try:
            return cls(
                member(obj, "os", str, default="") or "linux",
                member(obj, "architecture", str, default="") or "unknown",
                member(obj, "variant", str, default=""),
                member(obj, "os.version", str, default=""),
                tuple(features),
            )
        except ConfigError as error:
            raise DocumentError(error.message) from error

    def as_json(self) -> dict[str, Any]:
        """The object of an index's descriptor."""
        out: dict[str, Any] = {"architecture": self.architecture, "os": self.os}
        if self.os_version:
            out["os.version"] = self.os_version
        if self.os_features:
            out["os.features"] = list(self.os_features)
        if self.variant:
            out["variant"] = self.variant
        return out

    def matches(self, other: "Platform") -> bool:
        """Whether an image for ``other`` serves a wish for this platform.

        A wish without a variant takes any variant; ``arm64`` and ``arm64/v8`` are one.
        """
        if (self.os, self.architecture) != (other.os, other.architecture):
            return False
        if not self.variant or self.variant == other.variant:
            return True
        return self.plain_variant == other.plain_variant

    @property
    def plain_variant(self) -> str:
        """The variant, or nothing if it is the one that every machine is at least."""
        return "" if (self.architecture, self.variant) == ("arm64", "v8") else self.variant
