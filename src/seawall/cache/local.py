"""The tier in the process: bounded by entries and by bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from seawall.problems import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Local"]

ItemT = TypeVar("ItemT")


class Local(Generic[ItemT]):
    """Items by key; those used longest ago make room for new ones.

    The library bounds a sum of weights, which is made to bound two things: an item weighs its bytes, but at least
    ``max_bytes / max_entries``.

    Args:
        max_entries: How many items there are at the most.
        max_bytes: How many bytes all of them have at the most, by their own account.
        size_of: Returns the bytes of an item.

    Raises:
        ConfigurationError: The library is not installed.
    """

    __slots__ = ("_items", "_least", "_most", "_size", "_size_of", "evicted", "get")

    def __init__(self, max_entries: int, max_bytes: int, size_of: Callable[[ItemT], int]) -> None:
        try:
            from cachebox import LRUCache  # noqa: PLC0415 - an extra
        except ImportError as error:
            raise ConfigurationError(
                "caching needs a library that is not installed: pip install 'seawall[cache]'."
            ) from error
        self._least = max(1, -(-max_bytes // max_entries))
        self._most = max_bytes
        self._size_of = size_of
        self._size = 0
        self._items: Any = LRUCache(max(max_bytes, self._least), getsizeof=lambda _key, _item: self._size)
        self.get: Callable[[Any], ItemT | None] = self._items.get
        self.evicted = 0
        """Items that made room for others."""

    def __len__(self) -> int:
        return len(self._items)

    @property
    def weight(self) -> int:
        """The sum of the weights: at least the bytes of all items."""
        return int(self._items.current_size())

    def put(self, key: Any, item: ItemT) -> bool:
        """Keep *item*; return False for one that is larger than everything together may be."""
        items = self._items
        if (size := self._size_of(item)) > self._most:
            items.pop(key, None)
            return False
        before = len(items)
        self._size = max(self._least, size)
        added = items.insert(key, item) is None
        self.evicted += before + added - len(items)
        return True

    def drop(self, key: Any) -> None:
        """Forget the item of *key*, if there is one."""
        self._items.pop(key, None)

    def clear(self) -> None:
        """Forget all."""
        self._items.clear()
