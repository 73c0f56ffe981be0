"""What people see of a run: tables, figures, the report's page, the analysis of a trial."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
