"""Networks with named taps. `families` describes them without importing torch."""

from ir2search.models.families import FAMILIES, Family

__all__ = ["FAMILIES", "Family"]
