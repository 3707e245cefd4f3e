"""Whatever a registry answers, and however often: what is asked of imgpack ends."""

import contextlib
import random
from collections.abc import Callable

import pytest

from imgpack.api import Named, PushOptions, Reference, Registries, RegistrySink
from imgpack.errors import ImgpackError
from imgpack.image.plan import plan
from imgpack.registry.pull.image import open_remote
from imgpack.registry.tags import list_tags
from tests.registry.exchange import Exchange
from tests.registry.hostile import HostileRegistry
from tests.registry.images import connect, make_image, noise, push_to

IMAGE = make_image(b"x", noise(3000))
STATUSES = (200, 201, 202, 204, 206, 301, 307, 308, 400, 401, 403, 404, 405, 409, 413, 416)
MOST = 2000
"""Requests; a command that asks more often does not end."""


def odd(chance: random.Random, share: float) -> Callable[[Exchange], bool]:
    """Answers that are drawn by ``chance``; the rest is a correct registry's."""
    own = f"/v2/a/b/blobs/uploads/{'0' * 32}"
    digest = str(IMAGE.manifest.layers[0].digest)
    headers = {
        "Location": (own, f"/v2/a/b/blobs/{digest}", "/v2/x", "?", "http://127.0.0.1:1/x", " "),
        "Range": ("0-0", "0-99", "bytes=0-9", "1-2", "0-2999"),
        "Content-Range": ("bytes 0-0/1", "bytes 5-9/10", "bytes */3000", "x"),
        "Docker-Content-Digest": (digest, "", "sha256:x", "md5:y"),
        "Link": ('</v2/a/b/tags/list>; rel="next"', f"</v2/a/b/tags/list?{own}>; rel=next"),
        "WWW-Authenticate": ('Basic realm="x"', 'Bearer realm="/v2/token",scope="a:b:c"'),
        "Retry-After": ("0", "999999999", "-1", "x"),
        "OCI-Chunk-Min-Length": ("0", "1", "999999999999"),
        "Content-Encoding": ("gzip",),
        "Content-Type": ("text/html", IMAGE.manifest.media_type),
    }
    bodies = (b"", b"{}", b"[]", b'{"tags":["a"]}', b'{"token":"t"}', IMAGE.manifest.raw, b"x" * 99)

    def act(exchange: Exchange) -> bool:
        with exchange.registry.lock:
            if chance.random() > share:
                return False
            status = chance.choice((*STATUSES, 429, 500, 503))
            given = {k: chance.choice(v) for k, v in headers.items() if chance.random() < 0.3}
            body, breaks = chance.choice(bodies), chance.random() < 0.05
        exchange.body()
        return exchange.reset() if breaks else exchange.answer(status, given, body)

    return act


def push(registries: Registries, name: Reference) -> None:
    sink = RegistrySink(registries, PushOptions(mount_from=(name.with_tag("2"),)))
    sink.write([Named(IMAGE, (name,))], jobs=2)


def pull(registries: Registries, name: Reference) -> None:
    named = open_remote(registries, name).image()
    for blob in plan([named]).blobs:
        for _ in blob.source.read_blob(blob.descriptor):
            pass


def look(registries: Registries, name: Reference) -> None:
    list(list_tags(registries.repository(name)))


def delete(registries: Registries, name: Reference) -> None:
    registries.repository(name).delete_tag("1", IMAGE.document.descriptor.digest)


@pytest.mark.parametrize("command", [push, pull, look, delete])
@pytest.mark.parametrize("share", [1.0, 0.5, 0.2])
def test_every_command_ends_whatever_is_answered(
    command: Callable[[Registries, Reference], None], share: float
) -> None:
    """With success or an error of ours, after a bounded number of requests."""
    for seed in range(12):
        with HostileRegistry() as registry:
            push_to(registry.host, IMAGE, "a/b:1", "a/b:2")
            registry.requests.clear()
            action = odd(random.Random(seed), share)
            registry.misbehave("GET|HEAD|POST|PUT|PATCH|DELETE", "", action, times=None)
            name = Reference.parse(f"{registry.host}/a/b:1")
            with (
                connect(attempts=3, silence=2.0) as registries,
                contextlib.suppress(ImgpackError),
            ):
                command(registries, name)
            assert len(registry.requests) < MOST, seed
