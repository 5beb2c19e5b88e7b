-- Slots, publications, subscriptions, origins, prepared transactions; no positions.
SELECT format('slot %I: %s, plugin %s, database %s, temporary %s',
              slot_name, slot_type, plugin, database, temporary)
FROM pg_replication_slots
UNION ALL
SELECT 'publication ' || (to_jsonb(p) - 'oid' - 'pubowner')::text || ' of ' || pubowner::regrole
FROM pg_publication AS p
UNION ALL
SELECT format('publication %I has %s', p.pubname, r.prrelid::regclass)
FROM pg_publication_rel AS r JOIN pg_publication AS p ON p.oid = r.prpubid
UNION ALL
SELECT format('subscription %I: enabled %s, slot %s, publications %s',
              subname, subenabled, subslotname, subpublications)
FROM pg_subscription
UNION ALL
SELECT format('origin %s', roname) FROM pg_replication_origin
UNION ALL
SELECT format('prepared transaction %s in %s', gid, database) FROM pg_prepared_xacts
