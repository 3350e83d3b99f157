"""Reading little-endian fields out of bytes (SPEC section 2)."""

import struct


class FormatError(Exception):
    """Bytes that are not what the specification says, and where."""

    def __init__(self, what, offset=None):
        super().__init__(what if offset is None else f"{what} at offset {offset}")
        self.what = what
        self.offset = offset


class Cursor:
    """A position in `data`; `base` is added to the offsets that errors give."""

    def __init__(self, data, base=0):
        self.data = data
        self.at = 0
        self.base = base

    def fail(self, what):
        raise FormatError(what, self.base + self.at)

    def left(self):
        return len(self.data) - self.at

    def take(self, length):
        if length > self.left():
            self.fail(f"{length} bytes expected, {self.left()} left")
        piece = bytes(self.data[self.at : self.at + length])
        self.at += length
        return piece

    def _number(self, form, size):
        return struct.unpack(form, self.take(size))[0]

    def u8(self):
        return self._number("<B", 1)

    def u16(self):
        return self._number("<H", 2)

    def u32(self):
        return self._number("<I", 4)

    def i32(self):
        return self._number("<i", 4)

    def u64(self):
        return self._number("<Q", 8)

    def i64(self):
        return self._number("<q", 8)

    def f64(self):
        return self._number("<d", 8)

    def seek(self, offset):
        if offset > len(self.data):
            self.fail(f"offset {offset} is past the end")
        self.at = offset
        return self

    def sized(self):
        """A u64 length and that many bytes."""
        return self.take(self.u64())

    def count(self, value, least):
        """`value` items of at least `least` bytes each must still fit."""
        if value * least > self.left():
            self.fail(f"{value} items announced, {self.left()} bytes left")
        return value

    def varint(self):
        value = 0
        for shift in range(0, 70, 7):
            byte = self.u8()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                if value >= 1 << 64:
                    self.fail("a varint of more than 64 bits")
                return value
        self.fail("a varint of more than ten bytes")


def text(raw):
    """WTF-8 to `str`; bytes that are not even that become U+FFFD."""
    try:
        return raw.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return raw.decode("utf-8", "replace")
