"""Where the tokens of sequences stand in one row of cells: each sequence's side by side, to be read as one."""

from typing import NamedTuple

_SLACK = 64


class Move(NamedTuple):
    """Cells whose content goes elsewhere; the two places may overlap."""

    source: int
    target: int
    size: int


class Region:
    """The cells of one sequence: the first ``length`` of ``capacity`` are in use."""

    __slots__ = ("capacity", "length", "start")

    def __init__(self, start: int, capacity: int, length: int) -> None:
        self.start = start
        self.capacity = capacity
        self.length = length


class Regions:
    """Finds room for sequences that grow, by their numbers.

    A sequence that outgrows its region goes on in the free cells behind it, else moves to a gap that is large enough,
    else all of them move together. So there is room as long as there are as many free cells as are asked for.
    """

    def __init__(self, cells: int) -> None:
        self.cells = cells
        self._regions: dict[int, Region] = {}

    def start(self, number: int) -> int:
        """Return the first cell of a sequence."""
        return self._regions[number].start

    def length(self, number: int) -> int:
        """Return how many cells a sequence uses, 0 for one that has none."""
        region = self._regions.get(number)
        return region.length if region else 0

    def fit(self, number: int, length: int) -> list[Move]:
        """Give a sequence ``length`` cells; return what must be moved for it, in this order.

        Raises ValueError where there are not as many.
        """
        region = self._regions.get(number) or Region(0, 0, 0)
        moves = self._grow(number, region, length) if length > region.capacity else []
        self._regions[number] = region
        region.length = length
        return moves

    def cut(self, number: int, length: int) -> None:
        """Let a sequence have its first ``length`` cells only."""
        if not length:
            self._regions.pop(number, None)
        elif number in self._regions:
            self._regions[number].length = length

    def _grow(self, number: int, region: Region, length: int) -> list[Move]:
        wanted = length + _SLACK + length // 4
        gaps = self._gaps()
        behind = gaps.get(region.start + region.capacity, 0) if region.capacity else 0
        if region.capacity + behind >= length:
            region.capacity = min(region.capacity + behind, wanted)
            return []
        large = [(size, start) for start, size in gaps.items() if size >= length]
        if not large:
            return self._rearrange(number, region, length)
        size, start = min((one for one in large if one[0] >= wanted), default=max(large))
        move = Move(region.start, start, region.length)
        region.start, region.capacity = start, min(size, wanted)
        return [move] if move.size else []

    def _gaps(self) -> dict[int, int]:
        """Return the free cells: how many there are from where on."""
        found: dict[int, int] = {}
        place = 0
        for region in sorted(self._regions.values(), key=lambda one: one.start):
            if region.start > place:
                found[place] = region.start - place
            place = region.start + region.capacity
        if place < self.cells:
            found[place] = self.cells - place
        return found

    def _rearrange(self, number: int, growing: Region, length: int) -> list[Move]:
        """Put all regions side by side, in the order in which they are, with the same slack each."""
        if number not in self._regions:
            growing.start = self.cells
        regions = sorted({**self._regions, number: growing}.values(), key=lambda one: one.start)
        needed = {region: length if region is growing else region.length for region in regions}
        free = self.cells - sum(needed.values())
        if free < 0:
            raise ValueError(f"{-free} cells too few for {length} tokens of a sequence")
        slack = min(free // len(regions), _SLACK)
        moves: list[Move] = []
        place = 0
        for region in regions:
            moves.append(Move(region.start, place, region.length))
            region.start, region.capacity = place, needed[region] + slack
            place += region.capacity
        # What goes down never reaches what has not moved yet when the lowest goes first, and what goes up when the
        # highest does.
        down = [move for move in moves if move.target < move.source and move.size]
        up = [move for move in moves if move.target > move.source and move.size]
        return [*down, *reversed(up)]
