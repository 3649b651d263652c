-- Live watches are counted by status every few seconds, from this index alone.
CREATE INDEX watches_live ON watches (status) WHERE finalized_at IS NULL;
