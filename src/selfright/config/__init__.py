"""One frozen settings tree, from a file, the environment, flags and defaults."""

from __future__ import annotations

from selfright.config.loading import ENVIRONMENT_PREFIX as ENVIRONMENT_PREFIX
from selfright.config.loading import FILE_NAME as FILE_NAME
from selfright.config.loading import Described as Described
from selfright.config.loading import Loaded as Loaded
from selfright.config.loading import describe as describe
from selfright.config.loading import load as load
from selfright.config.loading import with_thresholds as with_thresholds
from selfright.config.loading import with_values as with_values
from selfright.config.sections import Detect as Detect
from selfright.config.sections import Gate as Gate
from selfright.config.sections import Learn as Learn
from selfright.config.sections import Log as Log
from selfright.config.sections import Notify as Notify
from selfright.config.sections import Retrain as Retrain
from selfright.config.sections import Server as Server
from selfright.config.sections import Settings as Settings
from selfright.config.sections import Sync as Sync
from selfright.config.sections import Thresholds as Thresholds
from selfright.config.sections import Trigger as Trigger
from selfright.config.sections import Windows as Windows
