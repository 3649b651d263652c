-- When a lane that is draining last answered: an attempt that began before that and failed since tells nothing new.
ALTER TABLE conditions ADD COLUMN answered_at REAL NOT NULL DEFAULT 0;
