-- How often overload made a try free: see settle in relay.core.delivery.
ALTER TABLE deliveries ADD COLUMN spared INTEGER NOT NULL DEFAULT 0 CHECK (spared >= 0);
