from .analysis import Analysis as Analysis
from .analysis import analyze as analyze
from .page import write_report as write_report
