-- What a watch knows of its job's life: see Lifetime in relay.core.outlook.
ALTER TABLE watches ADD COLUMN began_at REAL;
ALTER TABLE watches ADD COLUMN seen_at REAL;
ALTER TABLE watches ADD COLUMN estimated_end_at REAL;

-- What it asks of its credential's budget until the next poll: see demand in relay.core.schedule.
ALTER TABLE watches ADD COLUMN demand REAL NOT NULL DEFAULT 0 CHECK (demand >= 0);

-- Sums of demand are read from the index alone.
DROP INDEX watches_due;
CREATE INDEX watches_due ON watches (provider, next_poll_at, demand) WHERE finalized_at IS NULL;

-- How long jobs take: see relay.core.learning.  Without a model, all jobs of the provider.
-- `events` and `exposure` hold one little-endian double per bin of age.
CREATE TABLE durations (
    provider   TEXT NOT NULL,
    phase      TEXT NOT NULL CHECK (phase IN ('job', 'run')),
    model      TEXT NOT NULL DEFAULT '',
    updated_at REAL NOT NULL,
    drift      REAL NOT NULL,
    events     BLOB NOT NULL CHECK (length(events) = 1024),
    exposure   BLOB NOT NULL CHECK (length(exposure) = 1024),
    PRIMARY KEY (provider, phase, model)
) STRICT;
