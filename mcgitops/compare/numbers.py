"""Numbers as people read them: as many digits as the difference needs, a real minus sign."""

from __future__ import annotations

import math
from collections.abc import Sequence

MINUS = "−"
MOST_DECIMALS = 10


def row(base: float | None, head: float | None, difference: float | None) -> tuple[str, str, str]:
    """Base, head and difference with the same number of decimals; "" for what isn't there.

    >>> row(0.972222, 0.944444, -0.027778)
    ('0.9722', '0.9444', '−0.0278')
    """
    values = [value for value in (base, head) if value is not None and math.isfinite(value)]
    delta = difference if difference is not None and math.isfinite(difference) else 0.0
    largest = max((abs(value) for value in values), default=0.0)
    if largest >= 1e15 or 0 < largest < 1e-4:
        return (
            plain(base),
            plain(head),
            "" if difference is None else signed(plain(difference), difference),
        )
    decimals = _decimals(values, delta)
    texts = [fixed(value, decimals) if value is not None else "" for value in (base, head)]
    if difference is None:
        return texts[0], texts[1], ""
    small = delta != 0 and abs(delta) < 10.0**-decimals
    text = plain(difference) if small else fixed(difference, decimals)
    return texts[0], texts[1], signed(text, difference)


def plain(value: float | None, digits: int = 4) -> str:
    """A number alone, with `digits` significant digits; whole numbers in full."""
    if value is None:
        return ""
    if not math.isfinite(value):
        return fixed(value, 0)
    if value == 0:
        return "0"
    if value != int(value):
        value = float(f"{value:.{digits - 1}e}")  # rounded first: 0.09999… is 0.1
    if abs(value) >= 1e15 or abs(value) < 1e-4:
        mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
        if "." in mantissa:
            mantissa = mantissa.rstrip("0").rstrip(".")
        return f"{mantissa}e{int(exponent):+}".replace("-", MINUS)
    if value == int(value):
        return fixed(value, 0)
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return _trim(fixed(value, decimals))


def bound(value: float) -> str:
    """A gate's bound, as it was written."""
    return f"{value:g}".replace("-", MINUS)


def fixed(value: float, decimals: int) -> str:
    """With that many decimals, thousands separated; NaN and infinities by name."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "∞" if value > 0 else f"{MINUS}∞"
    text = f"{value:,.{decimals}f}"
    if text.startswith("-") and not text.strip("-0.,"):
        text = text[1:]  # no minus zero
    return text.replace("-", MINUS)


def signed(text: str, value: float) -> str:
    """With a plus where the value is positive."""
    return f"+{text}" if value > 0 else text


def percent(value: float | None) -> str:
    """`−2.9 %`: two significant digits, at least."""
    if value is None or math.isnan(value):
        return ""
    if math.isinf(value) or abs(value) >= 1e6:
        return f"{'+' if value > 0 else MINUS}>999,999 %"
    size = abs(value)
    decimals = 0 if size >= 99.5 else 1 if size >= 0.95 else 2
    if 0 < size < 0.005:
        return f"{'+' if value > 0 else MINUS}<0.01 %"
    return f"{signed(fixed(value, decimals), value)} %"


def deviation(value: float, shown: str) -> str:
    """A standard deviation with the decimals of the mean that it stands beside."""
    if not math.isfinite(value):
        return fixed(value, 0)
    if "e" in shown or "." not in shown:
        return plain(value, 2)
    decimals = len(shown.partition(".")[2])
    text = fixed(value, decimals)
    return plain(value, 1) if value > 0 and not text.strip("0.") else text


def p_value(p: float) -> str:
    """`p = 0.008`, `p < 0.001`."""
    if p < 0.001:
        return "p < 0.001"
    return f"p = {p:.3f}" if p < 0.1 else f"p = {p:.2f}"


def size(count: float | None) -> str:
    """Bytes: `11.2 MB`."""
    if count is None:
        return ""
    value = abs(count)
    if value < 1000:
        return f"{_sign(count)}{value:.0f} B"
    for unit in ("kB", "MB", "GB", "TB"):
        value /= 1000
        if value < 999.95 or unit == "TB":
            break
    return f"{_sign(count)}{value:,.1f} {unit}"


def duration(seconds: float | None) -> str:
    """`0.4 s`, `41.0 s`, `2 min 6 s`, `3 h 5 min`."""
    if seconds is None:
        return ""
    value, sign = abs(seconds), _sign(seconds)
    if value < 59.95:
        return f"{sign}{value:.1f} s"
    whole = round(value)
    if whole < 3600:
        return f"{sign}{whole // 60} min {whole % 60} s"
    minutes = round(value / 60)
    return f"{sign}{minutes // 60} h {minutes % 60} min"


def _sign(value: float) -> str:
    return MINUS if value < 0 else ""


def _decimals(values: Sequence[float], delta: float) -> int:
    """Three significant digits of the difference (or four of the values), without idle zeros."""
    if delta:
        wanted = 2 - math.floor(math.log10(abs(delta)))
    else:
        largest = max((abs(value) for value in values), default=0.0)
        wanted = 3 - math.floor(math.log10(largest)) if largest else 0
    wanted = min(max(wanted, 0), MOST_DECIMALS)
    if all(value == int(value) for value in values):
        return 0
    texts = [f"{value:.{wanted}f}" for value in (*values, delta)]
    while wanted and all(text.endswith("0") for text in texts):
        wanted -= 1
        texts = [text[:-1] for text in texts]
    return wanted


def _trim(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text
