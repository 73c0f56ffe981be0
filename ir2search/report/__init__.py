"""What people see of a run: tables, figures, the report's page, the analysis of a trial."""

from ir2search.report.analysis import Analysis, analyze
from ir2search.report.page import write_report

__all__ = ["Analysis", "analyze", "write_report"]
