"""Sizes and boxes: frozen integers. No pixels."""

from __future__ import annotations

from dataclasses import dataclass

from vsr.errors import OptionsError


@dataclass(frozen=True, slots=True)
class Size:
    """Width and height in pixels, both at least 1."""

    width: int
    """At least 1."""
    height: int
    """At least 1."""

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            raise OptionsError(f"a size must be at least 1x1 px, got {self.width}x{self.height}")

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"

    @property
    def pixels(self) -> int:
        """Width times height."""
        return self.width * self.height

    @property
    def box(self) -> Box:
        """All of a picture of this size."""
        return Box(0, 0, self.width, self.height)

    def scaled(self, factor: int) -> Size:
        """This size times a whole factor."""
        return Size(self.width * factor, self.height * factor)

    def rounded(self, multiple_x: int, multiple_y: int) -> Size:
        """The nearest size whose sides are multiples of the two numbers, and not zero.

        Example:

            >>> Size(641, 359).rounded(2, 2)
            Size(width=642, height=360)
        """
        return Size(_nearest(self.width, multiple_x), _nearest(self.height, multiple_y))


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in pixels."""

    x: int
    """The left edge: the first column inside."""
    y: int
    """The upper edge: the first row inside."""
    width: int
    """At least 1."""
    height: int
    """At least 1."""

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            raise ValueError(f"a box must be at least 1x1 px, got {self.width}x{self.height}")

    @property
    def right(self) -> int:
        """The first column behind the box."""
        return self.x + self.width

    @property
    def bottom(self) -> int:
        """The first row below the box."""
        return self.y + self.height

    @property
    def pixels(self) -> int:
        """Width times height."""
        return self.width * self.height

    def scaled(self, factor: int) -> Box:
        """The same place in a picture so many times as large."""
        return Box(*(n * factor for n in (self.x, self.y, self.width, self.height)))

    def moved(self, x: int, y: int) -> Box:
        """The same size, so far to the right and down."""
        return Box(self.x + x, self.y + y, self.width, self.height)

    def grown(self, by: int, within: Box) -> Box:
        """With so many pixels more on each side, as far as there are any.

        Example:

            >>> Box(10, 0, 20, 20).grown(8, within=Size(32, 32).box)
            Box(x=2, y=0, width=30, height=28)
        """
        left, top = max(within.x, self.x - by), max(within.y, self.y - by)
        right = min(within.right, self.right + by)
        bottom = min(within.bottom, self.bottom + by)
        return Box(left, top, right - left, bottom - top)


def _nearest(value: int, multiple: int) -> int:
    return max(multiple, (value + multiple // 2) // multiple * multiple)
