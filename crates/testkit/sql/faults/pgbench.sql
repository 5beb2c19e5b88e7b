-- The tables of pgbench with {accounts} accounts, ten tellers, a branch, and some history.
CREATE TABLE public.pgbench_branches (bid int PRIMARY KEY, bbalance int, filler char(88));
CREATE TABLE public.pgbench_tellers (tid int PRIMARY KEY, bid int, tbalance int, filler char(84));
CREATE TABLE public.pgbench_accounts (aid int PRIMARY KEY, bid int, abalance int, filler char(84));
CREATE TABLE public.pgbench_history
    (tid int, bid int, aid int, delta int, mtime timestamp, filler char(22));
ALTER TABLE public.pgbench_history REPLICA IDENTITY FULL;
INSERT INTO public.pgbench_branches (bid, bbalance) VALUES (1, 0);
INSERT INTO public.pgbench_tellers (tid, bid, tbalance) SELECT i, 1, 0 FROM generate_series(1, 10) AS i;
INSERT INTO public.pgbench_accounts SELECT i, 1, 0, '' FROM generate_series(1, {accounts}) AS i;
INSERT INTO public.pgbench_history (tid, bid, aid, delta, mtime)
SELECT i % 10 + 1, 1, i, i - 100, timestamp '2024-01-01' + i * interval '1 second'
FROM generate_series(1, 200) AS i;
