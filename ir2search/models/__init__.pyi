from .build import register_backbone as register_backbone
from .families import FAMILIES as FAMILIES
from .families import Family as Family
from .network import Plan as Plan
from .network import TappedNetwork as TappedNetwork
