from .comparison import Comparison as Comparison
from .comparison import compare as compare
from .opening import open_page as open_page
from .page import write_comparison as write_comparison
from .page import write_report as write_report
