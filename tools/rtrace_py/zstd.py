"""zstd, from the standard library (3.14 on) or the `zstandard` package."""

from .cursor import FormatError

try:
    from compression import zstd as _std
except ImportError:
    _std = None
try:
    import zstandard as _package
except ImportError:
    _package = None

MISSING = (
    "reading event chunks needs zstd: use Python 3.14 or later, "
    "or install the `zstandard` package (pip install zstandard)"
)


class NoZstd(Exception):
    """Neither module is there; the text says what to do."""

    def __init__(self):
        super().__init__(MISSING)


def available():
    return _std is not None or _package is not None


def decompress(raw, size):
    """Exactly `size` bytes out of one frame, never more than that held."""
    if _std is not None:
        try:
            engine = _std.ZstdDecompressor()
            out = engine.decompress(raw, max_length=size + 1)
            whole = engine.eof and not engine.unused_data
        except _std.ZstdError as error:
            raise FormatError(f"zstd: {error}") from None
    elif _package is not None:
        try:
            engine = _package.ZstdDecompressor().decompressobj()
            announced = _package.frame_content_size(raw)
            if announced != size:
                raise FormatError(f"zstd: {announced} bytes announced, {size} expected")
            out = engine.decompress(raw)
            whole = getattr(engine, "eof", True)
        except _package.ZstdError as error:
            raise FormatError(f"zstd: {error}") from None
    else:
        raise NoZstd()
    if len(out) != size or not whole:
        raise FormatError(f"zstd: {len(out)} bytes came out, {size} expected")
    return out
