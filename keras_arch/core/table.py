"""Tables as plain text."""

from collections.abc import Collection, Sequence


def table(rows: Sequence[Sequence[str]], right: Collection[int] = ()) -> str:
    """Rows under each other, each column as wide as its longest cell, two spaces apart.

    Args:
        rows: cells of each row, as many in every row; the first may be the heading.
        right: columns whose cells end in line, for numbers; the others begin in line.

    >>> print(table([("layer", "size"), ("conv", "9"), ("dense", "120")], right=[1]))
    layer  size
    conv      9
    dense   120
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(
            cell.rjust(width) if place in right else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)
