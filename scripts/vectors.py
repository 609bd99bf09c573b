"""Writes what numpy makes of numbers in JSON, for Go to read: testdata/vectors/numbers.tsv.gz.

Each line is a type, a JSON number, and either the value's bits in hexadecimal or why it does not fit: `range` or
`fraction`. Floats are numpy's decimal -> float64 -> cast; integers are exact and never pass through float64. The same
count gives the same bytes, so that a test can tell stale vectors.

    python scripts/vectors.py [--count N] [FILE]
"""

from __future__ import annotations

import argparse
import gzip
import random
import sys
from collections.abc import Callable, Iterator
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np

COMMITTED = Path(__file__).parents[1] / "testdata" / "vectors" / "numbers.tsv.gz"
COUNT = 20_000

FLOATS = ("float16", "float32", "float64")
INTEGERS = tuple(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))

EDGES = (
    *(
        "0",
        "-0",
        "0.0",
        "-0.0",
        "0e0",
        "-0E+5",
        "0e-400",
        "1",
        "-1",
        "0.1",
        "5.0",
        "5.5",
        "1e3",
        "1E+3",
        "1200e-2",
        "12.5e1",
    ),
    *("127", "128", "-128", "-129", "255", "256", "32767", "32768", "-32768", "-32769", "65535", "65536"),
    *("2147483647", "2147483648", "-2147483648", "-2147483649", "4294967295", "4294967296"),
    *("9007199254740991", "9007199254740992", "9007199254740993", "-9007199254740993", "9223372036854775807"),
    *(
        "9223372036854775808",
        "-9223372036854775808",
        "-9223372036854775809",
        "18446744073709551615",
        "18446744073709551616",
    ),
    *(
        "1.7976931348623157e308",
        "1.7976931348623159e308",
        "-1.8e308",
        "1e400",
        "5e-324",
        "2.4703282292062327e-324",
    ),
    *("2.4703282292062328e-324", "2.2250738585072011e-308", "2.2250738585072014e-308", "1e-400", "-1e-400"),
    *(
        "3.4028234663852886e38",
        "3.4028235677973366e38",
        "3.4028235677973362e38",
        "1.401298464324817e-45",
        "7.006492321624085e-46",
    ),
    *(
        "7.006492321624086e-46",
        "1.1754943508222875e-38",
        "65504",
        "65519",
        "65519.999",
        "65520",
        "-65520",
        "5.960464477539063e-08",
    ),
    *(
        "2.9802322387695312e-08",
        "2.9802322387695316e-08",
        "6.103515625e-05",
        "0.30000000000000004",
        "1.0000000596046448",
    ),
    "1" + "0" * 400 + "e-400",
    "0." + "0" * 400 + "1e401",
    "9" * 500 + "e-480",
    "0." + "3" * 800,
)


def literals(chance: random.Random, kind: str) -> Iterator[str]:
    """Numbers of every form, without end: half of them where the type's rounding or range turns."""
    makers: tuple[Callable[[random.Random, str], str], ...] = (_decimal, _bits, _near, _whole, _written)
    while True:
        yield chance.choice(makers)(chance, kind)


def _decimal(chance: random.Random, _: str) -> str:
    """Digits with a point and an exponent anywhere."""
    digits = str(chance.randrange(10 ** chance.randint(1, 25)))
    fraction = (
        "." + "".join(chance.choices("0123456789", k=chance.randint(1, 20))) if chance.random() < 0.5 else ""
    )
    exponent = (
        f"{chance.choice('eE')}{chance.choice(['', '+', '-'])}{chance.randint(0, 330)}"
        if chance.random() < 0.4
        else ""
    )
    return chance.choice(("", "-")) + digits + fraction + exponent


def _bits(chance: random.Random, _: str) -> str:
    """Any finite double, as Python writes it or with all its digits."""
    value = np.uint64(chance.getrandbits(64)).view(np.float64)
    if not np.isfinite(value):
        return "0.5"
    return repr(float(value)) if chance.random() < 0.7 else f"{float(value):.17e}"


def _near(chance: random.Random, kind: str) -> str:
    """At or beside the middle between two neighbours of the narrower type, where rounding turns."""
    narrow = np.dtype(kind if kind in FLOATS else "float32")
    value = np.frombuffer(chance.randbytes(narrow.itemsize), narrow)[0]
    if not np.isfinite(value):
        return "1.5"
    with np.errstate(over="ignore"):
        beyond = np.nextafter(value, narrow.type(np.inf))
    if not np.isfinite(beyond):
        return repr(float(value))
    middle = (Decimal(float(value)) + Decimal(float(beyond))) / 2
    off = chance.choice(
        (
            Decimal(0),
            Decimal(0),
            middle * Decimal("1e-15"),
            -middle * Decimal("1e-15"),
            middle * Decimal("1e-25"),
        )
    )
    return format(middle + off, chance.choice(("e", ".40e")))


def _whole(chance: random.Random, kind: str) -> str:
    """Around the ends of an integer type, or anywhere within."""
    limits = np.iinfo(kind if kind in INTEGERS else "int64")
    low, high = int(limits.min), int(limits.max)
    value = chance.choice((low, high, 2**53, -(2**53), 0)) + chance.randint(-3, 3)
    return str(chance.randint(low, high) if chance.random() < 0.4 else value)


def _written(chance: random.Random, kind: str) -> str:
    """The same whole numbers with a point or an exponent, and some that are none."""
    whole, places = _whole(chance, kind), chance.randint(0, 22)
    form = chance.randrange(4)
    if form == 0:
        return f"{whole}.{'0' * max(places, 1)}"
    if form == 1:
        return f"{int(whole) * 10**places}e-{places}"
    if form == 2:
        return f"{whole}.{'0' * places}5"
    sign, digits = ("-", whole[1:]) if whole.startswith("-") else ("", whole)
    return f"{sign}{digits[0]}.{digits[1:] or '0'}e{len(digits) - 1}"


def result(kind: str, literal: str) -> str:
    """What numpy, or exact arithmetic, makes of it."""
    return _float(kind, literal) if kind in FLOATS else _integer(kind, literal)


def _float(kind: str, literal: str) -> str:
    wide = np.float64(literal)
    with np.errstate(over="ignore", under="ignore"):
        value = wide.astype(kind)
    if not np.isfinite(value):
        return "range"
    return int.from_bytes(value.tobytes(), sys.byteorder).to_bytes(value.itemsize, "big").hex()


def _integer(kind: str, literal: str) -> str:
    value = Fraction(literal)
    if value.denominator != 1:
        return "fraction"
    limits = np.iinfo(kind)
    if not int(limits.min) <= value <= int(limits.max):
        return "range"
    return int(value).to_bytes(limits.bits // 8, "big", signed=limits.min < 0).hex()


def write(path: Path, count: int) -> None:
    """About `count` lines, the edges for every type first."""
    chance = random.Random(count)
    kinds = (*FLOATS, *INTEGERS)
    with path.open("wb") as raw, gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as lines:
        for kind in kinds:
            for _, literal in zip(range(count // len(kinds)), _edges_first(chance, kind), strict=False):
                lines.write(f"{kind}\t{literal}\t{result(kind, literal)}\n".encode())


def _edges_first(chance: random.Random, kind: str) -> Iterator[str]:
    yield from EDGES
    yield from literals(chance, kind)


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("path", type=Path, nargs="?", default=COMMITTED)
    arguments.add_argument("--count", type=int, default=COUNT)
    asked = arguments.parse_args()
    write(asked.path, asked.count)
    print(asked.path)
