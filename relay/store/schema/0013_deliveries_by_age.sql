-- Lists of deliveries go by age: without it, each page sorts all there are.
CREATE INDEX deliveries_by_age ON deliveries (created_at, id);
