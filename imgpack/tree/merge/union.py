"""Several layers as one: what they would show on top of one another.

A whiteout of one takes away what the layers below it have, and stays a whiteout, for what
lies below all of them; so does an opaque directory. Each comes arranged over those
below it, so what the highest says is what shows, of directories too.
Streaming: in memory are the directories on the way and the deletions in them.
"""

import heapq
import itertools
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from imgpack.tree.entry import OPAQUE, WHITEOUT, Entry, Pair, opaque, order, whiteout

Find = Callable[[bytes, int, int], Entry | None]
"""What the layers from one number to before another show at a path."""

_MADE_UP_DEVICES: Final = 1 << 63
"""From here on: no kernel gives a device such a number."""
_DELETIONS: Final = frozenset({WHITEOUT, OPAQUE})


def united(layers: Sequence[Iterable[Pair]], find: Find) -> Iterator[Pair]:
    """The pairs of one layer of ``layers``, bottom first, each in the order of what is written.

    What is written has devices that keep hard links of two layers apart.
    """
    return _Merge(layers, find).pairs()


class _Offer(NamedTuple):
    """What a layer has at a place in the order; ``number`` is the layer's."""

    key: bytes
    number: int
    pair: Pair

    @property
    def is_directory(self) -> bool:
        return self.pair[1].is_directory


class _Level(NamedTuple):
    """A path on the way: a layer shows below it if its number is not under ``floor``.

    ``deleted`` are the paths of whiteouts there, with the number of the highest layer of each.
    ``emptied``: nothing of what lies below all layers shows there.
    """

    path: bytes
    floor: int
    deleted: dict[bytes, int]
    emptied: bool = False


class _Merge:
    """One pass over all layers."""

    def __init__(self, layers: Sequence[Iterable[Pair]], find: Find) -> None:
        self._layers = layers
        self._find = find
        self._way = [_Level(b"", 0, {})]
        self._replacing: set[bytes] = set()
        """Directories to come of which a layer deletes what is below them."""
        self._devices: dict[tuple[int, int], int] = {}

    def pairs(self) -> Iterator[Pair]:
        """What shows, in order."""
        groups = self._groups()
        offers = next(groups, None)
        while offers is not None:
            following = next(groups, None)
            path, kind = _what(offers)
            self._leave(path)
            if kind == WHITEOUT:
                yield from self._whiteout(path, offers)
            elif kind == OPAQUE:
                yield from self._opaque(path, offers)
            else:
                opaques: list[_Offer] = []
                if following is not None and _what(following) == (path, OPAQUE):
                    opaques, following = following, next(groups, None)
                yield from self._named(path, offers, opaques)
            offers = following

    def _groups(self) -> Iterator[list[_Offer]]:
        """What the layers have at each place, lowest first."""
        streams = [_keyed(number, layer) for number, layer in enumerate(self._layers)]
        # Of two offers either the keys or the numbers differ: entries are never compared.
        for _, group in itertools.groupby(heapq.merge(*streams), lambda offer: offer.key):
            yield list(group)

    def _leave(self, path: bytes) -> None:
        """Go back to the directory that ``path`` is in."""
        way = self._way
        while (above := way[-1].path) and not path.startswith(above + b"/"):
            way.pop()

    def _whiteout(self, path: bytes, offers: list[_Offer]) -> Iterator[Pair]:
        """The deletion of ``path``, unless a layer has something there that replaces it."""
        level = self._way[-1]
        number = offers[-1].number
        if number < level.floor:
            return
        level.deleted[path] = number
        shown = self._find(path, number, len(self._layers))
        if shown is None or stat.S_IFMT(shown.mode) in _DELETIONS:
            if not level.emptied:
                yield offers[-1].pair[0], whiteout(path)
        elif shown.is_directory:
            self._replacing.add(path)

    def _opaque(self, path: bytes, offers: list[_Offer]) -> Iterator[Pair]:
        """An opaque directory that no layer has an entry of, as the root."""
        number = offers[-1].number
        if number >= self._way[-1].floor:
            self._way.append(_Level(path, number, {}, emptied=True))
            yield offers[-1].pair[0], opaque(path)

    def _named(self, path: bytes, offers: list[_Offer], opaques: list[_Offer]) -> Iterator[Pair]:
        """What shows at ``path``; of directories, those down to where something ends them."""
        level = self._way[-1]
        floor = max(level.floor, level.deleted.get(path, 0))
        shown = [offer for offer in offers if offer.number >= floor]
        shown = [offer for offer in shown if not _is_socket(offer)] or shown[-1:]
        if not shown or not shown[-1].is_directory:
            self._way.append(_Level(path, len(self._layers) if shown else floor, {}))
            yield from map(self._distinct, shown[-1:])
            return
        ends = [offer.number + 1 for offer in shown if not offer.is_directory]
        ends += [offer.number for offer in opaques if offer.number >= floor]
        emptied = bool(ends) or path in self._replacing
        self._way.append(_Level(path, max([floor, *ends]), {}, emptied))
        yield shown[-1].pair
        if emptied:
            self._replacing.discard(path)
            yield shown[-1].pair[0], opaque(path)

    def _distinct(self, offer: _Offer) -> Pair:
        """The pair with a device that no other layer has, if its number is made up."""
        seen, entry = offer.pair
        if entry.links == 1 or (seen.content and isinstance(seen.content, bytes)):
            return offer.pair
        devices = self._devices
        made_up = _MADE_UP_DEVICES + len(devices)
        device = devices.setdefault((offer.number, entry.device), made_up)
        return seen, entry._replace(device=device)


def _keyed(number: int, layer: Iterable[Pair]) -> Iterator[_Offer]:
    return (_Offer(order(pair[1]), number, pair) for pair in layer)


def _what(offers: list[_Offer]) -> tuple[bytes, int]:
    """The path of all ``offers``, and their type if it is a deletion's."""
    entry = offers[0].pair[1]
    kind = stat.S_IFMT(entry.mode)
    return entry.path, kind if kind in _DELETIONS else 0


def _is_socket(offer: _Offer) -> bool:
    return stat.S_ISSOCK(offer.pair[1].mode)
