"""Ticks to nanoseconds (SPEC section 2.2)."""


class Clock:
    def __init__(self, meta):
        self.source = meta.get("clock", b"").decode()
        self.mult = meta.get("clock_mult", 1)
        self.shift = meta.get("clock_shift", 0)
        self.base_tick = meta.get("clock_base_tick", 0)
        self.base_ns = meta.get("clock_base_ns", 0)

    def ns(self, tick):
        """Nanoseconds since the trace began; the product is rounded down."""
        return self.base_ns + (((tick - self.base_tick) * self.mult) >> self.shift)

    def duration_ns(self, ticks):
        return (ticks * self.mult) >> self.shift
