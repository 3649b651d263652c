"""What another configuration changes is named: what is taken over, and what waits for a restart."""

from relay.config import Changes, Difference, changes

BEFORE = """
[providers.getimg]
api_key = { env = "KEY" }
[providers.lumenfall]
api_key = { env = "KEY" }
[destinations.ops]
type = "slack"
url = { env = "OPS" }
"""


def test_the_same_file_changes_nothing(load_text):
    """Loaded twice, a configuration is equal to itself."""
    assert changes(load_text(BEFORE), load_text(BEFORE)) == Changes(Difference(), Difference(), (), ())


def test_named_things_come_go_and_change(load_text):
    """Each is told by its name."""
    after = load_text("""
[providers.lumenfall]
api_key = { env = "KEY" }
rate = "10/m"
[providers.nanogpt]
api_key = { env = "KEY" }
[destinations.ops]
type = "discord"
url = { env = "OPS" }
[retention]
watches = "1d"
""")

    assert changes(load_text(BEFORE), after) == Changes(
        providers=Difference(added=("nanogpt",), removed=("getimg",), changed=("lumenfall",)),
        destinations=Difference(changed=("ops",)),
        sections=("retention",),
        needs_restart=(),
    )


def test_what_a_running_daemon_cannot_change_is_named(load_text):
    """The listening address, the database and the way out; the grace period is taken over."""
    changed = '[server]\nlisten = "127.0.0.1:1"\ngrace = "1s"\n[store]\nurl = "sqlite:///other.db"\n'
    after = load_text(f'{changed}[egress]\nproxy = "http://proxy.internal:3128"\n{BEFORE}')

    found = changes(load_text(BEFORE), after)

    assert found.needs_restart == ("server.listen", "store.url", "egress.proxy")
    assert found.sections == ("server", "store", "egress")
