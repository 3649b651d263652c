-- How each lane is that something was found of: see relay.core.condition.
CREATE TABLE conditions (
    lane          TEXT PRIMARY KEY,
    destination   TEXT, -- its name; NULL: a host that callback URLs lead to
    condition     TEXT NOT NULL CHECK (condition IN ('working', 'refusing', 'unreachable', 'draining', 'disabled')),
    since         REAL NOT NULL,
    failures      INTEGER NOT NULL CHECK (failures >= 0),
    failing_since REAL NOT NULL,
    release_at    REAL NOT NULL,
    batch         INTEGER NOT NULL CHECK (batch >= 1),
    probes        INTEGER NOT NULL CHECK (probes >= 0),
    detail        TEXT
) STRICT, WITHOUT ROWID;

CREATE INDEX deliveries_held ON deliveries (lane, next_attempt_at) WHERE state = 'held';
