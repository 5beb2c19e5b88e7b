-- Expressions and queries of every form that users write: a server stores trees and spells them
-- anew, so the copy of a copy need not read like the original.
CREATE SCHEMA expr;
SET search_path = expr;
CREATE TYPE shade AS ENUM ('light', 'dark');
CREATE TYPE point3 AS (x float8, y float8, z float8);
CREATE TABLE base (
    id bigint PRIMARY KEY DEFAULT (extract(epoch FROM now()) * 1000)::bigint,
    v varchar(10) DEFAULT 'a'::varchar CHECK (v IN ('a', 'b') OR v = ANY (ARRAY['c', 'd']::varchar[])),
    c char(3) DEFAULT 'x' CHECK (c IN ('x', 'y') AND c <> ALL (ARRAY['q', 'r'])),
    t text DEFAULT CURRENT_USER CHECK (t ~ '^[a-z]+$' OR t SIMILAR TO 'A%' OR t NOT ILIKE '%\_x' ESCAPE '\'),
    n numeric(10, 2) DEFAULT -1.50 CHECK (n BETWEEN -10 AND 10 OR n BETWEEN SYMMETRIC 30 AND 20),
    i integer DEFAULT -1 CHECK (i IN (1, 2, 3) OR i % 2 = 0 OR (i + 1) * 2 > 5 OR i + 1 * 2 > -5),
    s smallint CHECK (s IN (1, 2) OR s > 1.5 OR -s < +3),
    r real DEFAULT 1.1 CHECK (r <> 'NaN' AND r > 1e-7),
    b boolean DEFAULT (NOT false) CHECK (b IS NOT TRUE OR NOT b IS UNKNOWN OR (b AND (b OR NOT b))),
    d date DEFAULT now()::date CHECK (d > 'epoch'::date AND d < DATE '2100-01-01' + 7),
    ts timestamp DEFAULT LOCALTIMESTAMP(3) CHECK (ts <> 'infinity' AND date_trunc('day', ts) = ts),
    tz timestamptz DEFAULT CURRENT_TIMESTAMP + interval '1 day 2 hours' CHECK ((tz AT TIME ZONE 'UTC')::time < '12:00'),
    iv interval(2) DEFAULT '1 mon -2 days'::interval CHECK (iv > interval '3' DAY),
    a int[] DEFAULT ARRAY[]::int[] CHECK (array_length(a, 1) IS NULL OR a[1:2] = ARRAY[1, 2] AND 3 = ANY (a)),
    ta text[] DEFAULT '{}' CHECK (ta <@ ARRAY['x', 'y'] AND ta && '{a,b}'::text[] AND ta[1] IN ('x', 'y')),
    va varchar[] DEFAULT ARRAY['a', 'b'] CHECK (va <@ ARRAY['x', 'y']::varchar[] OR va = ARRAY['z', NULL]::varchar(3)[]),
    j jsonb DEFAULT '{"a": [1, "it''s"]}' CHECK (j ? 'a' AND j #>> '{a,0}' = '1' AND (j -> 'b')::int > 0),
    sh shade DEFAULT 'light' CHECK (sh IN ('light', 'dark') OR sh = ANY (ARRAY['dark']::shade[])),
    p point3 CHECK ((p).x > 0 OR p IS DISTINCT FROM ROW(1, 2, 3)::point3),
    rg int4range DEFAULT '[1,5)' CHECK (rg @> 3 AND NOT isempty(rg)),
    bt bit(4) DEFAULT B'0101', bv bit varying(5) DEFAULT X'A', by bytea DEFAULT '\x00ff',
    u uuid DEFAULT '00000000-0000-0000-0000-000000000001', x xml DEFAULT '<a/>', m money DEFAULT 1.5,
    CHECK (CASE WHEN i > 0 THEN v = 'a' WHEN i < 0 THEN v IN ('b', 'c') ELSE COALESCE(t, v, 'q') = 'z' END),
    CHECK (CASE v WHEN 'a' THEN 1 ELSE 2 END = 1 AND NULLIF(i, 0) IS NOT NULL AND GREATEST(i, s, 3) > 2),
    CHECK ((v, t) IS NOT NULL AND (i, s) < (3, 4) AND ROW(v, t) = ROW('a', 'b')),
    CHECK (v || t LIKE 'a%' AND v::text || 'x' = t AND length(v::char(5)) > 0 AND (v COLLATE "C") < 'z'),
    CHECK (substring(t FROM 2 FOR 3) = 'x' AND position('a' IN t) = 1 AND trim(BOTH 'x' FROM t) = t AND overlay(t PLACING 'z' FROM 1) = t),
    CHECK (extract(year FROM ts) > 2000 AND (ts, ts) OVERLAPS (ts, ts) AND lower(v) NOT IN ('a', 'b'))
);
CREATE INDEX base_lower ON base (lower(v) varchar_pattern_ops DESC NULLS LAST, (j ->> 'a'), (t COLLATE "C")) WHERE v IN ('a', 'b') AND t IS NOT NULL;
CREATE INDEX base_gin ON base USING gin (j jsonb_path_ops, ta) WITH (fastupdate = off);
CREATE INDEX base_cast ON base (((j ->> 'n')::int), (i::text || v), (v::text), COALESCE(v, 'x'::varchar));
CREATE INDEX base_state ON base (id) WHERE (v <> ALL (ARRAY['a'::varchar, 'b'])) AND i = ANY ('{1,2}') AND (b IS TRUE OR NOT b);
CREATE STATISTICS base_stat ON i, s FROM base;
CREATE TABLE gen (i int, v varchar, g text GENERATED ALWAYS AS (CASE WHEN v IN ('a', 'b') THEN v::text ELSE i || '-' || upper(v) END) STORED);
CREATE TABLE bounds (v varchar, n numeric, d timestamptz) PARTITION BY RANGE (v, abs(n), d);
CREATE TABLE bounds_1 PARTITION OF bounds FOR VALUES FROM ('a', -1.5, MINVALUE) TO ('b', 1e3, '2020-01-01 00:00+02');
CREATE TABLE floats (f float8, b boolean) PARTITION BY LIST (b);
CREATE TABLE floats_t PARTITION OF floats FOR VALUES IN (true, NULL);
CREATE FUNCTION defaults(a int DEFAULT -1, b varchar[] DEFAULT ARRAY['a', 'b'], c text DEFAULT 'x' || 'y', VARIADIC d int[] DEFAULT '{}')
    RETURNS TABLE (r int, s varchar) LANGUAGE sql COST 7 ROWS 3 PARALLEL SAFE AS $$ SELECT 1, 'x'::varchar $$;

CREATE VIEW v_one AS SELECT b.id, b.v, b.v IN ('a', 'b') AS ab, count(*) OVER w AS n, rank() OVER (PARTITION BY b.i ORDER BY b.n DESC NULLS LAST ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)
    FROM base b WHERE b.t LIKE 'x%' AND b.d > now() - interval '1 day' WINDOW w AS (PARTITION BY b.v) ORDER BY b.id LIMIT 10 OFFSET 1;
CREATE VIEW v_plain AS SELECT * FROM base;
CREATE VIEW v_join AS SELECT x.id, y.v, z.q FROM base x JOIN base y USING (id) LEFT JOIN LATERAL (SELECT max(w.n) AS q FROM base w WHERE w.id = x.id) z ON true
    NATURAL JOIN (VALUES (1::bigint, 'a'), (2, 'b')) AS vals(id, name), generate_series(1, 3) WITH ORDINALITY AS g(a, b) WHERE EXISTS (SELECT 1 FROM gen WHERE gen.i = x.i);
CREATE VIEW v_cte AS WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 5), m AS MATERIALIZED (SELECT id FROM base) SELECT n, (SELECT count(*) FROM m) FROM t;
CREATE VIEW v_sets AS SELECT id, v FROM base UNION (SELECT id, t FROM base EXCEPT ALL SELECT 1, 'x' ORDER BY 1 LIMIT 1) INTERSECT SELECT 2, 'y' ORDER BY v DESC;
CREATE VIEW v_group AS SELECT v, i, sum(n) FILTER (WHERE i > 0), percentile_cont(0.5) WITHIN GROUP (ORDER BY n), string_agg(DISTINCT t, ',' ORDER BY t), grouping(v)
    FROM base GROUP BY GROUPING SETS ((v, i), ROLLUP (v, t), ()) HAVING count(*) > 1 AND max(v) IN ('a', 'b');
CREATE VIEW v_distinct AS SELECT DISTINCT ON (v, lower(t)) v, t, (p).x, a[1] AS a1, a[1:2] AS a12, ARRAY(SELECT i FROM gen), j -> 'a' ->> 0 AS j0, ROW(i, v)::text AS rw, (i, v) IN (SELECT i, v FROM gen) AS isin, b.*::text AS whole
    FROM base b ORDER BY v, lower(t), id;
CREATE VIEW v_syntax AS SELECT extract(dow FROM d), substring(t, 2) AS s1, substring(t FROM '[a-z]'), trim(t) AS t1, ltrim(t, 'x') AS t2, position('a' in t), overlay(t placing 'a' from 2 for 1), ts AT TIME ZONE 'UTC' AS z, CURRENT_DATE AS today, COALESCE(v, 'x') AS co, v::text AS v1, i::bigint AS i1, n::int AS n1, CAST(t AS varchar(5)) AS t5, t COLLATE "C" AS tc, xmlelement(name a, t) AS xe
    FROM base TABLESAMPLE SYSTEM (10);
CREATE VIEW v_from_only AS SELECT 1 AS one, 'x'::text AS x, NULL AS nothing, ARRAY['a'::varchar, 'b']::text[] AS arr;
CREATE VIEW v_of_view AS SELECT "Odd Name".id, "Odd Name".ab FROM v_one AS "Odd Name" WHERE "Odd Name".ab FOR UPDATE;
CREATE VIEW v_catalog AS SELECT c.relname, c.oid::regclass FROM pg_class c WHERE c.relkind IN ('r', 'p');
CREATE VIEW v_checked AS SELECT i, v FROM gen WHERE i > 0 WITH LOCAL CHECK OPTION;
CREATE MATERIALIZED VIEW mv AS SELECT v, count(*) FROM base GROUP BY v WITH NO DATA;
CREATE RULE r_ins AS ON INSERT TO v_one DO INSTEAD INSERT INTO base (id, v) VALUES (new.id, new.v) ON CONFLICT (id) DO UPDATE SET v = excluded.v WHERE base.i > 0 RETURNING base.id, base.v, true, 1::bigint, 1::bigint;
CREATE RULE r_del AS ON DELETE TO v_plain DO INSTEAD (DELETE FROM base WHERE id = old.id; UPDATE gen SET v = 'x' WHERE i IN (SELECT i FROM base); NOTIFY gone);
CREATE FUNCTION trg() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER t_when AFTER UPDATE ON base FOR EACH ROW WHEN (old.v IS DISTINCT FROM new.v AND new.v IN ('a', 'b') AND old.* IS DISTINCT FROM new.*) EXECUTE FUNCTION trg('arg', 'it''s', '\x');
CREATE TRIGGER t_tables AFTER INSERT ON base REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION trg();
ALTER TABLE base ENABLE ROW LEVEL SECURITY;
CREATE POLICY pol ON base USING (v IN ('a', 'b') AND t = CURRENT_USER AND id IN (SELECT g.i FROM gen g WHERE g.v = base.v)) WITH CHECK (current_setting('x.y', true) = v);
RESET search_path;
