from .count import Cost as Cost
from .count import LayerCost as LayerCost
from .count import cost as cost
