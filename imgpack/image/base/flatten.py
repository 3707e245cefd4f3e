"""An image with one layer in the place of several: what they show together, framed anew.

The layers are unpacked into a file without a name, each read once and to its end, so that every
digest is checked; the new layer goes into another one. Invariants: the new layer depends on what
the image shows and on nothing else; what the configuration says is kept, with its time; and so
is the history, whose entries are those of layers that are not there any more.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from imgpack.events import SILENT, Reporter
from imgpack.files.scratch import ScratchBlobs
from imgpack.image.base.contents import image_files
from imgpack.image.base.stack import Stacked, check_base
from imgpack.image.base.tree import base_tree
from imgpack.image.documents import CREATED_BY, in_format
from imgpack.image.image import Image
from imgpack.layer.build import LayerBuilder, Options
from imgpack.spec.config import History, ImageConfig
from imgpack.spec.descriptor import Descriptor, describe
from imgpack.spec.digest import Digest
from imgpack.spec.format import Format
from imgpack.spec.json import decode, encode
from imgpack.spec.manifest import BASE_KEYS, build_manifest
from imgpack.spec.merge.document import CACHE
from imgpack.spec.merge.history import steps, steps_above, without_layers
from imgpack.tree.entry import Entry
from imgpack.tree.merge.difference import Difference
from imgpack.tree.tree import Tree

_ROOT: Final = (0o40755, 0, 0)
"""What every engine makes the root of an image, if no layer says anything of it."""


@dataclass(frozen=True, slots=True)
class Flattening:
    """How the images at ``where`` are flattened: into layers in ``blobs``.

    Without a ``format`` it is each image's own. ``scratch`` finds a directory with room for all
    layers, uncompressed.
    """

    where: str
    blobs: ScratchBlobs
    options: Options
    scratch: Callable[[], str]
    format: Format | None = None
    reporter: Reporter = SILENT

    def flatten(self, image: Image, base: Image | None = None) -> Image:
        """``image`` with one layer, or with one on top of those of ``base``, if it is on that.

        Raises ``ConfigError`` if it is not; ``DigestError``, ``ArchiveError``, ``TreeError``,
        ``LimitError``, ``UnsupportedError``, ``OutputError``, and what the source raises.
        """
        kind = image.format if self.format is None else self.format
        layer_type = kind.layer_type(self.options.codec.compression)
        count = 0 if base is None else check_base(image, base, self.where)
        lower: Tree | None = None
        if base is not None:
            lower = base_tree(base, self.where, jobs=self.options.jobs, reporter=self.reporter)
        jobs, reporter = self.options.jobs, self.reporter
        with image_files(image, self.where, self.scratch, jobs=jobs, reporter=reporter) as files:
            for remark in files.remarks:
                reporter.detail(remark)
            warn_of_root(files.find(b""), self.where, reporter)
            tree = files if lower is None else Difference(lower, files, mtime=True, image=True)
            built = LayerBuilder(self.options, reporter).build(tree, self.blobs.open_blob)
        layer = built.record.written.layer(layer_type)
        config = _config(image.config, layer.diff_id, None if base is None else base.config)
        below = [in_format(one, kind) for one in image.manifest.layers[:count]]
        return self._image(image, config, [*below, layer.descriptor], kind, base)

    def _image(
        self,
        image: Image,
        config: ImageConfig,
        layers: list[Descriptor],
        kind: Format,
        base: Image | None,
    ) -> Image:
        annotations = dict(image.manifest.annotations)
        manifest = build_manifest(
            describe(kind.config_type, config.raw, config.digest),
            layers,
            kind.manifest_type,
            annotations if base is not None else without_base(annotations),
        )
        source = Stacked({layers[-1].digest: self.blobs}, image.source)
        absent = image.absent & {layer.digest for layer in layers[:-1]}
        return Image(manifest, config, source, absent)


def warn_of_root(root: Entry | None, where: str, reporter: Reporter) -> None:
    """Warn of what a layer of imgpack does not say of the ``root`` of the image at ``where``."""
    if root is not None and (root.mode, root.uid, root.gid) != _ROOT:
        reporter.warn(
            f"{where}: the root directory is {root.mode & 0o7777:04o} "
            f"{root.uid}:{root.gid}, and will be 0755 0:0: a layer of imgpack has no entry "
            "for it"
        )


def without_base(annotations: Mapping[str, str]) -> dict[str, str]:
    """Annotations of an image that is on no other."""
    return {key: value for key, value in annotations.items() if key not in BASE_KEYS}


def _config(image: ImageConfig, diff_id: Digest, base: ImageConfig | None) -> ImageConfig:
    """The configuration of ``image`` with the layer ``diff_id`` on top of those of ``base``."""
    out: dict[str, Any] = {
        key: value for key, value in decode(image.raw).items() if not key.startswith(CACHE)
    }
    labels = (out.get("config") or {}).get("Labels")
    if base is None and isinstance(labels, dict):
        out["config"] = out["config"] | {"Labels": without_base(labels)}
    below = () if base is None else image.diff_ids[: len(base.diff_ids)]
    out["rootfs"] = {"type": "layers", "diff_ids": [*map(str, below), str(diff_id)]}
    # Docker's --squash does the same: what was done stays there to be read, of no layer.
    above = steps(image) if base is None else steps_above(image, base)[0]
    done = History(image.created, f"FLATTEN {image.digest} {CREATED_BY}").as_json()
    out["history"] = [*(steps(base) if base else ()), *without_layers(above), done]
    return ImageConfig.parse(encode(out))
