-- The settings that the checks look at ($1: names), and what they were before our session
-- changed any. Settings that the server does not know,
-- or hides from this role, are absent.
SELECT s.name, coalesce(s.setting, ''), coalesce(s.unit, ''), coalesce(s.reset_val, '')
FROM pg_catalog.pg_settings AS s
WHERE s.name = ANY ($1::text[])
