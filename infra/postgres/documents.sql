-- Run once, on an empty volume: a table whose rows are documents, and the heartbeat that moves the replication slot on.
CREATE TABLE documents (
    id text PRIMARY KEY,
    tenant text NOT NULL,
    title text NOT NULL DEFAULT '',
    body text NOT NULL,
    access text[] NOT NULL DEFAULT '{}',
    updated_at timestamptz NOT NULL DEFAULT now()
);
-- Without it, a large value that did not change is missing from the change record.
ALTER TABLE documents REPLICA IDENTITY FULL;

CREATE TABLE headwater_heartbeat (
    id integer PRIMARY KEY,
    beaten_at timestamptz NOT NULL
);
