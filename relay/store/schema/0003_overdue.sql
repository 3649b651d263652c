-- When it was told that the job runs unusually long; NULL where it was not.
ALTER TABLE watches ADD COLUMN overdue_at REAL;
