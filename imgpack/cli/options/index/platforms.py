"""``--platform`` of build: what is built for, and what only one platform's image has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import click

from imgpack.errors import ConfigError
from imgpack.spec.platform import Platform


@dataclass(frozen=True, slots=True)
class PlatformSources:
    """One image to build: for ``platform`` (``None``: not given), with ``sources`` of its own."""

    platform: Platform | None = None
    sources: tuple[str, ...] = ()

    def __str__(self) -> str:
        return str(self.platform or "the image")


def parse_platforms(texts: Sequence[str], *, unchecked: bool) -> tuple[PlatformSources, ...]:
    """``OS/ARCH``, several with commas between, or ``OS/ARCH=SRC[:/DEST]`` each, in their order.

    Several sources of one platform are its layers, bottom first. Unless ``unchecked``, those
    that no runtime knows are refused. Raises ``ConfigError``, and ``UsageError`` for a platform
    that is given twice.
    """
    found: dict[Platform, list[str] | None] = {}
    for text in texts:
        name, equals, source = text.partition("=")
        if equals and not source:
            raise click.UsageError(f"--platform {text} names no source; write {name}=SRC")
        for platform in _named(name, unchecked=unchecked):
            _check_spelling(platform, found)
            if platform in found and (not equals or found[platform] is None):
                raise click.UsageError(
                    f"--platform {platform} is given twice; write it once, or {platform}=SRC each"
                )
            own = found.setdefault(platform, [] if equals else None)
            if own is not None:
                own.append(source)
    return tuple(PlatformSources(one, tuple(own or ())) for one, own in found.items())


def _check_spelling(platform: Platform, found: Iterable[Platform]) -> None:
    for other in found:
        if other != platform and other.matches(platform) and platform.matches(other):
            raise click.UsageError(f"--platform {platform} and {other} are one; write it one way")


def _named(text: str, *, unchecked: bool) -> Iterator[Platform]:
    for name in text.split(","):
        platform = Platform.parse(name)
        if not (platform.known or unchecked):
            raise ConfigError(
                f"no runtime knows the platform {platform}",
                "write it as Go does, as linux/arm64; --platform-unchecked takes any",
            )
        yield platform
