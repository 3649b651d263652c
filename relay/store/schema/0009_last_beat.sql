-- The latest instant at which relay is known to have run, so that a clock set back while it did not is noticed.
ALTER TABLE heartbeat ADD COLUMN at REAL;
