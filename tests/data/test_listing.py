"""The size that images of many sizes get."""

import pytest

from sparring.data.listing import default_side


@pytest.mark.parametrize(
    ("sides", "expected"),
    [
        ([100] * 10, 64),
        ([64] * 10, 64),
        ([63] * 10, 56),
        ([32] * 10, 32),
        ([39] * 10, 32),
        ([31] * 10, 31),
        ([28] * 10, 28),
        ([10] + [64] * 9, 64),
        ([10] * 2 + [64] * 8, 10),
        ([50] * 10 + [90] * 90, 64),
        ([50] * 11 + [90] * 89, 48),
    ],
)
def test_default_side(sides, expected):
    assert default_side(sides) == expected
