"""Where the trials of a run are kept: a file in its folder, or a database server."""

from ir2search.runs.storages.opening import is_shared as is_shared
from ir2search.runs.storages.opening import open_storage as open_storage
from ir2search.runs.storages.opening import storage_errors as storage_errors
from ir2search.runs.storages.study import ENDED as ENDED
from ir2search.runs.storages.study import IMAGES as IMAGES
from ir2search.runs.storages.study import MACHINE as MACHINE
from ir2search.runs.storages.study import PARALLEL as PARALLEL
from ir2search.runs.storages.study import TRAIN_IMAGES as TRAIN_IMAGES
from ir2search.runs.storages.study import VALIDATION_IMAGES as VALIDATION_IMAGES
from ir2search.runs.storages.study import RunStudy as RunStudy
