from .comparison import Comparison as Comparison
from .comparison import compare as compare
from .page import write_comparison as write_comparison
from .page import write_report as write_report
