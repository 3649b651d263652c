"""`relay demo`, as the README promises it."""

import subprocess
import sys


def test_the_demo_shows_every_outcome_and_ends_well() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "relay", "demo"], capture_output=True, text=True, timeout=40, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 jobs watched, ended and delivered" in done.stdout
    assert done.stdout.count("  verified  ") == 4
    assert "NOT VERIFIED" not in done.stdout
    for outcome in ("job.completed", "job.failed", "job.cancelled", "Slack messages:", "Discord messages:"):
        assert outcome in done.stdout
