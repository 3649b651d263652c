-- Watches whose last poll failed are claimed apart from the others, each kind by when it is due.
DROP INDEX watches_due;
CREATE INDEX watches_due ON watches (provider, failed_polls > 0, next_poll_at, demand) WHERE finalized_at IS NULL;
