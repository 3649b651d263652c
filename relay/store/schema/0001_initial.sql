-- Instants are Unix seconds in UTC.  CHECKs repeat the state machines of relay.core.

CREATE TABLE watches (
    id              TEXT PRIMARY KEY,
    provider        TEXT NOT NULL,
    job_id          TEXT NOT NULL,
    params          TEXT NOT NULL CHECK (json_valid(params)),
    metadata        TEXT NOT NULL CHECK (json_valid(metadata)),
    owner           TEXT,
    status          TEXT NOT NULL CHECK (status IN ('queued', 'running', 'completed', 'failed', 'cancelled',
                                                    'expired', 'not_found', 'timed_out')),
    provider_status TEXT,
    model           TEXT,
    progress        REAL,
    created_at      REAL NOT NULL,
    deadline        REAL NOT NULL,
    next_poll_at    REAL NOT NULL,
    leased_until    REAL NOT NULL DEFAULT 0,
    last_poll_at    REAL,
    running_since   REAL,
    polls           INTEGER NOT NULL DEFAULT 0 CHECK (polls >= 0),
    failed_polls    INTEGER NOT NULL DEFAULT 0 CHECK (failed_polls >= 0),
    missing_polls   INTEGER NOT NULL DEFAULT 0 CHECK (missing_polls >= 0),
    last_error      TEXT,
    finalized_at    REAL,
    UNIQUE (provider, job_id),
    CHECK ((status IN ('queued', 'running')) = (finalized_at IS NULL))
) STRICT;

CREATE INDEX watches_due ON watches (provider, next_poll_at) WHERE finalized_at IS NULL;
CREATE INDEX watches_ended ON watches (finalized_at) WHERE finalized_at IS NOT NULL;

-- Whom a watch itself wants told: destinations of the configuration by name, or a callback URL.
CREATE TABLE watch_targets (
    watch_id TEXT NOT NULL REFERENCES watches (id) ON DELETE CASCADE,
    key      TEXT NOT NULL,
    lane     TEXT NOT NULL,
    name     TEXT,
    url      TEXT,
    PRIMARY KEY (watch_id, key),
    CHECK ((name IS NULL) != (url IS NULL))
) STRICT, WITHOUT ROWID;

CREATE TABLE events (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    id         TEXT NOT NULL UNIQUE,
    watch_id   TEXT REFERENCES watches (id) ON DELETE CASCADE, -- NULL: about a provider
    type       TEXT NOT NULL,
    created_at REAL NOT NULL,
    body       TEXT NOT NULL,
    raw        TEXT,
    UNIQUE (watch_id, type)
) STRICT;

CREATE TABLE deliveries (
    id              TEXT PRIMARY KEY,
    event_id        TEXT NOT NULL REFERENCES events (id) ON DELETE CASCADE,
    watch_id        TEXT REFERENCES watches (id) ON DELETE CASCADE,
    key             TEXT NOT NULL,
    lane            TEXT NOT NULL,
    name            TEXT,
    url             TEXT,
    state           TEXT NOT NULL CHECK (state IN ('pending', 'held', 'delivered', 'exhausted', 'dropped')),
    created_at      REAL NOT NULL,
    next_attempt_at REAL NOT NULL,
    retry_from      REAL NOT NULL,
    leased_until    REAL NOT NULL DEFAULT 0,
    attempts        INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    tries           INTEGER NOT NULL DEFAULT 0 CHECK (tries BETWEEN 0 AND attempts),
    trigger         TEXT NOT NULL DEFAULT 'scheduled' CHECK (trigger IN ('scheduled', 'manual')),
    reason          TEXT,
    finalized_at    REAL,
    UNIQUE (event_id, key),
    CHECK ((name IS NULL) != (url IS NULL)),
    CHECK ((state IN ('delivered', 'exhausted', 'dropped')) = (finalized_at IS NOT NULL))
) STRICT;

CREATE INDEX deliveries_due ON deliveries (lane, next_attempt_at) WHERE state = 'pending';
CREATE INDEX deliveries_next ON deliveries (next_attempt_at) WHERE state = 'pending';
CREATE INDEX deliveries_unsettled ON deliveries (state) WHERE state != 'delivered';
CREATE INDEX deliveries_of_watch ON deliveries (watch_id);

CREATE TABLE attempts (
    seq         INTEGER PRIMARY KEY,
    delivery_id TEXT NOT NULL REFERENCES deliveries (id) ON DELETE CASCADE,
    number      INTEGER NOT NULL,
    trigger     TEXT NOT NULL CHECK (trigger IN ('scheduled', 'manual')),
    started_at  REAL NOT NULL,
    duration_s  REAL NOT NULL,
    status      INTEGER,
    verdict     TEXT NOT NULL CHECK (verdict IN ('delivered', 'retry', 'refused', 'dropped')),
    reason      TEXT,
    response    TEXT
) STRICT;

CREATE INDEX attempts_of_delivery ON attempts (delivery_id);

CREATE INDEX events_of_providers ON events (created_at) WHERE watch_id IS NULL;

-- How each credential stands with its provider: see relay.core.standing.
CREATE TABLE standings (
    provider      TEXT PRIMARY KEY,
    footing       TEXT NOT NULL CHECK (footing IN ('working', 'unauthorized', 'quota_exhausted', 'unreachable')),
    since         REAL NOT NULL,
    rest_until    REAL NOT NULL,
    failures      INTEGER NOT NULL,
    refusals      INTEGER NOT NULL,
    failing_since REAL NOT NULL,
    rests         INTEGER NOT NULL,
    worked_at     REAL NOT NULL,
    detail        TEXT
) STRICT, WITHOUT ROWID;

-- Written to prove that writes work: a disk that is full or read-only fails here first.
CREATE TABLE heartbeat (
    one   INTEGER PRIMARY KEY CHECK (one = 1),
    beats INTEGER NOT NULL
) STRICT;
