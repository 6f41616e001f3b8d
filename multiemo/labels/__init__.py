"""Label sets of the field, explicit maps between them, and the positions of categories on the circumplex."""

from __future__ import annotations

from multiemo.labels.circumplex import circumplex
from multiemo.labels.maps import MAPS, LabelMap, counted_as, label_map, map_label
from multiemo.labels.polarity import Polarity, polarities, polarity
from multiemo.labels.sets import ALIASES, CUSTOM, LABEL_SETS, canonical, find_label, label_set

__all__ = [
    "ALIASES",
    "CUSTOM",
    "LABEL_SETS",
    "MAPS",
    "LabelMap",
    "Polarity",
    "canonical",
    "circumplex",
    "counted_as",
    "find_label",
    "label_map",
    "label_set",
    "map_label",
    "polarities",
    "polarity",
]
