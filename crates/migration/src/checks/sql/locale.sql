-- Encoding and locale of this database; provider, ICU locale and version are younger than 12.
SELECT pg_encoding_to_char(d.encoding),
       d.datcollate::text,
       d.datctype::text,
       coalesce(to_jsonb(d) ->> 'datlocprovider', 'c'),
       coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale', ''),
       to_jsonb(d) ->> 'datcollversion'
FROM pg_catalog.pg_database AS d
WHERE d.datname = current_database()
