-- The database itself, its settings, extensions, event triggers, and changed server settings.
SELECT format('database %I: owner %s, limit %s, connect %s, template %s, acl %s', datname,
              pg_get_userbyid(datdba), datconnlimit, datallowconn, datistemplate, datacl)
FROM pg_database
UNION ALL
SELECT format('setting of database %s role %s: %s', d.datname, r.rolname, setting)
FROM pg_db_role_setting AS s
LEFT JOIN pg_database AS d ON d.oid = s.setdatabase
LEFT JOIN pg_roles AS r ON r.oid = s.setrole,
     unnest(s.setconfig) AS setting
UNION ALL
SELECT format('server setting %s = %s', name, setting)
FROM pg_file_settings WHERE sourcefile LIKE '%postgresql.auto.conf'
UNION ALL
SELECT format('extension %I in %s, version %s', extname, extnamespace::regnamespace, extversion)
FROM pg_extension
UNION ALL
SELECT format('event trigger %I on %s: %s, enabled %s, tags %s', evtname, evtevent,
              evtfoid::regproc, evtenabled, evttags)
FROM pg_event_trigger
UNION ALL
SELECT format('foreign server %I: %s', srvname, srvoptions) FROM pg_foreign_server
UNION ALL
SELECT format('large objects: %s', count(*)) FROM pg_largeobject_metadata
UNION ALL
SELECT format('tablespace %I', spcname) FROM pg_tablespace
