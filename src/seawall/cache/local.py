"""The tier in the process: bounded by entries and by bytes."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Hashable

__all__ = ["Item", "Local"]

OFTEN = 3
"""Looks are counted this far; an item of the main queue is spared as often."""
NEW_SHARE = 10
"""New items are the first to go while they have more than a tenth of the room."""


class Item(Protocol):
    """What can be kept."""

    size: int
    """Its bytes."""
    asked: int
    """How often it was looked up of late: 0 for a new one, kept by the tier from then on."""


ItemT = TypeVar("ItemT", bound=Item)


class Local(Generic[ItemT]):
    """Items by key; those that nobody asks for make room for new ones.

    This is S3-FIFO (Yang, Zhang, Qiu, Yue and Rashmi: FIFO queues are all you need for cache eviction, SOSP 2023). New
    items wait in a small queue: those asked for twice there go on to the main queue, the others leave, so that a scan
    of keys asked for once pushes out nothing else. What left is remembered for a while, and goes straight to the main
    queue when put again, as does what is replaced after it was asked for. In the main queue an item goes round once
    for each of its last looks before it leaves. Nothing is moved when an item is found.

    Args:
        max_entries: How many items there are at the most, and how many that left are remembered.
        max_bytes: How many bytes all of them have at the most, by their own account.
    """

    __slots__ = ("_items", "_left", "_main", "_max_bytes", "_max_entries", "_new", "_new_size", "evicted", "size")

    def __init__(self, max_entries: int, max_bytes: int) -> None:
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._items: dict[Hashable, ItemT] = {}
        self._new: OrderedDict[Hashable, None] = OrderedDict()
        self._main: OrderedDict[Hashable, None] = OrderedDict()
        self._left: OrderedDict[int, None] = OrderedDict()
        """Hashes of keys, which are smaller than keys; to take one for another does no harm."""
        self._new_size = 0
        self.size = 0
        """The bytes of all items."""
        self.evicted = 0
        """Items that made room for others."""

    def __len__(self) -> int:
        return len(self._items)

    def get(self, key: Hashable) -> ItemT | None:
        """Return the item of *key*, or None."""
        item = self._items.get(key)
        if item is not None and item.asked < OFTEN:
            item.asked += 1
        return item

    def put(self, key: Hashable, item: ItemT) -> bool:
        """Keep *item*; return False for one that is larger than everything together may be."""
        items, size = self._items, item.size
        if key in items:
            item.asked = items[key].asked
            self.drop(key)
        if size > self._max_bytes:
            return False
        while self.size + size > self._max_bytes or len(items) >= self._max_entries:
            self._make_room()
        items[key] = item
        self.size += size
        if item.asked or (self._left and self._left.pop(hash(key), self) is None):
            self._main[key] = None
        else:
            self._new[key] = None
            self._new_size += size
        return True

    def drop(self, key: Hashable) -> None:
        """Forget the item of *key*, if there is one."""
        if (item := self._items.pop(key, None)) is None:
            return
        self.size -= item.size
        if key in self._new:
            del self._new[key]
            self._new_size -= item.size
        else:
            del self._main[key]

    def clear(self) -> None:
        """Forget all."""
        for queue in (self._items, self._new, self._main, self._left):
            queue.clear()
        self._new_size = self.size = 0

    def _make_room(self) -> None:
        """Let one item go, or let those at the head of a queue that were asked for go on."""
        many = self._new_size * NEW_SHARE > self._max_bytes or len(self._new) * NEW_SHARE > self._max_entries
        if not self._main or (self._new and many):
            self._leave_new()
        else:
            self._leave_main()

    def _leave_new(self) -> None:
        key = next(iter(self._new))
        item = self._items[key]
        if item.asked > 1:
            del self._new[key]
            self._new_size -= item.size
            item.asked = 0
            self._main[key] = None
            return
        self._evict(key)
        self._left[hash(key)] = None
        if len(self._left) > self._max_entries:
            self._left.popitem(last=False)

    def _leave_main(self) -> None:
        while True:
            key = next(iter(self._main))
            item = self._items[key]
            if not item.asked:
                self._evict(key)
                return
            item.asked -= 1
            self._main.move_to_end(key)

    def _evict(self, key: Hashable) -> None:
        self.drop(key)
        self.evicted += 1
