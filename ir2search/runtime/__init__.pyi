from .graph import Graph as Graph
from .graph import Node as Node
from .network import PackedNetwork as PackedNetwork
from .network import load_packed as load_packed
from .packed import read_about as read_about
from .packed import read_packed as read_packed
from .packed import write_packed as write_packed
