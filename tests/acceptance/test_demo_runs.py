"""`relay demo`, as the README promises it."""

import os
import subprocess
import sys
from pathlib import Path


def test_the_demo_shows_every_outcome_ends_well_and_leaves_alone_what_is_configured(tmp_path: Path) -> None:
    (here := tmp_path / "here").mkdir()
    (here / "secrets.py").write_text("raise SystemExit('a file of the folder it was started in')")
    (state := tmp_path / "state").mkdir()
    settings = {
        "RELAY__STORE__URL": f"sqlite:///{state}/relay.db",
        "RELAY__SERVER__LISTEN": "0.0.0.0:8377",
        "RUNTIME_DIRECTORY": str(state),
    }

    done = subprocess.run(
        [Path(sys.executable).with_name("relay"), "demo"],
        cwd=here,
        env=os.environ | settings,
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 jobs watched, ended and delivered" in done.stdout
    assert done.stdout.count("  verified  ") == 4
    assert "NOT VERIFIED" not in done.stdout
    for outcome in ("job.completed", "job.failed", "job.cancelled", "Slack messages:", "Discord messages:"):
        assert outcome in done.stdout
    assert list(state.iterdir()) == []
