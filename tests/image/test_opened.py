"""What a location holds, and what may be asked of it."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from imgpack.errors import AmbiguousError, DocumentError, NotFoundError, Remedy
from imgpack.image.image import AnyImage, Image, ImageIndex, Named, images_in, walk
from imgpack.image.opened import Opened, Root, with_names
from imgpack.image.resolve import Resolver
from imgpack.spec.descriptor import Descriptor
from imgpack.spec.digest import Digest
from imgpack.spec.json import MAX_DOCUMENTS
from imgpack.spec.manifest import build_index
from imgpack.spec.mediatype import OCTET_STREAM
from imgpack.spec.platform import Platform
from imgpack.spec.reference import parse_name
from tests.store.samples import NAMES, Memory, make_artifact, make_image, make_multi, make_nested

ARM64 = Platform("linux", "arm64")


def _opened(source: Memory, *roots: Root) -> Opened:
    return Opened("here", roots, Resolver(source, "here"), lambda: None)


def _root(image: AnyImage, *names: str, labels: Sequence[str] = ()) -> Root:
    return Root(image.document.descriptor, tuple(map(parse_name, names)), tuple(labels))


def test_nothing_is_read_before_an_image_is_asked_for() -> None:
    """One document for what a root points at, all of it for the image."""
    source = Memory()
    image = make_multi(source, "linux/amd64", "linux/arm64")
    opened = _opened(source, _root(image, "a:1"))
    assert opened.select("a:1") is opened.roots[0]
    assert source.reads == []
    assert opened.document() == image.index
    assert len(source.reads) == 1
    opened.images()
    assert len(source.reads) == 5
    assert opened.image().image is opened.image(opened.roots[0]).image


@pytest.mark.parametrize(
    ("text", "found"),
    [("a:1", 0), ("docker.io/library/a:1", 0), ("b:2", 1), ("2", 1), ("v1", 2), ("b", None)],
)
def test_an_image_is_chosen_by_name_tag_or_label(text: str, found: int | None) -> None:
    """Exactly; what is not there is told with what is."""
    source = Memory()
    roots = (
        _root(make_image(source), "a:1"),
        _root(make_multi(source, "linux/amd64"), "b:2"),
        _root(make_artifact(source), labels=["v1"]),
    )
    opened = _opened(source, *roots)
    if found is not None:
        assert opened.select(text) is roots[found]
        return
    with pytest.raises(NotFoundError, match=r"here holds no image 'b'") as caught:
        opened.select(text)
    assert caught.value.hint == Remedy.CHOOSE_IMAGE("a:1, b:2, v1")
    assert source.reads == []


def test_a_name_without_a_tag_is_the_latest() -> None:
    """As everywhere."""
    source = Memory()
    opened = _opened(
        source, _root(make_image(source), "a:1"), _root(make_multi(source), "a:latest")
    )
    assert opened.select("a") is opened.roots[1]


def test_an_image_is_chosen_by_its_digest_or_its_id() -> None:
    """An index has no ID; that of its image is no answer."""
    source = Memory()
    image, index = make_image(source), make_multi(source, "linux/amd64")
    opened = _opened(source, _root(image), _root(index))
    (inner,) = images_in(index)
    for text in (image.manifest.descriptor.digest, image.config.digest):
        assert opened.select(str(text)) is opened.roots[0]
    assert opened.select(str(index.index.descriptor.digest)) is opened.roots[1]
    with pytest.raises(NotFoundError):
        opened.select(str(inner.config.digest))


def test_a_tag_of_two_images_chooses_none_and_so_does_nothing_of_several() -> None:
    """Ten are listed at most."""
    source = Memory()
    image = make_image(source)
    opened = _opened(source, *(_root(image, f"n{number}:1") for number in range(12)))
    with pytest.raises(AmbiguousError, match="here holds 12 images '1'"):
        opened.select("1")
    with pytest.raises(AmbiguousError, match="here holds 12 images") as caught:
        opened.image()
    listed = ", ".join(f"n{number}:1" for number in range(10))
    assert caught.value.hint == Remedy.CHOOSE_IMAGE(f"{listed}, …")
    with pytest.raises(AmbiguousError) as caught:
        _opened(source, *opened.roots[:10]).image()
    assert caught.value.hint == Remedy.CHOOSE_IMAGE(listed)
    for text in (None, "a:1"):
        with pytest.raises(NotFoundError, match=r"here holds no image$"):
            _opened(source).select(text)


def test_each_of_several_images_is_given_for_one_platform_or_named() -> None:
    """None is left out in silence: whoever wants the others says which."""
    source = Memory()
    one, both = make_image(source), make_multi(source, "linux/amd64", "linux/arm64")
    opened = _opened(source, _root(one, "a:1"), _root(both, "b:2"))
    for named in opened.images(Platform()):
        assert isinstance(named.image, Image)
        assert named.image.config.platform == Platform()
    assert len(opened.images(Platform())) == 2
    with pytest.raises(NotFoundError, match="a:1: here has no image for linux/arm64") as caught:
        opened.images(ARM64)
    assert caught.value.hint == "choose one of: linux/amd64"
    with pytest.raises(NotFoundError, match=r"^here has no image for linux/arm64"):
        _opened(source, _root(one, "a:1")).images(ARM64)


@pytest.mark.parametrize("damaged", [False, True], ids=["missing", "damaged"])
@pytest.mark.parametrize("part", ["manifest", "configuration"])
def test_an_image_that_cannot_be_read_hides_no_other(part: str, damaged: bool) -> None:
    """Neither by its ID nor what it consists of; it is the one that is asked for that counts."""
    source = Memory()
    bad, good = make_image(source), make_image(source, [b"other"])
    lost = bad.document.descriptor if part == "manifest" else bad.manifest.config
    if damaged:
        source.blobs[lost.digest] = b"{}"
    else:
        del source.blobs[lost.digest]
    opened = _opened(source, _root(bad, "bad:1"), _root(good, "good:1"))
    assert opened.select(str(good.config.digest)) is opened.roots[1]
    assert opened.describe(good.config.digest) == good.manifest.config
    assert opened.describe(bad.document.descriptor.digest) == bad.document.descriptor
    layer = bad.manifest.layers[0]
    assert opened.describe(layer.digest).size == layer.size
    with pytest.raises((NotFoundError, DocumentError)):
        opened.image(opened.roots[0])


def test_a_document_may_be_asked_for_any_number_of_times() -> None:
    """What is bounded is what documents name, not what a program asks."""
    source = Memory()
    opened = _opened(source, _root(make_image(source), "a:1"))
    for _ in range((MAX_DOCUMENTS >> 10) + 1):
        opened.document()
    assert opened.select(str(opened.image().image.document.config.digest)) is opened.roots[0]  # type: ignore[union-attr]


def test_an_index_of_which_nothing_is_there_is_not_found() -> None:
    """It cannot be shown or copied; one of nothing can."""
    source = Memory()
    image = make_multi(source, "linux/amd64", "linux/arm64")
    for one in images_in(image):
        del source.blobs[one.manifest.descriptor.digest]
    with pytest.raises(NotFoundError, match="here has none of the manifests of the index"):
        _opened(source, _root(image)).images()
    empty = make_multi(source)
    assert _opened(source, _root(empty)).image().image == empty


def test_an_index_of_which_several_are_there_stays_one() -> None:
    """Only a single image may stand for it; an artifact beside that is not counted."""
    source = Memory()
    image = make_multi(source, "linux/amd64", "linux/arm64", "linux/s390x")
    first, second, third = images_in(image)
    del source.blobs[third.manifest.descriptor.digest]
    whole = make_multi(source, "linux/amd64")
    assert _opened(source, _root(whole)).image().image == whole
    found = _opened(source, _root(image)).image().image
    assert isinstance(found, ImageIndex)
    assert [one.document for one in found.members] == [first.manifest, second.manifest]
    nested, lost = make_nested(source), image.index.manifests[2]
    chart = nested.members[1]
    partial = build_index([first.manifest.descriptor, chart.document.descriptor, lost])
    source.add(partial.raw)
    opened = _opened(source, Root(partial.descriptor))
    assert opened.image().image.document == first.manifest


def test_all_that_a_nested_index_names_can_be_described() -> None:
    """The configuration of an artifact, too."""
    source = Memory()
    nested = make_nested(source)
    opened = _opened(source, _root(nested))
    for digest, raw in source.blobs.items():
        assert opened.describe(digest).size == len(raw)
    for one in walk(nested):
        described = one.document.descriptor
        assert opened.describe(described.digest) == described
        if not isinstance(one, ImageIndex):
            config = one.manifest.config
            assert opened.describe(config.digest).media_type == config.media_type


def test_a_blob_that_nothing_names_has_only_a_size() -> None:
    """None at all is a size, too."""
    source = Memory()
    opened = _opened(source, _root(make_image(source)))
    assert opened.describe(source.add(b"")) == Descriptor(OCTET_STREAM, Digest.of(b""), 0)
    with pytest.raises(NotFoundError, match="here has no blob") as caught:
        opened.describe(Digest.of(b"none"))
    assert caught.value.hint == Remedy.LIST_DIGESTS()


def test_what_a_root_is_asked_for_by_is_a_name_else_a_label_else_its_digest() -> None:
    """The first of them."""
    image = make_image(Memory())
    assert _root(image, "a:1", "b:2", labels=["v1"]).shown() == "a:1"
    assert _root(image, labels=["v1", "v2"]).shown() == "v1"
    assert _root(image).shown() == str(image.document.descriptor.digest)


def test_other_names_leave_nothing_of_the_old_ones() -> None:
    """A label is a name, too."""
    source = Memory()
    root = replace(_root(make_image(source), "a:1", labels=["v1"]), annotations=(("a", "b"),))
    named = _opened(source, root).image()
    assert named == Named(named.image, root.names, root.labels, root.annotations)
    assert with_names(named, NAMES) == Named(named.image, NAMES, (), root.annotations)


def test_a_blob_is_read_from_any_byte() -> None:
    """And is the source's own."""
    source = Memory()
    image = make_image(source)
    layer = image.manifest.layers[0]
    opened = _opened(source, _root(image))
    assert b"".join(opened.read_blob(layer, 5)) == source.blobs[layer.digest][5:]


def test_what_an_entry_says_of_an_index_is_not_said_of_one_of_its_images() -> None:
    """Data is of the very document that the entry names."""
    source = Memory()
    image = make_multi(source, "linux/amd64", "linux/arm64")
    root = replace(_root(image, "a:1"), fields=(("data", "e30="),))
    opened = _opened(source, root)
    assert opened.image().fields == root.fields
    assert opened.image(platform=ARM64).fields == ()
