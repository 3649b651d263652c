-- Tokens of the API that were created while relay ran or rested; those of the configuration are not here.
-- Revoked and expired ones stay: a wrong one and one that was right deserve different answers.
CREATE TABLE tokens (
    id         TEXT PRIMARY KEY,
    name       TEXT NOT NULL CHECK (name != ''),
    digest     TEXT NOT NULL UNIQUE CHECK (length(digest) = 64),
    scopes     TEXT NOT NULL CHECK (json_array_length(scopes) > 0),
    created_at REAL NOT NULL,
    expires_at REAL CHECK (expires_at > created_at),
    revoked_at REAL
) STRICT, WITHOUT ROWID;
