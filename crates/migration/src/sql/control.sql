CREATE SCHEMA IF NOT EXISTS trunkline;
COMMENT ON SCHEMA trunkline IS 'Trunkline''s records of a migration into this database; removed by trunkline complete or abort';

CREATE TABLE IF NOT EXISTS trunkline.migration (
    name       text PRIMARY KEY,
    id         text NOT NULL,
    format     integer NOT NULL,
    -- The source's estimate of the rows to copy.
    rows_total bigint NOT NULL DEFAULT 0,
    begun_at   timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE IF NOT EXISTS trunkline.journal (
    migration  text NOT NULL,
    seq        bigint NOT NULL,
    at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    entry      jsonb NOT NULL,
    PRIMARY KEY (migration, seq)
);

-- What the process that follows last said of itself. confirmed_lsn is written, durably,
-- before the source hears of it.
CREATE TABLE IF NOT EXISTS trunkline.follower (
    migration       text NOT NULL,
    -- Legs are counted from 1; the position is one of the side that the leg comes from.
    leg             integer NOT NULL,
    mode            text NOT NULL,
    confirmed_lsn   pg_lsn NOT NULL,
    rows_applied    bigint NOT NULL,
    apply_bytes_per_second  double precision,
    source_bytes_per_second double precision,
    updated_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (migration, leg)
);
