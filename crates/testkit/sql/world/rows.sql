-- The first rows; {scale} multiplies their number.
INSERT INTO shop.customers (email, name, balance, tags, profile)
SELECT format('user%s@example.com', i), format('Ünï %s', i), i % 1000 + 0.5,
       ARRAY['t' || i % 7, 't' || i % 11], jsonb_build_object('i', i, 'even', i % 2 = 0)
FROM generate_series(1, 200 * {scale}) AS i;
INSERT INTO shop.products (sku, title, price, weight)
SELECT 'sku-' || i, repeat('thing ', i % 5 + 1) || i, i % 100 + 0.99, i / 7.0
FROM generate_series(1, 100 * {scale}) AS i;
INSERT INTO shop.stock
SELECT 'sku-' || i, place, i % 50
FROM generate_series(1, 100 * {scale}) AS i, generate_series(1, 3) AS place;
INSERT INTO shop.orders (customer_id, state, note)
SELECT i % (200 * {scale}) + 1, (enum_range(NULL::shop.order_state))[i % 4 + 1], 'order ' || i
FROM generate_series(1, 500 * {scale}) AS i;
INSERT INTO shop.order_lines
SELECT i, line, 'sku-' || i % (100 * {scale}) + 1, line, 9.990
FROM generate_series(1, 500 * {scale}) AS i, generate_series(1, i % 4) AS line;
INSERT INTO shop.events (bucket, kind, payload)
SELECT i % 4, 'seeded', jsonb_build_object('i', i / 2)
FROM generate_series(1, 400 * {scale}) AS i;
INSERT INTO shop.documents
SELECT md5(i::text)::uuid, 1,
       (SELECT string_agg(md5((i * 1000 + j)::text), ' ') FROM generate_series(1, 20 + i % 100) AS j),
       decode(repeat(md5(i::text), 100), 'hex')
FROM generate_series(1, 50 * {scale}) AS i;
