"""An image on another base: which layers it has then, what refuses it, what is found."""

import io
import tarfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from imgpack.api import (
    Format,
    Image,
    ImageIndex,
    Named,
    Platform,
    Reference,
    copy,
    create,
    images_in,
    lock_base,
    missing_layers,
    rebase,
    verify_images,
)
from imgpack.api import open as open_location
from imgpack.errors import ConfigError, DocumentError, LimitError, NotFoundError
from imgpack.image.base.rebase import recorded_base
from imgpack.spec.json import decode
from imgpack.spec.manifest import BASE_DIGEST, BASE_NAME, build_index
from tests.image.base.members import (
    DIRECTORY,
    FILE,
    SYMLINK,
    Member,
    Warnings,
    changed,
    layer_of,
)
from tests.store.samples import Memory, make_image, make_multi, opened_images, tar_of, write_image

OLD: list[Member] = [("etc", DIRECTORY, ""), ("etc/conf", FILE, "old"), ("lib", DIRECTORY, "")]
NEW: list[Member] = [("etc", DIRECTORY, ""), ("etc/conf", FILE, "new")]
MINE: list[Member] = [("app", FILE, "app")]


class Stack:
    """Archives of an old base and a new one, and an image on the old one."""

    def __init__(
        self,
        place: Path,
        old: Sequence[Member] = OLD,
        new: Sequence[Member] = NEW,
        mine: Sequence[Member] = MINE,
        **config: Any,
    ) -> None:
        self.source = Memory()
        self.old, self.new = str(place / "old.tar"), str(place / "new.tar")
        self.base = make_image(self.source, [layer_of(new)], docker=False)
        below = make_image(self.source, [layer_of(old)])
        write_image(self.old, below)
        write_image(self.new, self.base, (Reference.parse("localhost:5000/base:2"),))
        layers = [layer_of(old), layer_of(mine)]
        self.image = changed(make_image(self.source, layers), {"kept": "x"}, config=config)

    def recorded(self) -> dict[str, str]:
        """What an image says that is on the new base."""
        digest = str(self.base.manifest.descriptor.digest)
        return {BASE_DIGEST: digest, BASE_NAME: "localhost:5000/base:2"}

    def found(self) -> list[tuple[str, str]]:
        """The kind and the path of what is found."""
        with rebase(self.image, self.new, old=self.old, where="here") as rebased:
            assert rebased.findings is not None
            return [(one.kind, one.path) for one in rebased.findings[Platform()]]


def test_the_new_base_s_layers_come_first(tmp_path: Path) -> None:
    """No layer is read for the documents; all of it can be copied and verified."""
    stack = Stack(tmp_path)
    stack.source.reads.clear()
    with rebase(stack.image, stack.new, old=stack.old, look=False) as rebased:
        assert rebased.findings is None
        image = rebased.image
        assert isinstance(image, Image)
        assert stack.source.reads == []
        with create(str(tmp_path / "x.tar")) as sink:
            copy([Named(image)], sink)
    assert image.config.diff_ids == (*stack.base.config.diff_ids, stack.image.config.diff_ids[1])
    assert image.manifest.layers[1] == stack.image.manifest.layers[1]
    assert image.manifest.layers[0].digest == stack.base.manifest.layers[0].digest
    assert image.manifest.media_type == stack.image.manifest.media_type
    assert dict(image.manifest.annotations) == {"kept": "x"} | stack.recorded()


def test_a_base_compressed_another_way_is_the_base(tmp_path: Path) -> None:
    """What layers unpack to counts."""
    stack = Stack(tmp_path)
    write_image(stack.old, make_image(Memory(), [layer_of(OLD)], compress=False))
    with rebase(stack.image, stack.new, old=stack.old, look=False) as rebased:
        assert len(list(images_in(rebased.image))) == 1


def test_a_base_that_it_is_not_on_is_refused(tmp_path: Path) -> None:
    """With the first layer that differs, or how many there are."""
    stack = Stack(tmp_path)
    with pytest.raises(ConfigError, match="here is not on that base: its layer 1 is sha256:"):
        rebase(stack.image, stack.new, old=stack.new, where="here").__enter__()
    three = make_image(stack.source, [layer_of(OLD), layer_of(MINE), layer_of(NEW)])
    write_image(stack.old, three)
    with pytest.raises(ConfigError, match="it has 2 layers, and the base 3"):
        rebase(stack.image, stack.new, old=stack.old).__enter__()


def test_a_base_for_another_platform_is_refused(tmp_path: Path) -> None:
    """With those that there are."""
    stack = Stack(tmp_path)
    write_image(stack.new, make_image(stack.source, platform=Platform("linux", "arm64")))
    with pytest.raises(NotFoundError, match="no image for linux/amd64"):
        rebase(stack.image, stack.new, old=stack.old).__enter__()


def test_too_many_layers_are_refused(tmp_path: Path) -> None:
    """More than docker takes; few that are left are told."""
    stack, warnings = Stack(tmp_path), Warnings()
    for count, ends in ((125, True), (124, False)):
        layers = [tar_of({f"f{number}": b""}) for number in range(count)]
        write_image(stack.new, make_image(stack.source, layers))
        opening = rebase(stack.image, stack.new, old=stack.old, look=False, reporter=warnings)
        if ends:
            with pytest.raises(LimitError, match="126 layers, 125 of them the base's"):
                opening.__enter__()
        else:
            with opening:
                assert "125 layers leave little room" in warnings.warned[-1]


@pytest.mark.parametrize("place", ["annotations", "labels", "outside"])
def test_an_image_says_what_it_is_on(place: str) -> None:
    """In annotations, in labels, in those of its index; the digest counts, not the tag."""
    said = {BASE_NAME: "localhost:5000/base:1", BASE_DIGEST: f"sha256:{'a' * 64}"}
    plain = make_image(Memory())
    image = changed(
        plain,
        said if place == "annotations" else None,
        config={"Labels": said if place == "labels" else None},
    )
    outside = said if place == "outside" else {}
    found = recorded_base(image, outside, "here")
    assert str(found) == f"localhost:5000/base@sha256:{'a' * 64}"
    with pytest.raises(NotFoundError, match="here does not say what base it is on"):
        recorded_base(plain, {}, "here")
    with pytest.raises(DocumentError, match="here says that it is on 'A B'"):
        recorded_base(plain, {BASE_NAME: "A B"}, "here")
    assert str(recorded_base(plain, {BASE_NAME: "localhost:5000/b:1"}, "x")).endswith("/b:1")


def test_each_platform_goes_to_the_base_s_same_one(tmp_path: Path) -> None:
    """And what the index says that it is on is what the new base's name points to."""
    source = Memory()
    platforms = [Platform.parse(one) for one in ("linux/amd64", "linux/arm64")]
    old = make_multi(source, *map(str, platforms))
    new = make_multi(source, "linux/riscv64", *map(str, reversed(platforms)))
    write_image(tmp_path / "old.tar", old, ())
    write_image(tmp_path / "new.tar", new, ())
    members = [
        make_image(source, [tar_of({"arch": str(one).encode()}), tar_of({"x": b""})], platform=one)
        for one in platforms
    ]
    entries = [one.manifest.descriptor for one in members]
    index = ImageIndex(build_index(entries, annotations={BASE_NAME: "o", "k": "v"}), tuple(members))
    with rebase(index, str(tmp_path / "new.tar"), old=str(tmp_path / "old.tar")) as rebased:
        assert isinstance(rebased.image, ImageIndex)
        found = {one.config.platform: one for one in images_in(rebased.image)}
        for one in images_in(new):
            if one.config.platform in found:
                layers = found[one.config.platform].config.diff_ids
                assert layers[:1] == one.config.diff_ids
        assert list(found) == platforms
        assert dict(rebased.image.index.annotations) == {
            "k": "v", BASE_DIGEST: str(new.index.descriptor.digest)
        }  # fmt: skip
        assert rebased.findings is not None
        assert rebased.findings.keys() == set(platforms)


def test_what_an_index_says_of_its_images_is_kept(tmp_path: Path) -> None:
    """A variant that no configuration has, and annotations but for the base; Docker's has none."""
    stack, said = Stack(tmp_path), {BASE_NAME: "o", "k": "v"}
    entry = replace(
        stack.image.manifest.descriptor,
        platform=Platform("linux", "amd64", "v2"),
        annotations=tuple(said.items()),
    )
    for kind, annotated in ((Format.OCI, True), (Format.DOCKER, False)):
        index = ImageIndex(build_index([entry], kind.index_type), (stack.image,))
        with rebase(index, stack.new, old=stack.old, look=False) as rebased:
            assert isinstance(rebased.image, ImageIndex)
            new = rebased.image.index
        recorded = stack.recorded()
        assert new.manifests[0].platform == entry.platform
        assert dict(new.manifests[0].annotations) == {"k": "v"} | recorded
        assert dict(new.annotations) == (recorded if annotated else {})
        assert new.media_type == kind.index_type


def test_a_lock_is_a_base_too(tmp_path: Path) -> None:
    """Its tree is all that has to be read of it; its layers may be elsewhere."""
    stack = Stack(tmp_path, mine=[("etc/conf", FILE, "mine")])
    lock = lock_base(stack.new)
    (tmp_path / "new.lock").write_bytes(lock.encode())
    with rebase(stack.image, str(tmp_path / "new.lock"), old=stack.old) as rebased:
        assert isinstance(rebased.image, Image)
        assert [one.kind for one in (rebased.findings or {})[Platform()]] == ["changed"]
        (absent,) = missing_layers(rebased.image)
        assert absent.digest == stack.base.manifest.layers[0].digest
        assert dict(rebased.image.manifest.annotations) == {"kept": "x"} | stack.recorded()


TMP = [("tmp", DIRECTORY, "")]

FINDINGS: dict[str, tuple[list[Member], list[Member], list[Member], list[tuple[str, str]]]] = {
    # the old base, the new one, the image's own: what is found
    "nothing": (OLD, OLD, MINE, []),
    "a directory that is a symlink now": (
        OLD, [("lib", SYMLINK, "usr/lib")], [("lib/mine", FILE, ""), ("lib/too", FILE, "")],
        [("type", "/lib")],
    ),
    "a file that is a directory now": (
        OLD, [("etc", DIRECTORY, ""), ("etc/conf", DIRECTORY, "")], [("etc/conf", FILE, "mine")],
        [("type", "/etc/conf")],
    ),
    "a file that both have another": (OLD, NEW, [("etc/conf", FILE, "mine")],
                                      [("changed", "/etc/conf")]),
    "a file as the new base has it": (OLD, NEW, [("etc/conf", FILE, "new")], []),
    "a deletion of what is another now": (OLD, NEW, [("etc/.wh.conf", FILE, "")],
                                          [("changed", "/etc/conf")]),
    "a deletion of what is gone": (OLD, NEW, [(".wh.lib", FILE, "")], [("gone", "/lib")]),
    "a file that only the new base has": (OLD, [*NEW, ("app", FILE, "other")], MINE,
                                          [("new", "/app")]),
    "an opaque directory": (
        OLD, [*OLD, ("lib/new", FILE, "1")],
        [("lib", DIRECTORY, ""), ("lib/.wh..wh..opq", FILE, "")],
        [("new", "/lib/new")],
    ),
    "what is in a directory of the image's own": (
        OLD, [*NEW, ("lib", FILE, "")], [(".wh.etc", FILE, "")], [],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", FINDINGS)
def test_what_the_layers_do_to_the_new_base_is_found(tmp_path: Path, case: str) -> None:
    """By what each path is in both bases."""
    old, new, mine, expected = FINDINGS[case]
    assert Stack(tmp_path, old, new, mine).found() == expected


def with_mode(layer: bytes, mode: int) -> bytes:
    """``layer`` with other permissions of all it has."""
    buffer = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(layer)) as tar,
        tarfile.open(fileobj=buffer, mode="w") as out,
    ):
        for member in tar:
            member.mode = mode
            out.addfile(member, tar.extractfile(member))
    return buffer.getvalue()


def test_a_directory_with_the_old_base_s_attributes_is_found(tmp_path: Path) -> None:
    """Layers repeat directories; one that is as the new base has it is none."""
    stack = Stack(tmp_path, TMP, TMP, [*TMP, ("tmp/x", FILE, "")])
    assert stack.found() == []
    write_image(stack.new, make_image(Memory(), [with_mode(layer_of(TMP), 0o1777)]))
    with rebase(stack.image, stack.new, old=stack.old) as rebased:
        (one,) = (rebased.findings or {})[Platform()]
    assert one.as_json() == {
        "kind": "attributes",
        "path": "/tmp",
        "text": "/tmp is 0755 0:0 in the image's layers, as in the old base, and 1777 0:0 in the "
        "new one",
    }


PASSWD = ("etc/passwd", FILE, "app:x:5:5::/:/bin/sh\n")


@pytest.mark.parametrize(
    ("new", "mine", "config", "expected"),
    [
        ([], [], {"User": "app"}, [("user", "/etc/passwd")]),
        ([PASSWD], [], {"User": "app"}, []),
        ([], [PASSWD], {"User": "app"}, []),
        ([], [], {"Entrypoint": ["/app"]}, []),
        ([], [], {"Entrypoint": ["/gone"]}, [("program", "/gone")]),
        ([], [], {"Cmd": ["app"], "Env": ["PATH=/bin:/"]}, []),
        ([], [], {"Cmd": ["app"], "Env": ["PATH=/bin"]}, [("program", "app")]),
        ([], [("run", FILE, "#!/bin/sh -e\n")], {"Cmd": ["/run"]}, [("program", "/run")]),
        ([("bin/sh", FILE, "x")], [("run", FILE, "#!/bin/sh\n")], {"Cmd": ["/run"]}, []),
        ([("bin", SYMLINK, "b"), ("b/sh", FILE, "")], [("run", FILE, "#! /bin/sh")],
         {"Cmd": ["/run"]}, []),
    ],
)  # fmt: skip
def test_what_does_not_start_is_found(
    tmp_path: Path,
    new: list[Member],
    mine: list[Member],
    config: dict[str, Any],
    expected: list[tuple[str, str]],
) -> None:
    """The user, the program and what runs it, in the image as it is now."""
    stack = Stack(tmp_path, OLD, [*NEW, *new], [*MINE, *mine], **config)
    assert stack.found() == expected


def test_there_and_back_is_the_same_image(tmp_path: Path) -> None:
    """To the byte, but for what it says that it is on."""
    stack = Stack(tmp_path, User="5", Env=["A=b"])
    with rebase(stack.image, stack.new, old=stack.old, look=False) as there:
        write_image(tmp_path / "there.tar", there.image)
        with rebase(there.image, stack.old, old=stack.new, look=False) as back:
            (image,) = images_in(back.image)
    assert decode(image.config.raw) == decode(stack.image.config.raw)
    assert image.manifest.layers == stack.image.manifest.layers
    with open_location(str(tmp_path / "there.tar")) as opened:
        verify_images(opened_images(opened), "there.tar")
