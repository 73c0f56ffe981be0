from .build import register_backbone as register_backbone
from .families import FAMILIES as FAMILIES
from .families import Family as Family
from .network import NetworkSpec as NetworkSpec
from .network import TappedNetwork as TappedNetwork
