"""An image as JSON, for programs: one shape wherever imgpack prints one."""

from typing import Any

from imgpack.image.image import AnyImage, Artifact, ImageIndex, Named, Opaque, layers_of


def described(image: AnyImage) -> dict[str, Any]:
    """Digests, sizes (bytes), media types and diff_ids."""
    out = image.document.descriptor.as_json()
    if isinstance(image, Opaque):
        return out
    if isinstance(image, ImageIndex):
        return out | {"manifests": [described(member) for member in image.members]}
    if isinstance(image, Artifact):
        return out | {
            "artifactType": image.type,
            "config": image.manifest.config.as_json(),
            "layers": [layer.as_json() for layer in image.manifest.layers],
        }
    return out | {
        "platform": image.config.platform.as_json(),
        "config": image.manifest.config.as_json(),
        "layers": [
            layer.descriptor.as_json() | {"diff_id": str(layer.diff_id)} for layer in image.layers
        ],
    }


def inspected(named: Named) -> dict[str, Any]:
    """What there is to know of an image and all in it; sizes in bytes."""
    return {"names": [str(name) for name in named.names]} | _inspected(named.image)


def _inspected(image: AnyImage) -> dict[str, Any]:
    if isinstance(image, ImageIndex):
        members = [{"names": []} | _inspected(member) for member in image.members]
        return {"index": image.index.descriptor.as_json(), "images": members}
    if isinstance(image, Opaque):
        return {"blob": image.descriptor.as_json()}
    manifest = image.manifest
    if isinstance(image, Artifact):
        return {
            "manifest": manifest.descriptor.as_json(),
            "artifactType": image.type,
            "layers": [layer.as_json() for layer in manifest.layers],
        }
    config = image.config
    return {
        "manifest": manifest.descriptor.as_json(),
        "image_id": str(config.digest),
        "platform": str(config.platform),
        "created": config.created or None,
        "size": total_size(image),
        "layers": described(image)["layers"],
        "config": dict(config.config),
        "history": [entry.as_json() for entry in config.history],
    }


def total_size(image: AnyImage) -> int:
    """Bytes of the distinct layers, as they are stored."""
    return sum({layer.digest: layer.size for layer in layers_of(image)}.values())
