-- What was answered to requests with an Idempotency-Key; without a status while the answer is being made.
CREATE TABLE kept_answers (
    caller   TEXT NOT NULL,
    key      TEXT NOT NULL,
    request  TEXT NOT NULL,
    asked_at REAL NOT NULL,
    status   INTEGER CHECK (status BETWEEN 200 AND 499),
    headers  TEXT CHECK (headers IS NULL OR json_valid(headers)),
    body     TEXT,
    PRIMARY KEY (caller, key),
    CHECK ((status IS NULL) = (headers IS NULL) AND (status IS NULL) = (body IS NULL))
) STRICT, WITHOUT ROWID;

CREATE INDEX kept_answers_by_age ON kept_answers (asked_at);
