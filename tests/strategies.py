"""Hypothesis strategies for the values and documents of ``imgpack.spec``."""

import json
import string
from typing import Any

from hypothesis import strategies as st

from imgpack.api import (
    Descriptor,
    Digest,
    Healthcheck,
    ImageConfig,
    Index,
    Manifest,
    Platform,
    Ports,
    Reference,
    Runtime,
)
from imgpack.spec import mediatype
from imgpack.spec.config import History, build_config
from imgpack.spec.descriptor import MAX_SIZE
from imgpack.spec.manifest import build_index, build_manifest

_LOWER = string.ascii_lowercase + string.digits


def texts(max_size: int = 20) -> st.SearchStrategy[str]:
    """Unicode text: no lone surrogates, anything else."""
    return st.text(st.characters(codec="utf-8"), max_size=max_size)


def json_values() -> st.SearchStrategy[Any]:
    """Values that JSON can hold."""
    leaves = (
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    )
    return st.recursive(
        leaves | texts(),
        lambda inner: st.lists(inner, max_size=4) | _distinct(inner),
        max_leaves=12,
    )


def json_objects() -> st.SearchStrategy[dict[str, Any]]:
    """JSON objects."""
    return _distinct(json_values())


def _distinct(values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(texts(), values, max_size=4)


def digests() -> st.SearchStrategy[Digest]:
    """Digests, most of them sha256."""
    sha256 = st.binary(min_size=32, max_size=32).map(lambda data: Digest("sha256", data.hex()))
    sha512 = st.binary(min_size=64, max_size=64).map(lambda data: Digest("sha512", data.hex()))
    return sha256 | sha256 | sha512


def platforms() -> st.SearchStrategy[Platform]:
    """Platforms, known ones and others."""
    word = st.text(_LOWER, min_size=1, max_size=8)
    known = ("linux/amd64", "linux/arm64", "linux/arm/v7", "windows/amd64")
    return st.sampled_from(known).map(Platform.parse) | st.builds(
        Platform, word, word, st.just("") | word
    )


def annotations() -> st.SearchStrategy[dict[str, str]]:
    """Annotations of a descriptor or document."""
    return st.dictionaries(texts(), texts(), max_size=3)


def descriptors(
    media_type: str = mediatype.DOCKER_LAYER_GZIP,
    platform: st.SearchStrategy[Platform | None] | None = None,
) -> st.SearchStrategy[Descriptor]:
    """Descriptors of one media type."""
    return st.builds(
        Descriptor,
        st.just(media_type),
        digests(),
        st.integers(0, MAX_SIZE),
        annotations().map(lambda items: tuple(items.items())),
        st.lists(texts(), max_size=2).map(tuple),
        st.none() if platform is None else platform,
    )


def manifests() -> st.SearchStrategy[Manifest]:
    """Manifests, Docker's and OCI's."""
    return st.one_of(
        st.builds(
            build_manifest,
            descriptors(mediatype.DOCKER_CONFIG),
            st.lists(descriptors(), max_size=4),
            st.just(mediatype.DOCKER_MANIFEST),
        ),
        st.builds(
            build_manifest,
            descriptors(mediatype.OCI_CONFIG),
            st.lists(descriptors(mediatype.OCI_LAYER_ZSTD), max_size=4),
            st.just(mediatype.OCI_MANIFEST),
            annotations(),
        ),
    )


def indexes() -> st.SearchStrategy[Index]:
    """Indexes, Docker's and OCI's."""
    return st.one_of(
        *(
            st.builds(
                build_index,
                st.lists(descriptors(inner, platforms()), max_size=4),
                st.just(outer),
                annotations(),
            )
            for inner, outer in (
                (mediatype.DOCKER_MANIFEST, mediatype.DOCKER_INDEX),
                (mediatype.OCI_MANIFEST, mediatype.OCI_INDEX),
            )
        )
    )


def times() -> st.SearchStrategy[str]:
    """RFC 3339 times in UTC, with and without a fraction."""
    return st.datetimes().map(lambda time: time.isoformat() + "Z")


def histories(*, empty: st.SearchStrategy[bool] | None = None) -> st.SearchStrategy[History]:
    """History entries."""
    return st.builds(
        History, st.just("") | times(), texts(), texts(), texts(), empty or st.booleans()
    )


def runtimes() -> st.SearchStrategy[Runtime]:
    """What a container is started with."""
    arguments = texts().filter(lambda text: "\0" not in text)
    words = st.lists(arguments, max_size=3).map(tuple)
    times = st.just(0) | st.integers(10**6, 10**12)
    ranges = st.builds(Ports, st.integers(1, 5), st.integers(5, 9), st.sampled_from(["tcp", "udp"]))
    tests = st.just(("NONE",)) | words.map(lambda some: ("CMD", "/check", *some))
    checks = st.builds(Healthcheck, tests, times, times, times, st.integers(0, 10))
    names = st.from_regex(r"[A-Za-z_.]{1,9}", fullmatch=True)
    pairs = st.dictionaries(names, arguments, max_size=3).map(lambda items: tuple(items.items()))
    paths = st.from_regex(r"/data(/[a-z]{1,3})?", fullmatch=True)
    return st.builds(
        Runtime,
        user=st.sampled_from(["", "0", "app", "app:1000"]),
        exposed_ports=st.lists(ranges, max_size=3).map(tuple),
        env=pairs.map(lambda items: tuple(f"{name}={value}" for name, value in items)),
        entrypoint=st.none() | words,
        cmd=st.none() | words,
        healthcheck=st.none() | checks,
        volumes=st.lists(paths, max_size=3).map(tuple),
        working_dir=st.just("") | paths,
        onbuild=words.map(lambda some: tuple("RUN " + json.dumps(text) for text in some)),
        labels=pairs,
        stop_signal=st.sampled_from(["", "SIGTERM", "15"]),
        shell=words,
    )


@st.composite
def configs(draw: st.DrawFn) -> ImageConfig:
    """Image configurations with as many diff_ids as entries with a layer, and an entry."""
    history = draw(st.lists(histories(), min_size=1, max_size=6))
    layers = sum(not entry.empty_layer for entry in history)
    return build_config(
        draw(platforms()),
        draw(st.lists(digests(), min_size=layers, max_size=layers)),
        history,
        created=draw(times()),
        author=draw(texts()),
        runtime=draw(st.none() | runtimes()),
    )


def references() -> st.SearchStrategy[Reference]:
    """Normalised references of every shape."""
    component = st.from_regex(
        r"[a-z0-9]{1,8}(?:(?:\.|_|__|-{1,3})[a-z0-9]{1,8}){0,2}", fullmatch=True
    )
    paths = st.lists(component, min_size=1, max_size=3).map("/".join)
    hosts = st.from_regex(r"[a-z0-9]{1,8}\.[a-zA-Z0-9]{1,8}(?::[1-9][0-9]{0,3})?", fullmatch=True)
    registries = hosts | st.sampled_from(("localhost", "localhost:5000", "x:1", "[::1]:5000"))
    tags = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", fullmatch=True)
    tails = (st.none() | tags, st.none() | digests())
    return st.one_of(
        st.builds(Reference, registries, paths, *tails),
        st.builds(Reference, st.just("docker.io"), paths.map("library/{}".format), *tails),
        st.builds(
            Reference, st.just("docker.io"), st.tuples(component, paths).map("/".join), *tails
        ),
    )
