-- Settings that say what a server is, but for those of its place, its connections and its
-- logging. A role without pg_read_all_settings does not see all of them.
SELECT name, setting
  FROM pg_catalog.pg_settings
 WHERE source NOT IN ('default', 'override', 'client', 'session', 'interactive')
   AND context <> 'internal'
   AND name !~ '(_file|_directory|_directories|_command)$'
   AND name !~ '^(log_|logging_|primary_|recovery_|archive_|ssl|cluster_name|port$|listen_addresses)'
   AND name NOT IN ('hot_standby', 'hot_standby_feedback', 'synchronous_standby_names',
                    'event_source', 'bonjour_name', 'application_name')
