"""Metadata and symbols: the structured values of SPEC sections 2.1 and 6."""

from collections import namedtuple

from .cursor import Cursor

VARIANTS = ("U64", "I64", "F64", "Bool", "Text", "List")


def _value(cursor):
    variant = cursor.u32()
    if variant == 0:
        return cursor.u64()
    if variant == 1:
        return cursor.i64()
    if variant == 2:
        return cursor.f64()
    if variant == 3:
        flag = cursor.u8()
        if flag > 1:
            cursor.fail(f"a Bool of {flag}")
        return bool(flag)
    if variant == 4:
        return cursor.sized()
    if variant == 5:
        count = cursor.u64()
        return [cursor.sized() for _ in range(cursor.count(count, 8))]
    cursor.fail(f"metadata value of unknown variant {variant}")


def metadata(raw, base=0):
    """The pairs in file order: [(key, variant name, value)]; texts stay bytes."""
    cursor = Cursor(raw, base)
    pairs = []
    for _ in range(cursor.count(cursor.u64(), 8 + 4 + 1)):
        key = cursor.sized()
        variant = int.from_bytes(cursor.data[cursor.at : cursor.at + 4], "little")
        value = _value(cursor)
        pairs.append((key.decode("utf-8", "replace"), VARIANTS[variant], value))
    return pairs


def as_dict(pairs):
    """Where a key occurs twice the later one holds."""
    return {key: value for key, _variant, value in pairs}


Symbol = namedtuple(
    "Symbol",
    "kind flags code_flags first_line last_line source_size source_mtime source_hash"
    " module qualname file",
)

PYTHON, C, EXCEPTION = 1, 2, 3
UNKNOWN = Symbol(0, 0, 0, 0, 0, 0, 0, 0, b"", b"(unknown)", b"")
OVERFLOW = UNKNOWN._replace(qualname=b"(overflow)")


def symbol(raw, base=0):
    c = Cursor(raw, base)
    return Symbol(
        c.u8(), c.u32(), c.u32(), c.u32(), c.u32(), c.u64(), c.u64(), c.u64(),
        c.sized(), c.sized(), c.sized(),
    )  # fmt: skip
