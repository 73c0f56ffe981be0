from .objectives import OBJECTIVES as OBJECTIVES
from .objectives import register_objective as register_objective
from .schema import Study as Study
from .schema import load_study as load_study
from .schema import parse_study as parse_study
from .schema import study_file as study_file
from .shipped import shipped_studies as shipped_studies
from .template import write_template as write_template
