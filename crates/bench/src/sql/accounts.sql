CREATE SEQUENCE public.numbers;
CREATE TABLE public.ledger (
    number bigint PRIMARY KEY DEFAULT nextval('public.numbers'),
    client bigint NOT NULL,
    entry bigint NOT NULL
);
CREATE TABLE public.accounts (id bigint PRIMARY KEY, balance bigint NOT NULL);
INSERT INTO public.accounts SELECT n, 0 FROM generate_series(1, 1000) AS n;
GRANT SELECT, INSERT, UPDATE ON public.ledger, public.accounts TO app;
GRANT USAGE ON SEQUENCE public.numbers TO app;
