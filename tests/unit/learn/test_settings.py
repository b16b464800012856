"""Constants outside their range are refused by name."""

from __future__ import annotations

import pytest

from selfright.errors import ConfigError
from selfright.learn.settings import LearnSettings


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("thompson_variance", 0.0),
        ("arm_sd", float("nan")),
        ("log_noise_sd", float("inf")),
        ("noise_weight", -1.0),
        ("grid_points", 0),
        ("window", 2.5),
        ("max_arms", 0),
        ("discount", 1.0),
        ("step", 0.0),
        ("coverage", 1.5),
        ("floor", -0.1),
        ("floor", 1.0),
    ],
)
def test_each_refusal_names_the_setting(setting, value):
    """The operator's mistake, with the name of the setting."""
    with pytest.raises(ConfigError, match=f"learn.{setting}"):
        LearnSettings(**{setting: value})
