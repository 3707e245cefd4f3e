"""An image with more layers on top: tar files as they are, or trees as a build packs them.

Invariant: what is appended to an image has the configuration that a build on it has, but for
what is the image's own: its triggers, its annotations.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from imgpack.errors import LimitError
from imgpack.events import SILENT, Reporter
from imgpack.files.scratch import ScratchBlobs
from imgpack.image.build import (
    Base,
    Placement,
    StackBuilding,
    check_time,
    compression_in,
    in_rfc3339,
)
from imgpack.image.documents import CREATED_BY, copied_to
from imgpack.image.edit.configured import with_documents
from imgpack.image.image import Image
from imgpack.layer.build import LayerBuilder, Options
from imgpack.layer.stack import grouped, is_finished
from imgpack.spec.config import History
from imgpack.spec.format import Format
from imgpack.spec.manifest import MAX_LAYERS
from imgpack.spec.merge.document import continue_config
from imgpack.tree.destination import Placed
from imgpack.tree.tree import Tree


@dataclass(frozen=True, slots=True)
class Appending:
    """How ``trees`` get on top of images at ``where``, bottom first, into layers in ``blobs``.

    ``tree_of`` tells what an image has, which is asked for if one of them is no finished layer:
    it goes over that as in a build. ``created`` is RFC 3339 in UTC (empty: the newest time in
    the layers); without a ``format`` it is each image's own. Raises ``ConfigError``.
    """

    where: str
    trees: Sequence[Placed[Tree]]
    blobs: ScratchBlobs
    options: Options
    tree_of: Callable[[Image], Tree]
    format: Format | None = None
    created: str = ""
    author: str = ""
    comment: str = ""
    reporter: Reporter = SILENT

    def __post_init__(self) -> None:
        if self.created:
            check_time(self.created)

    def append(self, image: Image) -> Image:
        """``image`` with the layers on top, but for trees of which nothing is new.

        Raises ``LimitError`` for too many, ``UnsupportedError`` for what its format has no type
        for, source, tree and output errors; archive errors for layers of its own.
        """
        count = len(image.layers) + len(self.trees)
        if count > MAX_LAYERS:
            raise LimitError(
                f"{self.where} would have {count} layers", f"Docker takes {MAX_LAYERS}"
            )
        kind = image.format if self.format is None else self.format
        types = [kind.layer_type(compression_in(tree, self.options)) for tree in self.trees]
        finished = all(is_finished(tree.tree) for tree in self.trees)
        placement = Placement() if finished else Placement(Base(image, self.tree_of(image)))
        groups = grouped(self.trees, squash=False)
        building = StackBuilding(groups, self.options, placement, self.reporter)
        building.build(LayerBuilder(self.options, self.reporter), self.blobs, types)
        made = [number for number in range(len(types)) if number not in building.empty]
        if not made and kind is image.format:
            return image
        created = self.created or in_rfc3339(building.newest)
        steps = [
            History(created, f"{copied_to(dest)} {CREATED_BY}", self.author, self.comment)
            for dest in (building.dests[number] for number in made)
        ]
        config = continue_config(
            image.config,
            image.config.config,
            [building.layers[number].diff_id for number in made],
            steps,
            platform=image.config.platform,
            created=created,
            author=self.author,
        )
        new = [building.layers[number].descriptor for number in made]
        layers = (*image.manifest.layers, *new)
        return with_documents(image, config, layers, self.blobs, kind)
