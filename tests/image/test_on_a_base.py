"""Images on a base, written whole: what is new is only what is said."""

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from imgpack import api
from imgpack.api import Base, Entries, Image, Placement, Runtime, RuntimeChanges
from imgpack.errors import ConfigError, Hint, Remedy, UnsupportedError
from imgpack.events import Silent
from imgpack.image.documents import BaseName
from imgpack.layer.cache.segments import SegmentCache
from imgpack.spec.config import ImageConfig
from imgpack.spec.descriptor import describe
from imgpack.spec.json import encode
from imgpack.spec.manifest import BASE_DIGEST, build_manifest
from tests.store.samples import CREATED, LAYERS, Memory, make_image, only_image, read_layers

PASSWD = api.file("etc/passwd", b"app:x:5:6::/:\n")


class Warned(Silent):
    """A reporter that keeps the warnings."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def warn(self, message: str, hint: Hint = "") -> None:
        """Keep it."""
        self.texts.append(message)


def base(**runtime: Any) -> Base:
    """A base with this configuration, and with one user."""
    plain = make_image(Memory(), LAYERS)
    config = ImageConfig.parse(encode(json.loads(plain.config.raw) | {"config": runtime}))
    described = describe(plain.manifest.config.media_type, config.raw)
    manifest = build_manifest(described, plain.manifest.layers, plain.manifest.media_type)
    name = BaseName(manifest.descriptor.digest)
    return Base(replace(plain, manifest=manifest, config=config), Entries([PASSWD]), name)


def built(tmp_path: Path, on: Base, *sources: Any, **options: Any) -> Image:
    """An image on ``on``, read from where it was written."""
    target = str(tmp_path / "image.tar")
    with api.create(target) as sink:
        api.build(sources, into=sink, names=["x:1"], placement=Placement(on), **options)
    with api.open(target) as opened:
        image = only_image(opened)
        assert read_layers(image)[: len(LAYERS)] == read_layers(on.image)
        return image


def test_without_a_source_only_the_documents_are_new(tmp_path: Path) -> None:
    """No layer is, and the time is the base's unless another is given: no file has one."""
    on = base(Cmd=["sh"])
    image = built(tmp_path, on, config=Runtime(env=("A=1",)))
    assert image.manifest.layers == on.image.manifest.layers
    assert image.config.config == {"Cmd": ["sh"], "Env": ["A=1"]}
    assert image.config.created == CREATED
    new = image.config.history[len(on.image.config.history) :]
    assert [(entry.created_by, entry.empty_layer) for entry in new] == [("ENV A=1 # imgpack", True)]
    later = built(tmp_path, on, created="2026-01-02T03:04:05Z")
    assert (later.config.created, later.config.config) == ("2026-01-02T03:04:05Z", {"Cmd": ["sh"]})
    assert dict(later.manifest.annotations) == {
        BASE_DIGEST: str(on.image.manifest.descriptor.digest)
    }


def test_a_layer_is_above_the_bases(tmp_path: Path) -> None:
    """With its place and its own entry in the history."""
    on = base()
    image = built(tmp_path, on, api.entries([api.file("x", b"x")], dest="/app"))
    assert len(image.manifest.layers) == len(LAYERS) + 1
    assert image.config.history[:-1] == on.image.config.history
    assert image.config.history[-1].created_by == "COPY . /app # imgpack"


def test_what_a_user_should_know_is_told(tmp_path: Path) -> None:
    """Before anything is read, and of the user when all of it is there."""
    reporter = Warned()
    changes = RuntimeChanges(Runtime(entrypoint=("/x",), user="77"), unset_env=("A",))
    built(tmp_path, base(Cmd=["sh"]), config=changes, reporter=reporter)
    assert reporter.texts == [
        'the base\'s CMD ["sh"] is dropped: an entrypoint is given',
        "the base has no ENV A to unset",
        "the user 77 is not in /etc/passwd of the image: its $HOME will be /",
        "the program '/x' is not in the image",
    ]


def test_a_refusal_leaves_nothing_behind(tmp_path: Path) -> None:
    """Triggers that would have to run, and users that are not there."""
    with pytest.raises(UnsupportedError, match=r"ONBUILD triggers.*: RUN x") as caught:
        built(tmp_path, base(OnBuild=["RUN x"]))
    assert caught.value.hint == Remedy.IGNORE_ONBUILD()
    with pytest.raises(ConfigError, match="the user 'web' is not in /etc/passwd"):
        built(tmp_path, base(), config=Runtime(user="web"))
    assert list(tmp_path.iterdir()) == []


def test_a_users_mistake_is_not_called_the_bases(tmp_path: Path) -> None:
    """What the base says wrong is."""
    mistake = RuntimeChanges(Runtime(env=("A=${",)), expand=True)
    with pytest.raises(ConfigError, match=r"^the value of A: there is"):
        built(tmp_path, base(), config=mistake)


def test_a_layer_is_not_reused_where_something_else_lies_below(tmp_path: Path) -> None:
    """A lock may say that the same layers make another tree: what was built on that is not it."""
    (tmp_path / "app" / "opt").mkdir(parents=True)
    (tmp_path / "app" / "opt" / "x").touch()
    app, cache = api.directory(tmp_path / "app"), SegmentCache(str(tmp_path / "cache"))
    true, later = base(), time.time_ns() + 10**10
    lying = replace(true, tree=Entries([PASSWD, api.directory_entry("opt", mode=0o777)]))
    reasons: list[str] = []
    digests = [
        built(
            tmp_path, on, app, cache=cache, clock=lambda: later,
            explain=lambda reason, *_: reasons.append(reason),
        ).config.diff_ids[-1]
        for on in (lying, true, true)
    ]  # fmt: skip
    assert digests[0] != digests[1] == digests[2]
    assert reasons[2] == "reused: nothing changed"
