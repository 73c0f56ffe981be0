from .analysis import Analysis as Analysis
from .analysis import analyze as analyze
from .analysis import analyze_trials as analyze_trials
from .analysis import analyze_weights as analyze_weights
from .comparison import Comparison as Comparison
from .comparison import compare as compare
from .page import write_comparison as write_comparison
from .page import write_report as write_report
