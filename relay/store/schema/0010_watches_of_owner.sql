-- What a token lists is its own, from this index; watches without an owner are not in it.
CREATE INDEX watches_of_owner ON watches (owner, id) WHERE owner IS NOT NULL;
