-- When the provider began to deny the job, in the row of denials that goes on; NULL where it does not.
ALTER TABLE watches ADD COLUMN missing_since REAL;
