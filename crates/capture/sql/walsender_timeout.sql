-- After how many milliseconds without a word the server gives a walsender up; 0 is never.
SELECT setting::bigint FROM pg_catalog.pg_settings WHERE name = 'wal_sender_timeout'
