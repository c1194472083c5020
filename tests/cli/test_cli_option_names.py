"""Messages of errors name the options of the command line."""

from __future__ import annotations

import pytest

from batchflow.cli.option_names import with_command_line_names


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("Choose one of where= and run_ids=; or", "Choose one of --where and --run-id; or"),
        ('use on_conflict="skip", or wait', "use --on-conflict skip, or wait"),
        ("name it with foreign_id=)", "name it with --foreign-id)"),
        ("again=True loads it", "--again loads it"),
        ("bucket_seconds is 0; give more", "--bucket-seconds is 0; give more"),
    ],
)
def test_an_option_has_the_name_that_the_command_line_has_for_it(message: str, shown: str) -> None:
    assert with_command_line_names(message) == shown


def test_a_predicate_in_a_message_stays_as_it_is() -> None:
    message = "The predicate \"at='x' AND limit=5 AND workflow=foreign_id\" can't be executed"
    assert with_command_line_names(message) == message
