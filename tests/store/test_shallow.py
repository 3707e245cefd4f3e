"""Archives and layouts without some layers: marked, and never mistaken for damaged ones."""

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest

from imgpack import api
from imgpack.errors import DocumentError, NotFoundError, UnsupportedError
from imgpack.image.image import missing_layers
from imgpack.image.verify import verify_images
from imgpack.store.contents import SHALLOW_ANNOTATION
from imgpack.store.open import open_images
from tests.store.samples import Memory, make_image, make_multi

NAME = (api.parse_name("app:1"),)


def shallow_image() -> api.Image:
    """An image without its first layer."""
    image = make_image(Memory())
    return replace(image, absent=frozenset({image.manifest.layers[0].digest}))


def written(target: str, image: api.AnyImage, *, shallow: bool = True) -> str:
    """The archive or layout ``target`` with ``image``."""
    with api.create(target, shallow=shallow) as sink:
        sink.write([api.Named(image, NAME)])
    return target


@pytest.mark.parametrize("form", ["a.tar", "layout/"])
def test_what_is_left_out_is_known_when_it_is_read(tmp_path: Path, form: str) -> None:
    """The image is as it was, and so is a copy of it."""
    image = shallow_image()
    for target in (f"{tmp_path}/1-{form}", f"{tmp_path}/2-{form}"):
        with open_images(written(target, image)) as opened:
            again = opened.image().image
            assert isinstance(again, api.Image)
            assert (again.manifest, again.absent) == (image.manifest, image.absent)
            assert verify_images([again], "it") == 1
            with pytest.raises(NotFoundError):
                list(opened.read_blob(image.manifest.layers[0]))


@pytest.mark.parametrize("form", ["a.tar", "layout/"])
def test_nobody_writes_one_unasked(tmp_path: Path, form: str) -> None:
    """Neither at the end nor while layers are made; nothing is left."""
    image = shallow_image()
    target = f"{tmp_path}/{form}"
    with pytest.raises(UnsupportedError, match="would be without the layer of its base"):
        written(target, image, shallow=False)
    with (
        pytest.raises(UnsupportedError, match="would be without"),
        api.create(target) as sink,
    ):
        sink.reserve(api.Named(image, NAME))
    assert list(tmp_path.iterdir()) == []


def test_a_stream_may_be_shallow(tmp_path: Path) -> None:
    """As any archive."""
    image, out = shallow_image(), io.BytesIO()
    with api.create("-", stdout=out, shallow=True) as sink:
        sink.write([api.Named(image, NAME)])
    written(f"{tmp_path}/a.tar", image)
    assert out.getvalue() == (tmp_path / "a.tar").read_bytes()


def test_each_image_of_an_index_says_what_it_is_without(tmp_path: Path) -> None:
    """One annotation for all of them; the index itself stays what it is."""
    index = make_multi(Memory(), "linux/amd64", "linux/arm64")
    first, second = api.images_in(index)
    absent = frozenset({first.manifest.layers[0].digest})
    made = replace(index, members=(replace(first, absent=absent), second))
    with open_images(written(f"{tmp_path}/layout/", made)) as opened:
        again = opened.image().image
        assert again.document == index.index
        assert [layer.digest for layer in missing_layers(again)] == [*absent]


def test_the_mark_goes_when_the_layers_come(tmp_path: Path) -> None:
    """And what else an entry says stays."""
    image, target = shallow_image(), f"{tmp_path}/layout/"
    written(target, image)
    index = tmp_path / "layout" / "index.json"
    said = json.loads(index.read_text())
    said["manifests"][0]["annotations"]["more"] = "x"
    index.write_text(json.dumps(said))
    written(target, replace(image, absent=frozenset()), shallow=False)
    (entry,) = json.loads(index.read_text())["manifests"]
    assert entry["annotations"]["more"] == "x"
    assert SHALLOW_ANNOTATION not in entry["annotations"]


def test_a_layer_that_is_not_said_to_be_left_out_is_damage(tmp_path: Path) -> None:
    """Whatever else is left out."""
    image = shallow_image()
    written(f"{tmp_path}/layout/", image)
    own = image.manifest.layers[1].digest
    (tmp_path / "layout" / "blobs" / "sha256" / own.hex).unlink()
    with open_images(f"{tmp_path}/layout") as opened:
        again = opened.image().image
        assert [layer.digest for layer in missing_layers(again)] == [*image.absent]
        with pytest.raises(NotFoundError, match=str(own)):
            verify_images([again], "it")


def test_a_malformed_mark_is_refused(tmp_path: Path) -> None:
    """By the file that has it."""
    written(f"{tmp_path}/layout/", shallow_image())
    index = tmp_path / "layout" / "index.json"
    said = json.loads(index.read_text())
    said["manifests"][0]["annotations"][SHALLOW_ANNOTATION] = "sha256:12 x"
    index.write_text(json.dumps(said))
    with pytest.raises(DocumentError, match=r"index\.json: invalid digest"):
        open_images(f"{tmp_path}/layout")
