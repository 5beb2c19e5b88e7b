-- Objects of the database as a whole that do not move with its schemas: kind, name, detail.
SELECT 'event trigger', t.evtname::text, t.evtevent::text
FROM pg_catalog.pg_event_trigger AS t
WHERE t.evtenabled <> 'D'
  AND NOT EXISTS (SELECT
                  FROM pg_catalog.pg_depend AS e
                  WHERE e.classid = 'pg_catalog.pg_event_trigger'::regclass
                    AND e.objid = t.oid AND e.deptype = 'e')
UNION ALL
SELECT 'publication', p.pubname::text, CASE WHEN p.puballtables THEN 'all tables' ELSE '' END
FROM pg_catalog.pg_publication AS p
UNION ALL
SELECT 'subscription', s.subname::text, CASE WHEN s.subenabled THEN 'enabled' ELSE 'disabled' END
FROM pg_catalog.pg_subscription AS s
WHERE s.subdbid = (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = current_database())
ORDER BY 1, 2
