"""The JSON that programs get."""

from dataclasses import replace

from imgpack.api import Named, described, total_size
from tests.store.samples import (
    CREATED,
    LAYERS,
    NAMES,
    Memory,
    make_artifact,
    make_image,
    make_nested,
)


def test_an_image_is_told_with_its_layers_and_what_they_unpack_to() -> None:
    """Digests in full, sizes in bytes."""
    image = make_image(Memory())
    told = described(Named(image, NAMES))
    assert told["names"] == ["docker.io/library/foo:1", "localhost:5000/bar/foo:v2"]
    assert told["manifest"] == image.manifest.descriptor.as_json()
    assert told["config"] == image.manifest.config.as_json()
    assert told["platform"] == {"architecture": "amd64", "os": "linux"}
    assert told["size"] == sum(layer.size for layer in image.manifest.layers)
    assert told["layers"] == [
        layer.descriptor.as_json() | {"diff_id": str(layer.diff_id)} for layer in image.layers
    ]
    assert len(told["history"]) == len(LAYERS)
    assert told["created"] == CREATED
    timeless = replace(image, config=replace(image.config, created=""))
    assert described(Named(timeless))["created"] is None


def test_an_artifact_is_told_by_its_type_and_its_blobs() -> None:
    """It has no platform, no ID and no history."""
    chart = make_artifact(Memory())
    told = described(Named(chart))
    assert told["artifactType"] == "application/vnd.cncf.helm.config.v1+json"
    assert told["layers"] == [layer.as_json() for layer in chart.manifest.layers]
    assert not {"platform", "runtime", "history"} & told.keys()
    assert told["config"] == chart.manifest.config.as_json()


def test_a_nested_index_is_told_in_its_shape() -> None:
    """Each level names what is in it, in its order."""
    nested = make_nested(Memory())
    told = described(Named(nested, NAMES[:1]))
    assert told["index"] == nested.index.descriptor.as_json()
    inner, chart = told["images"]
    assert inner["names"] == chart["names"] == inner["images"][0]["names"] == []
    assert [one["platform"]["architecture"] for one in inner["images"]] == ["amd64", "arm64"]
    assert chart["artifactType"]
    assert [one["names"] for one in told["images"]] == [[], []]


def test_a_layer_that_repeats_is_stored_once() -> None:
    """An index has no layers of its own."""
    image = make_image(Memory(), [LAYERS[0], LAYERS[0]])
    assert total_size(image) == image.manifest.layers[0].size
    assert total_size(make_nested(Memory())) == 0
