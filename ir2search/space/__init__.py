"""Networks as values, and spaces of networks; this package does not import torch.

`Candidate` describes one network, `SearchSpace` the networks that a study can try.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
